"""What people answered, from the store through training to the report."""

import shutil
import sqlite3
import warnings

import numpy as np
import pytest
from PIL import Image
from report_page import Page

import usl
from usl.cli import main
from usl.core.errors import DataError, UslWarning
from usl.labeling.answers.audit import accuracy_of_collection
from usl.labeling.answers.entries import Answer, Round
from usl.labeling.answers.live import live_round
from usl.labeling.answers.rounds import draw_audit
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync import sync
from usl.report.report import write_report
from usl.report.sections.audit import plain_words, shortened
from usl.run.folder import Run
from usl.run.predictions import machine_labelled

COLOURS = {"red & <i>": (200, 60, 60), "green": (60, 170, 80), "blue": (70, 90, 210)}
NAMES = list(COLOURS)


def truth(name):
    return NAMES[int(name[:3]) % 3]


def quietly(function, *args, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        return function(*args, **settings)


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A run of 40 images whose 6 picks were answered, not yet settled, by nobody but the store."""
    root = tmp_path_factory.mktemp("answered")
    (root / "photos").mkdir()
    for i in range(40):
        name = f"{i:03d}.png"
        rng = np.random.default_rng(i)
        pixels = np.array(COLOURS[truth(name)]) + rng.integers(-40, 40, (70, 80, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "photos" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(root / "cache"))
        run = quietly(usl.start_run, root / "photos", 6, root / "run", model="pixels")
    picks = run.split().ids[:6].tolist()
    with Store.open(run.path) as store:
        store.add([Answer(name, "label", truth(name)) for name in picks])
    return run


@pytest.fixture
def run(answered, tmp_path):
    shutil.copytree(answered.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.fixture
def trained(run):
    return quietly(usl.train, run)


def report(run):
    """The page; its scripts and styles are another test's business."""
    return Page.of(quietly(write_report, run))


def test_every_verb_reads_the_answers(run):
    assert not len(run.split().labeled())
    page = report(run)
    assert len(page.all("strong", class_="label")) == 6
    assert "6 answers from 1 annotator." in page.text("answers")
    assert len(run.split().labeled()) == 6
    with Store.open(run.path) as store:
        store.undo([1])
    trained = quietly(usl.train, run)
    assert trained.info["training"]["labels"] == 5
    with Store.open(run.path) as store:
        store.add([Answer("000.png", "label", truth("000.png"), final=True)])
    with pytest.raises(DataError, match="no answers to compare with"):
        usl.evaluate(trained)
    assert "000.png" in run.split().ids[run.split().sources == "human"].tolist()


def test_no_audit_no_section(trained):
    page = report(trained)
    assert "audit" not in page.sections()
    assert "by an audit" not in page.text("header")


def test_an_audit_that_nobody_has_answered(trained):
    with Store.open(trained.path) as store:
        draw_audit(trained, store, 10)
    page = report(trained)
    assert "An audit of 10 images is drawn; none is judged yet." in page.text("audit")


def test_the_accuracy_of_all_labels(trained):
    with Store.open(trained.path) as store:
        machine = machine_labelled(trained.path, sync(trained, store))
        predicted = dict(zip(machine.ids.tolist(), machine.labels.tolist(), strict=True))
        audit = draw_audit(trained, store, 20)
        *judged, unclear, bad, _ = audit.images
        wrong = judged[:2]
        store.add(
            [
                Answer(
                    name,
                    "label",
                    "<b>odd" if name in wrong else predicted[name],
                    round=audit.name,
                )
                for name in judged
            ]
        )
        store.add([Answer(unclear, "unsure", round=audit.name)])
        store.add([Answer(bad, "bad", round=audit.name)])
        found = accuracy_of_collection(trained, sync(trained, store), store)
    page = report(trained)
    text = page.text("audit")
    assert "17 images were drawn uniformly at random" in text
    assert "15 of the predictions are right" in text
    whole = found["collection"]
    assert whole["accuracy"] == pytest.approx((6 + 34 * 15 / 17) / 40)
    shown = f"40 {100 * whole['accuracy']:.1f}% {100 * whole['low']:.1f}% to "
    assert shown + f"{100 * whole['high']:.1f}%" in text
    assert f"34 {100 * 15 / 17:.1f}%" in text
    assert "if every image without a verdict were wrong" in text
    assert "1 not judged yet; 2 called bad or undecidable" in text
    assert "of the 40 labels about 4 are wrong" in text
    assert text.count("<b>odd") == 2
    assert "<b>" not in page.whole
    pictures = [a["alt"] for a in page.all("img")]
    assert {*wrong, bad} <= set(pictures)
    assert f"{100 * whole['accuracy']:.1f}%" in page.text("header")
    assert "of all labels right, by an audit of 17 (95% interval" in page.text("header")
    assert f"Called bad {bad}" in page.text("answers")


def test_many_wrong_predictions_are_counted(trained):
    with Store.open(trained.path) as store:
        audit = draw_audit(trained, store, 30)
        store.add([Answer(name, "label", "none", round=audit.name) for name in audit.images])
    page = report(trained)
    assert "Wrong predictions of the audit, the commonest first" in page.text("audit")
    assert "by predicted class" in page.text("audit")
    assert "of the 40 labels about 34 are wrong" in page.text("audit")


def test_annotators_who_differ(trained):
    picks = trained.split().ids[:6].tolist()
    with Store.open(trained.path) as store:
        store.add([Answer(n, "label", truth(n), "Ann") for n in picks])
        store.add([Answer(n, "label", "green", "<Bob>") for n in picks])
        store.undo([1, 2, 3, 4, 5, 6])
    text = report(trained).text("answers")
    assert "12 answers from 2 annotators. 6 images have two or more answers, equal in" in text
    assert "Cohen's kappa" in text
    torn = [name for name in picks if truth(name) != "green"]
    assert f"In dispute, and so without a label: {len(torn)} images (" in text
    assert set(torn) == set(text.partition("images (")[2].partition(")")[0].split(", "))
    assert "<Bob>" in text


def test_answers_given_live_and_what_people_saw(trained):
    picks = trained.split().ids[:6].tolist()
    with Store.open(trained.path) as store:
        blind = live_round(store, {"suggest": False})
        store.add([Answer(name, "label", truth(name), round=blind.name) for name in picks[:3]])
        text = report(trained).text("answers")
        assert "3 answers were given live, while a model chose what came next; people did" in text
        shown = live_round(store, {"suggest": True})
        assert (blind.name, shown.name) == ("live-1", "live-2")
        assert live_round(store, {"suggest": False}) == blind
        ids = store.add([Answer(n, "label", truth(n), round=shown.name) for n in picks[3:]])
        store.undo(ids[:1])
    text = report(trained).text("answers")
    assert "5 answers were given live" in text
    assert "for 2 of them the page suggested its class" in text


def test_those_that_a_check_passed_over_are_told(trained):
    with Store.open(trained.path) as store:
        machine = machine_labelled(trained.path, sync(trained, store))
        ids = machine.ids.tolist()
        store.add_round(Round("", "audit", tuple(ids[:12])))
        store.add_round(Round("", "check", tuple(ids[12:15]), passed=((ids[0], 0), (ids[1], 1))))
        labels = dict(zip(ids, machine.labels.tolist(), strict=True))
        store.add([Answer(n, "label", labels[n], round="audit-1") for n in ids[:12]])
        store.add([Answer(ids[14], "label", labels[ids[14]], round="check-1")])
    text = report(trained).text("audit")
    assert "2 more (2 right) are as doubtful as those that a check has labelled since" in text


def test_a_store_that_cannot_be_read_is_a_note(trained):
    store_path(trained.path).write_bytes(b"no database" * 100)
    page = report(trained)
    assert "The newest answers may be missing here." in page.text("header")
    assert "What people answered is not shown." in page.text("header")
    assert "picks" in page.sections()
    with pytest.raises(DataError, match="is damaged"):  # but never a training without them
        usl.train(trained)


def test_a_newer_store_is_a_note(trained):
    connection = sqlite3.connect(store_path(trained.path))
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    page = report(trained)
    assert "made by a newer version of usl" in page.text("header")


def test_overwriting_a_run_keeps_answers_that_are_not_settled(run):
    out = run.path
    with Store.open(out) as store:
        count = len(store.history())
    source = run.info["source"]["path"]
    quietly(usl.start_run, source, 6, out, model="pixels", overwrite=True)
    assert not store_path(out).exists()
    with Store.open(out.with_name("run.labeled-1")) as store:
        assert len(store.history()) == count == 6


def test_words():
    whole = {"n": 1000, "accuracy": 0.9, "low": 0.8, "high": 0.95}
    assert "about 100 are wrong, and with 95% confidence between 50 and 200" in plain_words(
        {"collection": whole}
    )
    assert shortened(("a", "b")) == "a, b"
    assert shortened(tuple("abcdefghijkl")) == "a, b, c, d, e, f, g, h, i, j and 2 more"


def test_an_audit_is_enough_to_evaluate(run, answered, tmp_path, capsys):
    """A folder without known answers: the audit's figure, from its definition, and in words."""
    quietly(usl.train, run)
    with pytest.raises(DataError, match=r"--audit 50"):
        usl.evaluate(run)
    with Store.open(run.path) as store:
        drawn = draw_audit(run, store, 12)
        wrong = drawn.images[0]
        machine = machine_labelled(run.path, sync(run, store))
        said = dict(zip(machine.ids.tolist(), machine.labels.tolist(), strict=True))
        other = next(name for name in NAMES if name != said[wrong])
        store.add(
            [
                Answer(one, "label", other if one == wrong else said[one], round=drawn.name)
                for one in drawn.images
            ]
        )
    found = usl.evaluate(run)
    assert {"test", "val", "train"}.isdisjoint(found)
    audit = found["audit"]
    assert (audit["judged"], audit["right"], audit["n"], audit["human"]) == (12, 11, 40, 6)
    assert audit["accuracy"] == pytest.approx((6 + 34 * 11 / 12) / 40)
    assert audit["low"] < audit["accuracy"] < audit["high"]
    share, low, high = (f"{100 * audit[name]:.1f}%" for name in ("accuracy", "low", "high"))
    assert audit["text"] == (
        f"{share} of all 40 labels are right, by an audit of 12 predictions "
        f"(95% interval {low} to {high})."
    )
    assert main(["evaluate", str(run.path)]) == 0
    assert audit["text"][:30] in capsys.readouterr().out
    page = report(run)
    assert f"95% interval {low} to {high}" in page.text("header")
