"""The report at every stage of a run, on images, read with a strict parser."""

import io
import json
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from report_page import Page

import usl
from usl.core.errors import DataError, UsageError, UslWarning
from usl.evaluation.evaluate import evaluate
from usl.report.drawing.thumbnails import SIDE, data_uri
from usl.report.facts.records import COMPARISON
from usl.report.report import write_report
from usl.run.folder import Run

CLASSES = ("cat & <b>dog", "<script>alert(1)", "sky")
COLOURS = ((200, 80, 60), (60, 160, 80), (90, 140, 220))


def write_image(path, colour, seed, size):
    rng = np.random.default_rng(seed)
    pixels = np.array(colour) + rng.integers(-40, 40, (size, size + 10, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def folder_of_images(root, *, named=True, test=False, n=45, size=70):
    for i in range(n):
        parts = [CLASSES[i % 3]] if named else []
        if test:
            parts.insert(0, "test" if i % 3 == i % 5 else "train")
        write_image(root.joinpath(*parts, f"{i:03d}.png"), COLOURS[i % 3], i, size)
    return root


def start(source, out, budget=9, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)  # k is larger than these few images
        return usl.start_run(source, budget, out, model="pixels", **settings)


def label(run, answers):
    """Give the first labels that were asked for."""
    split = run.split()
    split.with_labels(split.requested()[: len(answers)], answers).write(run.path)


def quietly(function, *args, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        return function(*args, **settings)


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """A run on a flat folder, nothing labelled, with one image that cannot be read."""
    root = tmp_path_factory.mktemp("selected")
    photos = folder_of_images(root / "photos", named=False)
    (photos / "broken.png").write_bytes(b"no image")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(root / "cache"))
        return start(photos, root / "run")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A run with everything but a comparison: class folders, train and test."""
    root = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(root / "cache"))
        run = start(folder_of_images(root / "photos", test=True), root / "run")
        truth = run.collection()
        known = dict(zip(truth.ids.tolist(), truth.labels.tolist(), strict=True))
        split = run.split()
        label(run, [known[i] for i in split.ids[split.requested()].tolist()])
        run = quietly(usl.train, run)
        evaluate(run)
    return run


def copy_of(run, folder):
    shutil.copytree(run.path, folder)
    return Run.open(folder)


@pytest.fixture
def run_copy(evaluated, tmp_path):
    return copy_of(evaluated, tmp_path / "run")


def test_just_selected(selected, tmp_path):
    run = copy_of(selected, tmp_path / "run")
    path = write_report(run)
    assert path == tmp_path / "run" / "report.html"
    page = Page.of(path).check()
    assert page.sections() == ["picks", "budget", "outliers", "map", "provenance"]
    header = page.text("header")
    assert "9 of 45 images picked by quorum on pixels features." in header
    assert "split.csv , rows 2 to 10, then usl train" in header
    assert page.text("picks").count("no label yet") == 9
    # rank order: the alternative texts name rank and id
    order = [a["alt"] for a in page.all("img") if a["alt"].startswith("pick ")]
    picked = run.split().ids[:9]
    assert order == [f"pick {rank}: {name}" for rank, name in enumerate(picked, 1)]
    assert "the pick that stands for the image" in page.text("map")
    assert "1 image could not be read" in page.text("provenance")
    assert "broken.png" in page.text("provenance")


def test_figures_of_a_pick(run_copy):
    import pyarrow.parquet

    page = Page.of(write_report(run_copy)).check()
    table = pyarrow.parquet.read_table(run_copy.path / "selection.parquet").to_pylist()
    text = page.text("picks")
    second = table[1]
    assert second["nearest_earlier"] == 1
    assert "→ the first" in text
    assert f"→ #1 at {second['nearest_distance']:.2f}" in text
    assert f"stands for {second['represents']}" in text
    agree, dense, score = (f"{second[x]:.2f}" for x in ("confidence", "density", "utility"))
    learned = run_copy.info["selection"]["parameters"]["chosen"] == "usl_t"
    decided = f"{'confidence' if learned else 'score'} {score}"
    assert f"consensus {agree} density {dense} {decided}" in text.replace("\u00a0", " ")
    assert len(page.all("strong", class_="label")) == 9


def test_answers_of_the_source_differ_from_given_labels(run_copy):
    split = run_copy.split()
    type(split).start(split.ids, split.subsets, picks=range(9)).write(run_copy.path)
    label(run_copy, ["sky"])
    page = Page.of(quietly(write_report, run_copy)).check()
    assert len(page.all("strong", class_="label")) == 1
    assert len(page.all("em", class_="label")) == 8


def test_nothing_from_names_becomes_markup(evaluated):
    page = Page.of(quietly(write_report, evaluated)).check()
    assert page.whole.count("<script") == len(page.scripts) == 2
    assert "<script>" not in page.whole
    assert "<b>" not in page.whole
    assert "<script>alert(1)" in page.text("classes")
    assert "cat & <b>dog" in page.text("accuracy")
    assert "default-src 'none'" in page.all("meta")[2]["content"]


def test_partly_labelled_then_trained(selected, tmp_path):
    run = copy_of(selected, tmp_path / "run")
    label(run, ["red", "green", "red", "green"])
    page = Page.of(write_report(run)).check()
    assert "4 of 9 requested labels are there." in page.text("header")
    assert "4 of 9 picks have a label, of 2 classes." in page.text("classes")
    run = quietly(usl.train, run)
    page = Page.of(write_report(run)).check()
    assert "Colour: the predicted class." in page.text("map")
    assert page.text("doubtful").count("% sure") == 8
    assert "accord on 4 labels of 2 classes" in page.text("provenance")
    label(run, ["blue"])
    with pytest.warns(UslWarning, match=r"learned from 4 labels; split\.csv now holds 5"):
        page = Page.of(write_report(run)).check()
    assert "Train again" in page.text("header")


def test_evaluated(evaluated):
    figures = json.loads((evaluated.path / "evaluation.json").read_text())
    page = Page.of(write_report(evaluated)).check()
    test, train = figures["test"], figures["train"]
    right = f"{100 * test['accuracy']:.1f}%"
    assert f"{right} of {test['n']} test images right from 9 labels" in page.text("header")
    assert f"test out of sample {test['n']} {right}" in page.text("accuracy")
    assert f"train transductive {train['n']} {100 * train['accuracy']:.1f}%" in page.text(
        "accuracy"
    )
    assert "supervision: none" in page.text("accuracy")
    cells = [a for a in page.all("td") if a.get("class") in ("right", "wrong")]
    assert len(cells) == len(test["confusion"]) ** 2
    counts = figures["picks"]["counts"]
    for name, count in counts.items():
        assert f"{name} {count} " in page.text("classes")
    assert f"{100 * figures['picks']['coverage']:.1f}%" in page.text("classes")
    assert f"{figures['picks']['balance']:.3f}" in page.text("classes")


def test_comparison(run_copy):
    figure = {"mean": 0.9, "sd": 0.01}
    method = dict.fromkeys(("test", "transductive", "coverage", "balance", "seconds"), figure)
    rows = [
        {"method": name, "seed": seed, "test": base + seed / 100}
        for name, base in (("usl", 0.8), ("random", 0.7), ("stratified", 0.81))
        for seed in range(3)
    ]
    record = {
        "budget": 9,
        "learner": "label_spreading",
        "seeds": 3,
        "methods": {
            "usl": {"oracle": False, **method},
            "random": {"oracle": False, **method},
            "stratified": {"oracle": True, **method},
        },
        "differences": {
            "usl - random": {"mean": 0.1, "low": 0.05, "high": 0.16, "n": 3},
            "usl - stratified": {"mean": -0.01, "low": -0.02, "high": 0.001, "n": 3},
        },
        "rows": rows,
    }
    (run_copy.path / COMPARISON).write_text(json.dumps(record))
    page = Page.of(write_report(run_copy)).check()
    text = page.text("comparison")
    assert "random 90.0% 1.0 +10.0 [+5.0, +16.0]" in text.replace("  ", " ")
    assert "stratified (oracle) *" in text
    assert "−1.0 [−2.0, +0.1]" in text
    assert "3 seeds" in text
    assert len(page.all("circle", class_="seed")) == 9
    assert "+10.0 points" in page.text("header")
    assert "95% interval +5.0 to +16.0" in page.text("header")


def test_oracle_is_marked(run_copy):
    assert "Oracle" not in Page.of(write_report(run_copy)).text("header")
    picked = {**run_copy.info["selection"], "method": "stratified", "oracle": True}
    page = Page.of(write_report(run_copy.update(selection=picked))).check()
    assert "Oracle. This selection has read the answers" in page.text("header")
    assert "In the order of the draw." in page.text("picks")


def test_supervised_encoder_is_said(run_copy):
    encoder = {**run_copy.info["encoder"], "supervision": "ImageNet labels"}
    page = Page.of(quietly(write_report, run_copy.update(encoder=encoder))).check()
    assert "was trained with ImageNet labels: every figure here rests" in page.text("header")


def test_images_that_changed_or_went(selected, tmp_path):
    run = copy_of(selected, tmp_path / "run")
    photos = tmp_path / "moved"
    shutil.copytree(run.info["source"]["path"], photos)
    first, second, third = run.split().ids[:3]
    write_image(photos / first, (0, 0, 0), 99, 70)
    (photos / second).write_bytes(b"no image")
    (photos / third).unlink()
    with pytest.warns(UslWarning, match="not those of the selection"):
        page = Page.of(write_report(run, source=str(photos))).check()
    missing = page.all("span", class_="missing")
    assert [m["aria-label"] for m in missing[:3]] == [
        f"pick {rank}: {name}: changed or gone"
        for rank, name in enumerate((first, second, third), 1)
    ]
    assert len([a for a in page.all("img") if a["alt"].startswith("pick ")]) == 6
    assert len(page.all("a", tabindex="-1")) == 6  # marks on the map


def test_encoder_that_cannot_be_used(run_copy):
    encoder = {**run_copy.info["encoder"], "name": "no_such_encoder"}
    with pytest.warns(UslWarning, match="no_such_encoder"):
        page = Page.of(write_report(run_copy.update(encoder=encoder))).check()
    assert "No map and no outliers" in page.text("header")
    assert not {"map", "budget", "outliers"} & set(page.sections())
    assert len([a for a in page.all("img") if a["alt"].startswith("pick ")]) == 9


def test_out_and_what_it_replaces(run_copy, tmp_path):
    out = tmp_path / "elsewhere" / "page.html"
    assert write_report(run_copy, out=out) == out
    first = out.read_bytes()
    assert write_report(run_copy, out=out).read_bytes() == first  # its own report, and the same
    own = tmp_path / "notes.html"
    own.write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.html exists and is no report"):
        write_report(run_copy, out=own)
    assert own.read_text() == "mine"
    with pytest.raises(UsageError, match="is a folder"):
        write_report(run_copy, out=tmp_path)


def test_run_without_a_selection(run_copy):
    (run_copy.path / "selection.parquet").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"selection\.parquet cannot be read"):
        write_report(run_copy)


def test_thumbnails_are_small_and_tiny_ones_exact():
    rng = np.random.default_rng(0)
    tiny = Image.fromarray(rng.integers(0, 256, (28, 28), dtype=np.uint8))
    kept = Image.open(io.BytesIO(from_uri(data_uri(tiny), "png")))
    assert np.array_equal(np.asarray(kept), np.asarray(tiny))
    large = Image.fromarray(rng.integers(0, 256, (900, 600, 3), dtype=np.uint8))
    small = Image.open(io.BytesIO(from_uri(data_uri(large), "jpeg")))
    assert small.size == (round(SIDE * 2 / 3), SIDE)
    assert len(data_uri(large)) < 20_000  # noise, the worst case


def from_uri(uri, kind):
    import base64

    head, _, body = uri.partition(",")
    assert head == f"data:image/{kind};base64"
    return base64.b64decode(body)
