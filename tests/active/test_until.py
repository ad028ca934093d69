"""usl.until on a run, and the words of usl next --until."""

import json

import numpy as np
import pytest

import usl
from labeling.label_run import edit, make_run, write_predictions
from usl.cli.until import as_record, duration, step, verdict
from usl.core.errors import DataError, UsageError
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.rounds import draw_audit
from usl.labeling.answers.store import Store

IDS = [f"{number:03d}.jpg" for number in range(400)]


@pytest.fixture
def run(tmp_path):
    """Four hundred images, two of them a person's; the model calls all others cat, and is sure."""
    run = make_run(tmp_path / "run", ids=IDS, picks=range(2))
    edit(run, row1="cat", row2="dog")
    write_predictions(run, dict.fromkeys(IDS, "cat"), dict.fromkeys(IDS, 0.98), human=IDS[:2])
    return run


def judge(run, count, wrong=0):
    """An audit of so many, all but a few of them right."""
    with Store.open(run.path) as store:
        audit = draw_audit(run, store, count)
        labels = ["dog"] * wrong + ["cat"] * (count - wrong)
        answers = zip(audit.images, labels, strict=True)
        store.add([Answer(name, "label", label, round=audit.name) for name, label in answers])


def test_what_cannot_be_told(run, tmp_path):
    for target in (0, 1, -0.1, float("nan"), True, "0.9"):
        with pytest.raises(UsageError, match="until: "):
            usl.until(run, target)
    with pytest.raises(UsageError, match=r"Did you mean 0\.95\?"):
        usl.until(run, 95)
    with pytest.raises(DataError, match="nothing is predicted yet"):
        usl.until(make_run(tmp_path / "other"), 0.95)


def test_from_no_audit_to_a_proof(run):
    before = usl.until(run, 0.9)
    assert before.advice.reached is None
    assert verdict(before).startswith("Not known yet: nothing is audited")
    assert step(before) == f"audit 30 (about 60 s): usl label {run.path} --audit 30"
    judge(run, 30)
    again = usl.until(run, 0.9)
    look = again.advice.look
    assert (look.number, look.judged, look.accuracy) == (1, 30, 1.0)
    z = 2.241402727604947  # normal quantile of 1 - 0.05 / 2 / 2
    assert look.low == pytest.approx((2 + 398 * 30 / (30 + z * z)) / 400)  # Wilson's, all right
    judge(run, 100)
    shown = usl.until(run, 0.9)
    assert shown.advice.reached
    assert verdict(shown).startswith("Reached: 100.0% right by an audit of 130")
    assert verdict(shown).endswith("so at least 90%.")
    assert json.loads(json.dumps(as_record(shown)))["look"]["number"] == 2


def test_a_look_is_spent_once_and_is_no_word_on_later_labels(run):
    judge(run, 60, wrong=12)
    first, same = usl.until(run, 0.9), usl.until(run, 0.95)
    assert first.advice.look == same.advice.look
    assert first.advice.reached is False
    assert "not there yet" in verdict(first)
    edit(run, row3="cat")
    later = usl.until(run, 0.9)
    assert later.advice.look is None
    assert "older than the present labels" in verdict(later)
    record = json.loads((run.path / "until.json").read_text())
    assert len(record["looks"]) == 1
    (run.path / "until.json").write_text('{"looks": 3}')
    with pytest.raises(DataError, match=r"until\.json cannot be read"):
        usl.until(run, 0.9)


def test_an_unfinished_audit_is_no_look(run):
    with Store.open(run.path) as store:
        audit = draw_audit(run, store, 40)
        store.add([Answer(audit.images[0], "label", "cat", round=audit.name)])
    found = usl.until(run, 0.9)
    assert found.advice.look is None
    assert (found.advice.step, found.advice.count) == ("audit", 39)


def test_a_sweep_names_its_classes_and_a_pace_is_measured(run):
    sure = {name: 0.6 + 0.35 * (row % 20) / 20 for row, name in enumerate(IDS)}
    calls = {name: "cat" if row % 3 else "dog" for row, name in enumerate(IDS)}
    write_predictions(run, calls, sure, human=IDS[:2])
    with Store.open(run.path) as store:
        audit = draw_audit(run, store, 60)
        rng = np.random.default_rng(0)
        labels = [calls[name] if rng.random() < sure[name] else "owl" for name in audit.images]
        answers = zip(audit.images, labels, strict=True)
        store.add([Answer(i, "label", told, round=audit.name, seconds=1.0) for i, told in answers])
    found = usl.until(run, 0.95)
    assert found.advice.step == "sweep"
    assert list(found.classes) == ["cat", "dog"]
    assert sum(found.classes.values()) == found.advice.count == len(found.ids)
    assert f"usl label {run.path} --sweep cat --below {found.below:.3f}" in step(found)
    assert max(sure[name] for name in found.ids) < found.below < 0.95
    assert found.advice.pace.label == 1.0
    assert found.advice.pace.measured


def test_everything_labelled(tmp_path):
    run = make_run(tmp_path / "run", ids=IDS[:4], picks=range(4))
    edit(run, row1="cat", row2="dog", row3="cat", row4="cat")
    write_predictions(run, dict.fromkeys(IDS[:4], "cat"), human=IDS[:4])
    assert usl.until(run, 0.95).advice.reached
    assert verdict(usl.until(run, 0.95)).startswith("Reached: people have labelled 95%")


def test_durations_in_words():
    assert [duration(s) for s in (40, 360, 12_600)] == ["40 s", "6 minutes", "3.5 hours"]
