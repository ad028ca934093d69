"""The parts of the report that need no pictures: embeddings, many classes, chance, markup."""

import warnings

import numpy as np
import pytest
from report_page import Page

import usl
from usl.core.errors import UslWarning
from usl.report.drawing.markup import Html, figure, plural, table, tag
from usl.report.facts.groups import Groups, named_groups
from usl.report.report import write_report
from usl.report.sections.accuracy import confusions, per_class
from usl.report.sections.classes import chance, most_and_fewest
from usl.report.sections.comparison import axis
from usl.report.sections.header import shown_name
from usl.report.sections.map import cloud, clouds, fit_to_page, rings
from usl.report.sections.outliers import densities
from usl.report.sections.picks import SCORES
from usl.report.sections.provenance import symbols_of
from usl.selection.contract import METHODS
from usl.selection.known_methods import list_methods, parameters_of


def start(path, budget, out, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        return usl.start_run(path, budget, out, **settings)


def test_embeddings_only(blobs, tmp_path):
    features, classes = blobs
    names = np.array([f"class {c}" for c in classes])
    np.savez(tmp_path / "rows.npz", features=features, labels=names)
    run = start(tmp_path / "rows.npz", 8, tmp_path / "run")
    page = Page.of(write_report(run)).check()
    assert not page.all("img")
    assert page.data()["blank"] == "No picture: the run was made from features."
    assert "8 of 600 items picked by quorum on features that were given." in page.text("header")
    assert "Whether labels went into the features that were given is unknown" in page.text("header")
    ids = [f"pick-{rank}" for rank in range(1, 9)]
    assert [a["id"] for a in page.all("span") if "id" in a] == ids  # rows of the table
    assert len(page.all("path", inside="map")) == 6  # one cloud per class
    assert page.sections() == ["picks", "budget", "outliers", "classes", "map", "provenance"]


def test_large_budget_shows_the_first_200(tmp_path):
    features = np.random.default_rng(0).normal(size=(260, 4)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", features=features)
    run = start(tmp_path / "rows.npz", 220, tmp_path / "run", method="random")
    page = Page.of(write_report(run, points=0)).check()
    assert "The first 200 of 220 are shown" in page.text("picks")
    assert page.text("map").startswith("Map")
    ids = {a["id"] for _, a in page.elements if "id" in a}
    assert "pick-200" in ids
    assert "pick-201" not in ids


@pytest.mark.parametrize("n", [1, 2, 4])
def test_hardly_any_items(n, tmp_path):
    rows = np.eye(6, dtype=np.float32)[:n]
    np.savez(tmp_path / "rows.npz", features=rows)
    page = Page.of(write_report(start(tmp_path / "rows.npz", 1, tmp_path / "run", method="random")))
    assert ("map" in page.check().sections()) == (n >= 3)


def test_items_that_are_all_the_same(tmp_path):
    np.savez(tmp_path / "rows.npz", features=np.ones((30, 3), np.float32))
    page = Page.of(write_report(start(tmp_path / "rows.npz", 3, tmp_path / "run"))).check()
    assert "nan" not in " ".join(map(page.text, page.sections()))
    places = [a.get(key, "") for _, a in page.elements for key in ("d", "cx", "x", "style")]
    assert not [place for place in places if "nan" in place]


def test_chance_is_hypergeometric():
    counts = np.array([50, 30, 20, 0])
    found = chance(counts, 10)
    assert np.allclose(found.mean, [5, 3, 2, 0])
    # P(no pick of class 2) = C(80, 10) / C(100, 10) = 0.0951; of class 1 0.0229, of class 0 0.0006
    expected = 1 - (0.0951 + 0.0229 + 0.0006 + 1) / 4
    assert found.coverage == pytest.approx(expected, abs=0.01)
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()
    assert 0 < found.balance < 1
    assert chance(counts, 100).high.tolist() == counts.tolist()


def test_many_classes_are_cut_to_the_ends():
    from collections import Counter

    names = [f"c{i:03d}" for i in range(100)]
    picked = Counter({name: i for i, name in enumerate(names)})
    shown = most_and_fewest(names, picked)
    assert len(shown) == 40
    assert shown[0] == "c099"
    assert shown[-1] == "c000"
    assert most_and_fewest(names[:40], picked) == names[:40]


def test_many_classes_have_no_matrix():
    names = [f"c{i}" for i in range(150)]
    matrix = np.eye(150, dtype=int) * 5
    matrix[7, 9], matrix[3, 2] = 4, 2
    figures = {
        "protocol": "out of sample",
        "per_class": [
            {"label": n, "n": 5, "precision": 1.0, "recall": 1.0, "f1": i / 150}
            for i, n in enumerate(names)
        ],
        "confusion": matrix.tolist(),
    }
    page = Page(confusions("test", figures))
    assert [a["class"] for a in page.all("th", scope="row")] == ["text", "text"]
    assert "c7 c9 4 44.4% c3 c2 2 28.6%" in page.text("")
    assert "lowest F1" in Page(per_class("test", figures)).text("")
    assert len(Page(per_class("test", figures)).all("th", scope="row")) == 100


def test_density_of_the_sample_reaches_as_far(monkeypatch):
    from usl.report.sections import outliers

    rng = np.random.default_rng(0)
    features = rng.normal(size=(900, 3)) * rng.uniform(0, 1, (900, 1)) + [2, 0, 0]
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    everything, rows, k = densities(features, np.array([5]), 60, lambda *_: None)
    assert (len(rows), k) == (900, 60)
    assert densities(features, np.array([5]), 400, lambda *_: None)[2] == 20  # 400 says too little
    monkeypatch.setattr(outliers, "DENSITY_ROWS", 300)
    sampled, rows, k = densities(features, np.array([5, 6]), 60, lambda *_: None)
    assert {5, 6} <= set(rows.tolist())
    assert k == round(60 * len(rows) / 900)
    assert np.corrcoef(sampled, everything[rows])[0, 1] > 0.9


def test_cloud_draws_every_dot():
    xy = np.array([[10, 20], [500, 3], [10, 21], [7, 900]])
    groups = named_groups(np.array(["a", "a", None, "b"], dtype=object), "")
    assert groups.of.tolist() == [0, 0, -1, 1]
    path = Page(cloud(xy, 0, groups)).all("path")[0]["d"]
    assert places(path) == sorted(xy.tolist())


def places(path):
    """Where a path of dots puts them."""
    assert path.startswith("M")
    at, found = np.zeros(2, int), []
    for step in path.lstrip("M").replace("-", " -").split("h0"):
        if step.strip():
            at = at + np.array([int(v) for v in step.replace("m", " ").split()])
            found.append(at.tolist())
    return sorted(found)


def test_thousands_of_groups_share_paths():
    """With a path for each of 12,820 picks the page would be megabytes larger."""
    rng = np.random.default_rng(0)
    xy, group = rng.integers(0, 1000, (9_000, 2)), rng.integers(-1, 3_000, 9_000)
    groups = Groups([f"g{i}" for i in range(3_000)], group, "")
    for drawn, each in ((clouds(xy, group, groups), 1), (rings(xy, group, groups), 2)):
        paths = [a["d"] for a in Page("".join(drawn)).all("path")]
        assert len(paths) <= 362 * each  # of 361 hues and the unknown
        drawn = [place for path in paths for place in places(path)]
        assert sorted(drawn) == sorted(xy.tolist() * each)
    alone = clouds(xy, group % 12, Groups(groups.names[:12], group % 12, ""))
    assert [str(title) for title in Page("".join(alone)).texts["title"]] == groups.names[:12]


def test_map_fits_the_page():
    for shape in ([1, 5], [5, 1], [0, 0], [3, 3]):
        xy = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32) * shape
        placed, height = fit_to_page(xy)
        assert (placed >= 0).all()
        assert (placed <= [1000, height]).all()
        assert 200 <= height <= 800


@pytest.mark.parametrize("values", [[0.5], [0.612, 0.613], [0.0, 1.0], [0.4, 0.7]])
def test_axis_holds_all_values(values):
    low, high, ticks = axis(values)
    assert low < min(values) <= max(values) < high
    assert 2 <= len(ticks) <= 8


def test_markup_escapes_what_it_did_not_make():
    assert tag("p", 'a < b & "c"') == "<p>a &lt; b &amp; &quot;c&quot;</p>"
    assert tag("p", Html("<i>x</i>"), None, title='"><script>') == (
        '<p title="&quot;&gt;&lt;script&gt;"><i>x</i></p>'
    )
    assert tag("p", "\ud800\x00") == "<p>?\ufffd</p>"
    assert "<b>" not in table("<b>", ["<b>"], [["<b>"]])


def test_figures_are_readable():
    assert [figure(v) for v in (None, float("nan"), True, 1234, 22.476, -9.5, 0.00012, 3e7)] == [
        "–",
        "–",
        "yes",
        "1,234",
        "22.48",
        "\u22129.50",
        "0.00012",
        "3e+07",
    ]
    assert [plural(1, "image"), plural(2000, "image"), plural(2, "class")] == [
        "1 image",
        "2,000 images",
        "2 classes",
    ]


def test_a_method_explains_its_own_parameters_and_figures(blobs, tmp_path):
    np.savez(tmp_path / "rows.npz", features=blobs[0])
    for method, explained, figures in (
        ("maxherding", "length scale of the kernel, in distances of unit rows", "what the method"),
        ("typiclust", "neighbours in the typicality", "what the method went by"),
        ("density", "neighbours whose mean distance is the inverse", "(Eq. 3)"),
    ):
        run = start(tmp_path / "rows.npz", 8, tmp_path / method, method=method)
        page = Page.of(write_report(run, points=0)).check()
        assert explained in page.text("provenance")
        assert figures in page.text("picks")
        if method != "density":
            assert "Eq." not in page.text("provenance") + page.text("picks")


def test_parameters_of_a_method_in_a_file_are_shown_unexplained_and_the_file_is_not_run(tmp_path):
    assert symbols_of("no/longer.py") == {}
    (tmp_path / "mine.py").write_text("raise SystemExit('was run')\ndef pick(): ...\n")
    assert symbols_of(str(tmp_path / "mine.py")) == {}
    assert shown_name(str(tmp_path / "mine.py")) == "mine.py"


def test_a_module_that_a_run_names_is_not_run_unless_it_is_of_the_package(tmp_path, monkeypatch):
    """Neither one on the path, nor one that an installed package offers as a method."""
    (tmp_path / "theirs_module.py").write_text("raise SystemExit('was run')\n")
    record = tmp_path / "theirs-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[usl.selection]\ntheirs = theirs_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "theirs" in list_methods()
    for name in ("theirs", "theirs_module", "../contract", "usl.selection.contract"):
        assert symbols_of(name) == {}
        assert shown_name(name) == name.rpartition("/")[2]


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("usl", "USL"),
        ("usl_t", "USL-T"),
        ("kmeans", "k-means"),
        ("label_spreading", "label spreading"),
        ("quorum", "quorum"),
        ("fixmatch", "fixmatch"),
    ],
)
def test_a_method_is_shown_by_its_own_name(method, name):
    assert shown_name(method) == name


@pytest.mark.parametrize("method", list_methods())
def test_no_parameter_is_explained_that_a_method_does_not_have(method):
    found = {"quorum": {"chosen"}}.get(method, set())  # not given, but found by the selection
    own = set(parameters_of(method)) | found
    assert set(getattr(METHODS.load(method), "SYMBOLS", {})) <= own
    terms = getattr(METHODS.load(method), "TERMS", {})
    assert {name.split()[0] for name in terms} <= set(SCORES)
