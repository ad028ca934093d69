"""What the report shows of a selection that learned its clusters: charts, warnings, figures."""

import itertools
import json
import shutil
import warnings

import numpy as np
import pyarrow.parquet
import pytest
from report_page import Page

import usl
from support import unit
from usl.core.errors import UslWarning
from usl.report.drawing.charts import BOTTOM, TOP, axis, log_axis, tick_text
from usl.report.report import write_report
from usl.report.sections.learning import by_head, curve
from usl.run.folder import Run
from usl.selection.result import METRICS

BUDGET = 6
FINE = {
    "head": 0,
    "step": 300,
    "global_loss": 0.1,
    "local_loss": 0.5,
    "confidence": 0.7,
    "above_tau": 0.2,
    "agreement": 0.8,
    "entropy": 0.97,
    "smallest": 0.6,
    "largest": 1.7,
}


def start(folder, features, **settings):
    np.savez(folder / "rows.npz", features=features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)  # so short a training may leave a cluster empty
        settings = {"method": "usl_t", "steps": 200, "k": 5} | settings
        return usl.start_run(folder / "rows.npz", BUDGET, folder / "run", **settings)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A run of one head on six directions."""
    rng = np.random.default_rng(3)
    points = np.repeat(np.eye(8)[:6] * 3, 30, axis=0) + rng.normal(scale=0.4, size=(180, 8))
    root = tmp_path_factory.mktemp("learned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(root / "cache"))
        return start(root, points.astype(np.float32))


@pytest.fixture
def run_copy(learned, tmp_path):
    shutil.copytree(learned.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def with_history(run, *records):
    text = "".join(json.dumps(record) + "\n" for record in records)
    (run.path / METRICS).write_text(text)
    return Page.of(write_report(run, points=0)).check()


def columns(run):
    return pyarrow.parquet.read_table(run.path / "selection.parquet").to_pydict()


def charts(page):
    return [
        a["aria-label"] for a in page.all("svg", role="img") if "step" in a.get("aria-label", "")
    ]


def test_charts_of_one_head(run_copy):
    page = Page.of(write_report(run_copy, points=0)).check()
    assert page.sections()[-3:] == ["map", "learning", "provenance"]
    last = json.loads((run_copy.path / METRICS).read_text().splitlines()[-1])
    assert (last["head"], last["step"]) == (0, 200)
    spoken = charts(page)
    assert len(spoken) == 6
    assert f"Local loss by step: ends at {last['local_loss']:.2f}" in spoken
    assert (
        f"Largest and smallest cluster by step: largest ends at {last['largest']:.2f}; "
        f"smallest ends at {last['smallest']:.2f}" in spoken
    )
    assert len(page.all("path", inside="learning", class_="curve")) == 6
    assert len(page.all("path", inside="learning", class_="curve second")) == 2
    assert len(page.all("rect", class_="zone")) == 3
    assert "head 0" not in page.text("learning")
    assert "its clusters are the ones used" not in page.text("learning")
    assert "drawn from their 5 nearest" in page.text("learning")
    assert "Only those with a confidence of 0 or more count" in page.text("learning")
    assert "its threshold is τ" in page.text("learning")  # the paper's word, in the footnote


def test_final_sizes(run_copy):
    table = columns(run_copy)
    pairs = zip(table["cluster"], table["cluster_size"], strict=True)
    sizes = sorted(dict(pairs).values(), reverse=True)
    page = Page.of(write_report(run_copy, points=0))
    text = page.text("learning")
    assert f"largest {sizes[0]} ( pick #{table['cluster_size'].index(sizes[0]) + 1} )" in text
    assert f"smallest {sizes[-1]} (" in text
    assert f"their mean, {np.mean(sizes):.2f}" in text
    (bars,) = page.all("path", class_="bar")
    assert bars["d"].count("z") == len(sizes)
    shared = len(table["rank"]) - len(sizes)
    assert ("had to share a cluster" in text) == (shared > 0)


def test_several_heads_have_a_line_each(blobs, tmp_path):
    run = start(tmp_path, blobs[0], heads=2, steps=100)
    page = Page.of(write_report(run, points=0)).check()
    assert len(page.all("path", inside="learning", class_="curve")) == 12
    assert len({a["style"] for a in page.all("path", inside="learning", class_="curve")}) == 2
    assert "head 0 (its clusters are the ones used) head 1" in page.text("learning")
    assert "mean of 2 heads" in page.text("picks")


def test_verdict_when_all_is_well(run_copy):
    text = with_history(run_copy, FINE).text("learning")
    assert (
        "No sign of collapse. After 300 steps the sizes of the clusters are nearly even (entropy "
        "0.970 of the maximum), the smallest holds 0.60 times the mean, and 80.0% of items share "
        "a cluster with a neighbour." in text
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("entropy", 0.61, "A few clusters hold nearly everything"),
        ("smallest", 0.012, "The smallest cluster is all but empty"),
        ("agreement", 0.11, "Hardly any items share a cluster with their neighbours"),
    ],
)
def test_verdict_warns_by_the_last_record(name, value, words, run_copy):
    early, late = {**FINE, name: value}, {**FINE, "step": 400}
    assert words not in with_history(run_copy, early, late).text("learning")
    text = with_history(run_copy, FINE, {**early, "step": 400}).text("learning")
    assert f"Signs of collapse. {words}" in text
    assert f": {value}; below " in text
    assert text.count("is a warning)") == 1
    text = with_history(run_copy, FINE, {**early, "head": 1}).text("learning")
    assert f": {value} in head 1; below " in text


def test_a_single_cluster_has_not_collapsed(run_copy):
    alone = {**FINE, "entropy": 0.0, "smallest": 1.0, "largest": 1.0}
    assert "Signs of collapse" not in with_history(run_copy, alone).text("learning")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "line 1"),
        (b'{"head": 0, "step": 1', "line 1"),
        (b'{"head": 0, "step": 100, "entropy": 1.0}\n[1, 2]\n', "line 2"),
        (b"\xff\xfe", "line 1"),
    ],
)
def test_a_broken_file_is_a_note(content, place, run_copy):
    (run_copy.path / METRICS).write_bytes(content)
    with pytest.warns(UslWarning, match=f"{place}, cannot be read"):
        page = Page.of(write_report(run_copy, points=0)).check()
    assert "learning" not in page.sections()
    assert "How the clusters were learned is not shown" in page.text("header")
    assert "metrics.jsonl" in page.text("header")


@pytest.mark.filterwarnings("error")
def test_no_file_and_the_figures_of_another_method(run_copy):
    foreign = with_history(run_copy, {"epoch": 1, "loss": 2.0}, {"step": "x", "entropy": 1.0})
    assert "learning" not in foreign.sections()
    (run_copy.path / METRICS).unlink()
    assert "learning" not in Page.of(write_report(run_copy, points=0)).check().sections()


def test_missing_and_infinite_figures_leave_gaps(run_copy):
    odd = {**FINE, "step": 400, "local_loss": float("nan"), "largest": float("inf")}
    del odd["agreement"]
    page = with_history(run_copy, {**FINE, "head": 0}, odd)
    assert "Local loss by step: ends at 0.50" in charts(page)
    places = [a.get(key, "") for _, a in page.elements for key in ("d", "cx", "cy", "y")]
    assert not [place for place in places if "nan" in place or "inf" in place]


def test_long_trainings_are_thinned_and_keep_their_end():
    records = [{"step": step, "entropy": 1.0} for step in range(1, 5001)]
    (own,) = by_head(tuple(reversed(records))).values()
    drawn = curve(own, "entropy", "", "red")
    assert len(drawn.points) <= 301
    assert (drawn.points[0][0], drawn.points[-1][0]) == (1, 5000)
    assert curve(own, "agreement", "", "red") is None


def test_picks_show_confidence_once(run_copy):
    page = Page.of(write_report(run_copy, points=0)).check()
    text = page.text("picks")
    assert "confidence how surely it belongs to its cluster; it decided which" in text
    assert text.count("ŷ") == 1  # in the footnote
    assert "confidence is max ŷ (Eq. 9)" in text
    assert "U′" not in text
    assert "regulariser" not in text
    assert "label goes to" not in text
    for value in columns(run_copy)["confidence"]:
        assert f" {value:.2f} " in text
    assert "neighbours that may share a cluster, Eq. 14" in page.text("provenance")
    assert "regulariser" not in page.text("provenance")
    assert "picked by USL-T on" in page.text("header")


def test_picks_show_where_their_labels_go(blobs, tmp_path):
    run = start(tmp_path, blobs[0], steps=100, propagate=7, pick_by="density")
    counts = [len(names) for names in columns(run)["propagated_to"]]
    assert max(counts) > 0
    page = Page.of(write_report(run, points=0)).check()
    text = page.text("picks")
    assert "label goes to how many others of its cluster receive its label" in text
    assert "to the nearest neighbours; it decided which of a cluster is picked" in text
    assert "density is U (Eq. 3)" in text
    table = columns(run)
    figures = ("image_id", "represents", "cluster_size", "confidence")
    for count, name, stands, size, sure in zip(counts, *map(table.get, figures), strict=True):
        assert f"{name} no label yet {stands} {size} {count} {sure:.2f}" in text


def test_usl_keeps_its_utility(blobs, tmp_path):
    np.savez(tmp_path / "rows.npz", features=blobs[0])
    run = usl.start_run(tmp_path / "rows.npz", BUDGET, tmp_path / "run", method="usl", k=5)
    page = Page.of(write_report(run, points=0)).check()
    text = page.text("picks")
    assert "utility what decided: density less the weighted regulariser" in text
    assert "utility is U′ (Eq. 7)" in text
    assert "max ŷ" not in text
    second = {name: column[1] for name, column in columns(run).items()}
    utility = f"{second['utility']:.2f}".replace("-", "\u2212")
    assert f" {second['regularizer']:.2f} {utility} " in text
    assert "learning" not in page.sections()


def test_axes_hold_their_values():
    for low, high in ((0.0, 0.65), (0.0, 0.0), (0.0, 9.4e-5), (0.31, 1.0), (3.0, 1200.0)):
        found = axis(low, high)
        assert found.low <= low + 1e-12
        assert found.high >= high - 1e-12
        assert 2 <= len(found.ticks) <= 6
    found = axis(0.0, 1.0)
    assert [found.place(value) for value in (0.0, 0.5, 1.0)] == [
        BOTTOM,
        (BOTTOM + TOP) / 2,
        TOP,
    ]
    decades = log_axis(30.0)
    assert decades.ticks == (0.01, 0.1, 1.0, 10.0)
    assert decades.place(0.0) == decades.place(0.01) == BOTTOM
    gaps = np.diff([decades.place(tick) for tick in decades.ticks])
    assert np.allclose(gaps, gaps[0])
    assert [tick_text(v) for v in (0.0, 0.00005, 0.1 * 3, 1200.0)] == [
        "0",
        "0.00005",
        "0.3",
        "1,200",
    ]


@pytest.mark.parametrize("chosen", ["k-means", "usl_t"])
def test_quorum_names_its_figures(tmp_path, monkeypatch, chosen):
    told = itertools.count(step=1 if chosen == "usl_t" else -1)  # the learned picks come last
    monkeypatch.setattr("usl.selection.methods.quorum.information", lambda *_: next(told))
    rows = unit(np.random.default_rng(0).normal(size=(200, 8)))  # clusters that touch
    np.savez(tmp_path / "rows.npz", features=rows)
    run = usl.start_run(tmp_path / "rows.npz", BUDGET, tmp_path / "run", method="quorum")
    page = Page.of(write_report(run, points=0)).check()
    text = page.text("picks")
    assert "consensus share of its nearest neighbours that lie in its own cluster" in text
    score = "score consensus times density, or what pick_by names; the largest wins"
    learned = "confidence how surely it is in its learned cluster; the surest wins"
    assert (score in text, learned in text) == (chosen == "k-means", chosen == "usl_t")
    assert f"chosen {chosen} whose clusters have the picks that tell the most" in page.text(
        "provenance"
    )
    assert "Eq." not in text + page.text("provenance")
    for value in columns(run)["confidence"]:
        assert f" {value:.2f} " in text
