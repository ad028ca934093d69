from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from label_run import IDS, edit, make_run, rows, write_predictions

from usl.core.errors import DataError, UsageError
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.rounds import (
    audited_images,
    draw_audit,
    draw_check,
    find_round,
    round_images,
)
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.run.predictions import machine_labelled

SURE = {name: 0.5 + place / 100 for place, name in enumerate(IDS)}  # 000.jpg is most doubtful


@pytest.fixture
def run(tmp_path):
    """Twenty images, the first two labelled by a person, all predicted."""
    run = make_run(tmp_path / "run")
    edit(run, row1="cat", row2="dog")
    write_predictions(run, dict.fromkeys(IDS, "cat"), SURE, human=IDS[:2])
    return run


def test_who_is_labelled_by_the_model(run):
    machine = machine_labelled(run.path, run.split())
    assert machine.ids.tolist() == IDS[2:]
    assert set(machine.labels.tolist()) == {"cat"}
    assert machine.confidence.tolist() == [SURE[name] for name in IDS[2:]]
    edit(run, row3="emu")  # a person's label that came after the training
    assert machine_labelled(run.path, run.split()).ids.tolist() == IDS[3:]
    write_predictions(run, dict.fromkeys(IDS, "cat"), subset="test")
    assert len(machine_labelled(run.path, run.split())) == 0
    (run.path / "predictions.parquet").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"predictions\.parquet cannot be read.*usl train"):
        machine_labelled(run.path, run.split())
    (run.path / "predictions.parquet").unlink()
    assert machine_labelled(run.path, run.split()) is None


def test_an_audit_is_kept_and_the_next_one_takes_others(run, store):
    first = draw_audit(run, store, 5, seed=4)
    assert (first.name, first.seed, first.population) == ("audit-1", 4, 18)
    assert len(set(first.images)) == 5
    assert set(first.images) <= set(IDS[2:])
    second = draw_audit(run, store, 100, seed=4)
    assert (second.name, second.population) == ("audit-2", 13)
    assert set(first.images) | set(second.images) == set(IDS[2:])
    assert not set(first.images) & set(second.images)
    assert audited_images(store) == set(IDS[2:])
    assert store.rounds() == [first, second]
    with pytest.raises(DataError, match="all 18 predictions are in an audit already"):
        draw_audit(run, store, 1)


def test_the_draw_depends_on_the_seed_alone(tmp_path):
    drawn = []
    for trial, order in enumerate((IDS, IDS[::-1])):
        run = make_run(tmp_path / f"{trial}")
        sure = {name: place / 100 for place, name in enumerate(order)}
        write_predictions(run, dict.fromkeys(IDS, "cat"), sure)
        with Store.open(run.path) as store:
            drawn.append(draw_audit(run, store, 8, seed=2).images)
            drawn.append(draw_audit(run, store, 8, seed=2).images)
    assert drawn[0] == drawn[2]  # whatever the order of the predictions
    assert drawn[1] == drawn[3]


def test_an_audit_is_uniform(quick_folder):
    """Every prediction as often as every other, in the whole draw and in its first place."""
    run = make_run(quick_folder / "run", ids=IDS[:6], picks=[])
    write_predictions(run, dict.fromkeys(IDS[:6], "cat"), SURE)
    drawn, first = Counter(), Counter()
    trials = 200
    for seed in range(trials):
        with Store.open(run.path) as store:
            images = draw_audit(run, store, 2, seed=seed).images
        (run.path / "labels.sqlite").unlink()
        drawn.update(images)
        first.update(images[:1])
    for count, expected in ((drawn, trials / 3), (first, trials / 6)):
        squares = sum((count[name] - expected) ** 2 / expected for name in IDS[:6])
        assert squares < 20.5  # chi-square with 5 degrees of freedom exceeds it once in a thousand


def test_an_audit_settles_first(run, store):
    store.add([Answer(name, "label", "cat") for name in IDS[2:6]])
    assert set(draw_audit(run, store, 100).images) == set(IDS[6:])
    assert rows(run)[IDS[5]] == ("labeled", "cat", "human")


def test_a_check_takes_the_most_doubtful(run, store):
    audit = draw_audit(run, store, 6, seed=1)
    store.add([Answer(IDS[3], "bad"), Answer(IDS[4], "skip")])
    check = draw_check(run, store, 4)
    free = [name for name in IDS[2:] if name not in audit.images and name != IDS[3]]
    assert check.images == tuple(free[:4])
    assert check.name == "check-1"
    # who was passed over, and at what place
    places = {
        name: sum(SURE[other] < SURE[name] for other in check.images)
        for name in audit.images
        if SURE[name] < SURE[check.images[-1]]
    }
    assert dict(check.passed) == places
    assert check.passed
    store.add([Answer(check.images[0], "label", "dog", round="check-1")])
    sync(run, store)
    assert rows(run)[check.images[0]] == ("labeled", "dog", "human")
    again = draw_check(run, store, 100)
    assert again.images == tuple(free[1:])
    store.add([Answer(name, "unsure", round="check-2") for name in again.images])
    with pytest.raises(DataError, match="no prediction is left to check"):
        draw_check(run, store, 1)


def test_nothing_to_draw_from(run, store):
    for draw in (draw_audit, draw_check):
        with pytest.raises(UsageError, match="count: 0 images"):
            draw(run, store, 0)
    write_predictions(run, dict.fromkeys(IDS, "cat"), human=IDS)
    with pytest.raises(DataError, match="a person has labelled every image"):
        draw_audit(run, store, 3)
    (run.path / "predictions.parquet").unlink()
    with pytest.raises(DataError, match=r"nothing is predicted yet\. First: usl train"):
        draw_check(run, store, 3)
    assert store.rounds() == []


def test_images_of_a_round(run, store):
    sync(run, store)
    assert round_images(run, store) == IDS[2:5]
    store.add([Answer(IDS[3], "label", "cat"), Answer(IDS[10], "label", "cat", round="check-1")])
    assert round_images(run, store) == IDS[2:5]
    sync(run, store)
    assert round_images(run, store) == IDS[2:5]  # labelled since, and still of the round
    audit = draw_audit(run, store, 3)
    assert round_images(run, store, "audit-1") == list(audit.images)
    with pytest.raises(UsageError, match="there is no 'audit-9'; known are labels, audit-1"):
        find_round(store, "audit-9")


def test_two_programs_that_draw_at_once_share_no_image(run):
    import threading

    drawn, failures = [], []

    def draws():
        try:
            with Store.open(run.path) as store:
                drawn.append(draw_audit(run, store, 4))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=draws) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(one.name for one in drawn) == [f"audit-{i}" for i in range(1, 5)]
    assert len(np.unique([name for one in drawn for name in one.images])) == 16
