"""What the map's script is given: every dot's own data, in little room, and nothing that runs."""

import warnings
from dataclasses import replace

import numpy as np
import pyarrow.parquet
import pytest
from map_run import BUDGET, CLASSES, N
from PIL import Image
from report_page import Page

import usl
from usl.core.errors import UslWarning
from usl.data.collection import Collection
from usl.report import report
from usl.report.report import write_report
from usl.report.sections.map import MARKED


def page_of(run, found, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        return Page.of(write_report(run, collection=found, points=60, **settings))


def test_every_dot_has_its_own_data(run, found):
    data = page_of(run, found).check().data()
    assert data["ids"] == found.ids.tolist()
    assert [data["classes"][number] for number in data["truth"]] == found.labels.tolist()
    table = pyarrow.parquet.read_table(run.models()[0].path / "predictions.parquet").to_pylist()
    told = {row["image_id"]: row for row in table}
    split = run.split()
    labeled = split.labeled()
    given = dict(zip(split.ids[labeled].tolist(), split.labels[labeled].tolist(), strict=True))
    assert len(given) == BUDGET
    for i, name in enumerate(data["ids"]):
        if name in given:
            assert data["classes"][data["given"][i]] == given[name]
            assert data["told"][i] == data["sure"][i] == -1  # nothing was predicted
        else:
            assert data["given"][i] == -1
            assert data["classes"][data["told"][i]] == told[name]["label"]
            assert data["sure"][i] == pytest.approx(1000 * told[name]["confidence"], abs=0.5)
    selected = pyarrow.parquet.read_table(run.path / "selection.parquet").to_pylist()
    for number, row in enumerate(selected):
        point, rank, represents = data["picks"][number]
        assert (data["ids"][point], rank, represents) == (
            row["image_id"],
            row["rank"],
            row["represents"],
        )
        stood_for = {name for i, name in enumerate(data["ids"]) if data["stands"][i] == number}
        assert stood_for == set(row["represented"])
    assert data["by"] == "truth"
    assert len(data["colours"]) == len(data["classes"]) == len(CLASSES)


def test_dots_are_where_the_picture_has_them(run, found):
    page = page_of(run, found)
    data = page.data()
    places = {(round(x / 10), round(y / 10)) for x, y in zip(data["x"], data["y"], strict=True)}
    for point, rank, _ in data["picks"]:
        mark = next(i for i, (_, a) in enumerate(page.elements) if a.get("data-rank") == str(rank))
        circle = next(a for name, a in page.elements[mark:] if name == "circle")
        drawn = (data["x"][point] / 10, data["y"][point] / 10)
        assert abs(int(circle["cx"]) - drawn[0]) <= 0.51
        assert abs(int(circle["cy"]) - drawn[1]) <= 0.51
    assert len(places) > 0.9 * N
    width, height = map(int, page.all("svg", class_="map")[0]["viewbox"].split()[2:])
    assert 0 <= min(data["x"]) <= max(data["x"]) <= 10 * width
    assert 0 <= min(data["y"]) <= max(data["y"]) <= 10 * height


def test_predictions_alone(run, found):
    data = page_of(run, replace(found, labels=None)).check().data()
    assert data["by"] == "told"
    assert "truth" not in data
    assert {"told", "sure", "given"} <= set(data)


def test_just_selected(found, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        run = usl.start_run(replace(found, labels=None), 4, tmp_path / "run")
    data = page_of(run, replace(found, labels=None)).check().data()
    assert (data["by"], data["classes"]) == ("stands", [])
    assert not {"truth", "told", "given", "sure"} & set(data)
    assert len(data["colours"]) == 4


def test_same_run_same_page(run, found, tmp_path):
    first, second = (tmp_path / name for name in ("a.html", "b.html"))
    page_of(run, found, out=first)
    page_of(run, found, out=second)
    assert first.read_bytes() == second.read_bytes()


def test_thumbnails_are_a_sample(run, found, monkeypatch):
    from usl.report.facts import explorer

    whole = page_of(run, found).data()
    assert len(whole["pictures"]["of"]) == N - BUDGET  # the picks have their own pictures
    monkeypatch.setattr(explorer, "SAMPLED", 50)
    part = page_of(run, found).data()
    of = part["pictures"]["of"]
    assert len(of) == len(set(of)) == 50
    assert not set(of) & {point for point, _, _ in part["picks"]}
    assert np.ptp(of) > N / 2  # from all over the collection


def test_picks_beyond_the_shown_have_thumbnails(run, found, monkeypatch):
    from usl.report.facts import explorer
    from usl.report.sections import picks

    for module in (explorer, picks):
        monkeypatch.setattr(module, "SHOWN", 4)
    monkeypatch.setattr(explorer, "SAMPLED", 3)
    data = page_of(run, found).data()
    assert data["pictures"]["of"][:-3] == [point for point, _, _ in data["picks"][4:]]


def test_little_room(run, found, monkeypatch):
    whole = len(page_of(run, found).whole)
    sheets = sum(map(len, page_of(run, found).data()["pictures"]["sheets"]))
    monkeypatch.setattr(report, "LIMIT", whole - sheets * 17 // 20)
    page = page_of(run, found).check()
    assert len(page.whole) < whole
    assert 0 < len(page.data()["pictures"]["of"]) < N - BUDGET
    monkeypatch.setattr(report, "LIMIT", 1_000)  # not even the ids: the map is only a picture
    page = page_of(run, found).check()
    assert len(page.scripts) == 1
    assert page.all("svg", class_="map")


class Detailed:
    """Photographs without end, of 64 pixels and much detail."""

    def __init__(self, rows):
        coarse = np.random.default_rng(1).integers(0, 256, (300, 16, 16, 3), dtype=np.uint8)
        self.pixels = coarse.repeat(4, axis=1).repeat(4, axis=2)
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def read(self, row):
        return Image.fromarray(self.pixels[self.rows[row] % 300])

    def digest(self, row):
        return f"{self.rows[row]:032x}"

    def take(self, rows):
        return Detailed(self.rows[rows])


@pytest.mark.slow
def test_under_five_megabytes_at_50_000_points(tmp_path):
    """Names without any pattern, 1,500 picks, photographs: more than a page has room for."""
    n, rng = 50_000, np.random.default_rng(0)
    names = [rng.bytes(16).hex() for _ in range(n)]
    features = rng.normal(size=(n, 6)).astype(np.float32)
    found = Collection(
        ids=np.array(names),
        subsets=np.array(["train"] * n),
        images=Detailed(np.arange(n)),
        features=features / np.linalg.norm(features, axis=1, keepdims=True),
        labels=np.array([f"kind {i % 12}" for i in range(n)], dtype=object),
        source="memory",
    )
    run = usl.start_run(found, 1_500, tmp_path / "run", method="random")
    path = write_report(run, collection=found, points=0)
    page = Page.of(path).check()
    data = page.data()
    assert path.stat().st_size < 5_000_000
    assert data["ids"] == names
    assert len(data["pictures"]["of"]) >= 1_000
    assert len(page.all("a", data_rank="1")) == 1
    assert len([a for a in page.all("a") if "data-rank" in a]) == MARKED
    assert len(page.all("path", class_="rings")) == 12
