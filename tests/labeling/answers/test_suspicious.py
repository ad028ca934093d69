"""Labels that the others contradict: who they are, and how they are asked again."""

from __future__ import annotations

import warnings

import pyarrow as pa
import pyarrow.parquet
import pytest
from label_run import IDS, edit, make_run, rows

import usl
from usl.core.errors import DataError
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.rounds import answered_images, draw_audit, draw_check
from usl.labeling.answers.store import Store
from usl.labeling.answers.suspicious import contradicted
from usl.labeling.answers.sync import sync
from usl.labeling.page.serve import open_round, summary, tell_suspicious

GIVEN = {IDS[0]: "cat", IDS[1]: "dog", IDS[2]: "cat", IDS[3]: "dog", IDS[4]: "cat"}
TOLD = {  # what the other labels say
    IDS[0]: ("dog", 0.2),
    IDS[1]: ("cat", 0.001),
    IDS[2]: ("cat", 0.9),
    IDS[3]: ("emu", 0.04),
    IDS[4]: (None, None),  # the only label of its class
}


@pytest.fixture
def run(tmp_path):
    """Twenty images, the first five labelled on the page, three of these against the others."""
    run = make_run(tmp_path / "run")
    with Store.open(run.path) as store:
        store.add([Answer(name, "label", label) for name, label in GIVEN.items()])
        sync(run, store)
    tell(run, GIVEN, TOLD)
    return run


def tell(run, given, told):
    """Write a table of predictions of these labels, the others' being 'cat'."""
    ids = [*given, *[name for name in IDS if name not in given]]
    table = pa.table(
        {
            "image_id": ids,
            "subset": ["train"] * len(ids),
            "label": [given.get(name, "cat") for name in ids],
            "confidence": [1.0 if name in given else 0.5 + 0.01 * IDS.index(name) for name in ids],
            "source": ["human" if name in given else "predicted" for name in ids],
            "unlike": pa.array([None] * len(ids), pa.float64()),
            "suggestion": pa.array([told.get(name, (None, None))[0] for name in ids], pa.string()),
            "support": pa.array([told.get(name, (None, None))[1] for name in ids], pa.float64()),
        }
    )
    pyarrow.parquet.write_table(table, run.path / "predictions.parquet")


def test_the_least_supported_come_first_with_the_reason(run):
    found = usl.suspicious_labels(run.path)
    assert [one.image_id for one in found] == [IDS[1], IDS[3], IDS[0]]
    assert [one.suggestion for one in found] == ["cat", "emu", "dog"]
    assert str(found[0]) == f"{IDS[1]}: 'dog' by its label, 'cat' by the others ('dog': below 1%)"
    assert str(found[2]) == f"{IDS[0]}: 'cat' by its label, 'dog' by the others ('cat': 20%)"


def test_a_label_that_was_changed_or_given_twice_is_none(run):
    with Store.open(run.path) as store:
        store.add([Answer(IDS[1], "label", "cat"), Answer(IDS[3], "label", "dog", round="check-1")])
        sync(run, store)
        assert [one.image_id for one in contradicted(run, run.split(), store)] == [IDS[0]]
    edit(run, row1="emu")
    assert usl.suspicious_labels(run) == []


def test_labels_by_hand_and_without_a_store(tmp_path):
    run = make_run(tmp_path / "run")
    edit(run, row1="cat", row2="dog")
    tell(run, {IDS[0]: "cat", IDS[1]: "dog"}, {IDS[0]: ("dog", 0.1)})
    assert [one.image_id for one in usl.suspicious_labels(run)] == [IDS[0]]
    assert not (run.path / "labels.sqlite").exists()


def test_nothing_is_trained(tmp_path):
    with pytest.raises(DataError, match=r"nothing is predicted yet\. First: usl train"):
        usl.suspicious_labels(make_run(tmp_path / "run"))


def test_a_check_begins_with_them(run):
    with Store.open(run.path) as store:
        check = draw_check(run, store, 4)
        assert check.images == (IDS[1], IDS[3], IDS[5], IDS[6])  # half of them labels
        assert draw_check(run, store, 1).images == (IDS[1],)
        more = draw_check(run, store, 100).images
        assert more == (IDS[1], IDS[3], IDS[0], *IDS[5:])


def test_a_check_of_a_run_in_which_everything_is_labelled(run):
    given = {name: GIVEN.get(name, "cat") for name in IDS}
    with Store.open(run.path) as store:
        store.add([Answer(name, "label", "cat") for name in IDS[5:]])
        sync(run, store)
        tell(run, given, TOLD)
        assert draw_check(run, store, 20).images == (IDS[1], IDS[3], IDS[0])
        tell(run, given, {})
        with pytest.raises(DataError, match="no label and no prediction is left to check"):
            draw_check(run, store, 20)


def test_audited_images_are_not_among_them(run):
    tell(run, {name: GIVEN[name] for name in IDS[:3]}, TOLD)
    with Store.open(run.path) as store:
        audit = draw_audit(run, store, 100)
        store.add([Answer(IDS[5], "label", "dog")])
        tell(run, {**GIVEN, IDS[5]: "dog"}, {**TOLD, IDS[5]: ("cat", 0.0)})
        sync(run, store)
        assert IDS[5] in audit.images
        assert contradicted(run, run.split(), store)[0].image_id == IDS[5]
        assert IDS[5] not in draw_check(run, store, 4).images


def test_a_second_look_counts_once_it_is_taken(run):
    lines = []
    with Store.open(run.path) as store:
        check = draw_check(run, store, 4)
        assert tell_suspicious(run, store, check, lines.append) == [IDS[1], IDS[3]]
        assert lines[0] == "Labels to look at again: 2, the most suspicious first."
        assert f"{IDS[1]}: 'dog' by its label, 'cat' by the others" in lines[1]
        assert answered_images(store, check) == set()
        assert summary(run, store, check)[0] == "0 of 4 images answered."
        store.add([Answer(IDS[1], "label", "cat", round=check.name)])
        store.add([Answer(IDS[3], "label", "dog", round=check.name)])
        sync(run, store)
        assert rows(run)[IDS[1]] == ("labeled", "cat", "human")
        assert rows(run)[IDS[3]] == ("labeled", "dog", "human")
        assert summary(run, store, check)[0] == "2 of 4 images answered."
        assert open_round(run, store, None, 4, lines.append) == check
        assert lines[-1] == "Going on with check-1: 2 of 4 images are left."
        store.add([Answer(name, "label", "cat", round=check.name) for name in IDS[5:7]])
        sync(run, store)
        again = open_round(run, store, None, 4, lines.append)
        assert again.name == "check-2"
        assert again.images[0] == IDS[0]  # corrected and confirmed ones do not come again
        assert not {IDS[1], IDS[3]} & set(again.images)


def test_by_hand_labels_can_be_corrected_on_the_page(tmp_path):
    run = make_run(tmp_path / "run")
    edit(run, row1="cat", row2="dog")
    tell(run, {IDS[0]: "cat", IDS[1]: "dog"}, {IDS[0]: ("dog", 0.1)})
    with Store.open(run.path) as store:
        check = draw_check(run, store, 2)
        assert check.images[0] == IDS[0]
        store.add([Answer(IDS[0], "label", "dog", round=check.name)])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sync(run, store)
    assert rows(run)[IDS[0]] == ("labeled", "dog", "human")
