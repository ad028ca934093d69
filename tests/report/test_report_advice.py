"""What the report says of the number of labels, and of what lies far from everything."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from report_page import Page

import usl
from support import unit
from usl.core.errors import UslWarning
from usl.report.drawing.charts import BOTTOM, TOP, decades
from usl.report.facts.facts import gather
from usl.report.report import write_report
from usl.report.sections import budget, outliers

STRAYS = [5, 7, 8, 9]


def clumps(n=400, count=6, noise=0.3):
    """Clumps; row 5 alone in a direction of its own, rows 7 to 9 together in another."""
    rng = np.random.default_rng(0)
    points = np.eye(16)[:count][rng.integers(0, count, n)] * 3
    features = unit(points + rng.normal(scale=noise, size=(n, 16)))
    features[5] = np.eye(16)[15]
    features[7:10] = unit(np.eye(16)[14] + rng.normal(scale=0.02, size=(3, 16)))
    return features


def start(folder, features, m, *, labels=None, **settings):
    given = {} if labels is None else {"labels": labels}
    np.savez(folder / "rows.npz", features=features, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)  # k is larger than these few items
        return usl.start_run(folder / "rows.npz", m, folder / "run", **settings)


def page_of(run):
    return Page.of(write_report(run, points=0)).check()


def test_a_number_of_labels_with_its_charts(tmp_path):
    run = start(tmp_path, clumps(), 40, method="coreset")
    facts = gather(run, run.collection())
    found = usl.labels_needed(facts.features, facts.selection())
    assert found.has_break
    page = page_of(run)
    text = page.text("budget")
    assert text.startswith(
        f"How many labels {found.suggested} labels look enough. The labels up to"
    )
    assert f"How sure: {found.sure:.0%} of 200 resamples of the items agree" in text
    spread = f" to {found.high}" if found.high > found.low else ""
    assert f"the middle 80% lie at {found.low}{spread}." in text
    assert f"40 labels {100 * found.coverage[40]:.1f}%" in text
    assert f"60 (expected) {100 * found.expected(60):.1f}%" in text
    assert len(page.all("path", inside="budget", class_="curve")) == 2
    assert len(page.all("path", inside="budget", class_="curve second")) == 2
    (line, _), (band, _) = (
        page.all(name, inside="budget", class_=kind)
        for name, kind in (("line", "here"), ("rect", "span"))
    )
    assert float(line["x1"]) == pytest.approx(46 + 288 * found.suggested / 60, abs=0.06)
    assert float(band["x"]) <= float(line["x1"]) <= float(band["x"]) + float(band["width"])


def test_no_number_where_the_gain_falls_steadily(tmp_path):
    features = unit(np.random.default_rng(3).normal(size=(400, 8)))
    page = page_of(start(tmp_path, features, 30, method="kmeans"))
    text = page.text("budget")
    assert "No number stands out. What a label brings falls steadily" in text
    assert "support a number; half of them would have to." in text
    assert not page.all("line", inside="budget", class_="here")
    assert "Nothing stands out: no item is much farther" in page.text("outliers")


def test_too_few_picks_want_more(tmp_path):
    page = page_of(start(tmp_path, clumps(count=14), 9, method="kmeans"))
    assert "More picks would tell. The last labels bring about as much" in page.text("budget")


def test_neither_reads_a_label(tmp_path):
    """The same page whatever the source's answers are, and no class in either section."""
    pages = []
    for name, labels in (("a", None), ("b", np.repeat(["tern", "ibis"], 200))):
        (tmp_path / name).mkdir()
        pages.append(page_of(start(tmp_path / name, clumps(), 20, labels=labels)))
    assert len({page.text("budget") for page in pages}) == 1
    far = [page.text("outliers").partition("Far from everything")[2] for page in pages]
    assert far[0] == far[1]
    assert "train/00005" in far[0]
    assert not any(word in far[1] + pages[1].text("budget") for word in ("tern", "ibis"))


