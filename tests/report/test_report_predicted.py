"""The predicted classes, what people said in place of a label, doubts, dots without a picture."""

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pyarrow.parquet
from map_run import CLASSES, picture
from report_page import Page

import usl
from usl.core.errors import DataError, UslWarning
from usl.data.images import ObjectImages
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store
from usl.report.facts import explorer
from usl.report.report import write_report
from usl.report.sections import predicted
from usl.run.folder import Run


def page_of(run, found, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        return Page.of(write_report(run, collection=found, points=60, **settings)).check()


def table_of(run):
    path = run.models()[0].path / "predictions.parquet"
    return [row for row in pyarrow.parquet.read_table(path).to_pylist() if row["source"] != "human"]


def test_counts_and_shares_of_every_class(run, found):
    page = page_of(run, found)
    told = table_of(run)
    split = run.split()
    given = split.labels[split.labeled("train")].tolist()
    text = page.text("predictions")
    assert f"The model has labelled {len(told):,} images that nobody has answered" in text
    for name in CLASSES:
        own = [row["confidence"] for row in told if row["label"] == name]
        cells = (
            f"{len(own)} {100 * len(own) / len(told):.1f}% {given.count(name)} "
            f"{100 * given.count(name) / len(given):.1f}% {100 * np.mean(own):.1f}%"
        )
        shown = " ".join(name.encode("utf-8", "replace").decode().split())
        assert f"{shown} {cells}" in text


def test_a_gallery_has_the_surest_and_the_most_doubtful(run, found):
    page = page_of(run, found)
    told = table_of(run)
    shown = [a["alt"] for a in page.all("img", inside="predictions")]
    wanted = []
    counts = {name: sum(row["label"] == name for row in told) for name in CLASSES}
    for name in sorted(CLASSES, key=lambda name: (-counts[name], name)):
        own = sorted((r for r in told if r["label"] == name), key=lambda r: -r["confidence"])
        confident = [r["confidence"] for r in own]
        assert confident[4] > confident[-5]
        wanted.append((confident[:5], confident[-5:][::-1]))
    sure = {row["image_id"]: row["confidence"] for row in told}
    values = [sure[name] for name in shown]
    assert values == [value for pair in wanted for part in pair for value in part]


def test_a_class_of_few_images_is_shown_once(run, found, monkeypatch):
    monkeypatch.setattr(predicted, "MOST", 1_000)
    monkeypatch.setattr(predicted, "PICTURES", 10_000)
    page = page_of(run, found)
    shown = [a["alt"] for a in page.all("img", inside="predictions")]
    assert len(shown) == len(set(shown)) == len(table_of(run))


def test_many_classes_are_cut_and_the_page_says_so(run, found, monkeypatch):
    monkeypatch.setattr(predicted, "GALLERIES", 1)
    monkeypatch.setattr(predicted, "ROWS", 2)
    text = page_of(run, found).text("predictions")
    assert "The 2 commonest of 3 classes." in text
    assert "2 more classes have no pictures here." in text


def test_doubts_of_the_training_are_at_the_top(run, found, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    other = Run.open(tmp_path / "run")
    assert "hardly better" not in page_of(other, found).text("header")
    doubt = "The model is hardly better than guessing & <b>more</b>."
    other.update(training={**other.info["training"], "doubts": [doubt]})
    page = page_of(Run.open(tmp_path / "run"), found)
    assert doubt in page.text("header")
    assert len(page.all("p", class_="notice", role="note")) >= 1


def test_cannot_tell_and_bad_images_say_so(found, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        run = usl.start_run(found, 5, tmp_path / "run")
    names = run.split().ids[run.split().requested()].tolist()
    with Store.open(run.path) as store:
        store.add(
            [
                Answer(names[0], "label", CLASSES[0]),
                Answer(names[1], "unsure"),
                Answer(names[2], "bad"),
                Answer(names[3], "label", CLASSES[0], annotator="a"),
                Answer(names[3], "label", CLASSES[1], annotator="b"),
            ]
        )
    page = page_of(run, found)
    text = page.text("picks")
    for words in ("answered: cannot tell", "answered: bad image", "answers differ"):
        assert text.count(words) == 1
    assert len(page.all("span", class_="undecided")) == 3
    data = page.data()
    said = {data["ids"][int(i)]: words for i, words in data["said"].items()}
    assert said == {
        names[1]: "answered: cannot tell",
        names[2]: "answered: bad image",
        names[3]: "answers differ",
    }


class Broken(ObjectImages):
    """Pictures of which every fifth cannot be read."""

    def read(self, row):
        if row % 5 == 0:
            raise DataError(f"{row}: broken")
        return super().read(row)


def test_dots_without_a_picture_are_accounted_for(run, found, monkeypatch):
    known = [CLASSES.index(label) for label in found.labels.tolist()]
    broken = replace(found, images=Broken(known, picture))
    data = page_of(run, broken).data()
    picks = {point for point, _, _ in data["picks"]}
    unread = set(data["pictures"]["unread"])
    assert unread == {i for i in range(len(found)) if i % 5 == 0} - picks
    assert unread | set(data["pictures"]["of"]) | picks == set(range(len(found)))
    monkeypatch.setattr(explorer, "SAMPLED", 50)
    data = page_of(run, found).data()
    assert data["blank"] == "No picture: this page has room for 50 images, drawn at random."