def test_strays_and_whether_they_are_picks(tmp_path):
    run = start(tmp_path, clumps(), 12, method="coreset")
    facts = gather(run, run.collection())
    picked = [rank for rank, pick in enumerate(facts.picks, start=1) if pick.row in STRAYS]
    assert picked
    assert len(picked) < 4
    page = page_of(run)
    far = page.text("outliers").partition("Far from everything")[2]
    assert {f"train/{row:05d}" for row in STRAYS} <= set(far.split())
    linked = {a["href"] for a in page.all("a", inside="outliers")}
    assert linked >= {f"#pick-{rank}" for rank in picked}
    assert "2 beside it" in far
    assert f"{len(picked)} of them {'is a pick' if len(picked) == 1 else 'are picks'} ( pick" in far
    assert far.count("not picked") == 4 - len(picked)


def test_a_stray_is_a_picture_where_there_are_pictures(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for row in range(60):
        pixels = np.tile(np.linspace(0, 200, 12)[:, None, None], (1, 12, 3))
        pixels = pixels + rng.integers(0, 20, (12, 12, 3))
        if row == 17:
            pixels = rng.integers(0, 256, (12, 12, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / f"{row:02d}.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        run = usl.start_run(tmp_path / "photos", 5, tmp_path / "run", model="pixels", k=5)
    page = page_of(run)
    far = page.text("outliers").partition("Far from everything")[2]
    assert "image stands far from all others" in far or "images stand far" in far
    order = [a["alt"] for a in page.all("img", inside="outliers")]
    assert "17.png" in order[-8:]


def test_picks_that_have_gone_are_left_out(tmp_path):
    run = start(tmp_path, clumps(), 9, method="kmeans")
    collection = run.collection()
    lost = gather(run, collection).picks[2].row
    kept = np.delete(np.arange(len(collection)), lost)
    with pytest.warns(UslWarning, match="not those of the selection"):
        facts = gather(run, collection.take(kept))
    found = facts.selection()
    assert len(found) == 8
    assert len(found.representative) == len(kept)
    assert set(found.representative.tolist()) == {*range(8), -1}
    speaks = [found.representative[row] for row in found.indices]
    assert speaks == list(range(8))


def test_what_says_little_is_left_out(tmp_path, monkeypatch):
    run = start(tmp_path, clumps(), 3, method="kmeans")
    page = page_of(run)
    assert "budget" not in page.sections()
    monkeypatch.setattr(outliers, "MOST_ROWS", 399)
    assert "Far from everything" not in page_of(run).text("outliers")
    (tmp_path / "few").mkdir()
    few = start(tmp_path / "few", clumps()[:20], 5, method="kmeans")
    assert "Far from everything" not in page_of(few).text("outliers")


def test_of_very_many_picks_the_first_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "MOST", 25)
    page = page_of(start(tmp_path, clumps(), 60, method="kmeans"))
    assert "The first 25 picks were looked at." in page.text("budget")
    assert "25 labels" in page.text("budget")


def test_stretches_average_the_whole_rise():
    values = np.cumsum(np.random.default_rng(0).uniform(size=90))
    points = budget.stretches(values, 1)
    places = [place for place, _ in points]
    assert places == sorted(set(places))
    assert places[0] == 2
    assert places[-1] == 89
    assert points[0][1] == pytest.approx(values[2] - values[1])
    starts = [1]
    while starts[-1] < 89:
        starts.append(min(89, max(starts[-1] + 1, round(starts[-1] * 1.15))))
    total = sum(g * (b - a) for (_, g), a, b in zip(points, starts, starts[1:], strict=False))
    assert total == pytest.approx(values[89] - values[1])


def test_an_axis_of_decades_holds_both_ends():
    for low, high in ((0.3, 40.0), (1.0, 1.0), (0.001, 0.01), (1e-9, 5.0)):
        scale = decades(low, high)
        assert 2 <= len(scale.ticks) <= 5
        assert scale.high >= high
        assert scale.low <= low or len(scale.ticks) == 5
        assert TOP - 1e-6 <= scale.place(high) <= scale.place(low) <= BOTTOM
