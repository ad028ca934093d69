"""How selections, runs, collections and split files show themselves."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import usl
from support import clumps
from usl.run.folder import Run


@pytest.fixture
def run(tmp_path):
    """Nine of 40 pictures in two folders, one with a name that HTML would read; two labelled."""
    rng = np.random.default_rng(0)
    for number in range(40):
        folder = tmp_path / "photos" / ("<b>x" if number % 2 else "y & z")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (200, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return usl.start_run(
        tmp_path / "photos",
        9,
        tmp_path / "run",
        model="pixels",
        pca=8,
        method="coreset",
        labels={"<b>x/01.png": "<script>1</script>", "y & z/00.png": "dog"},
    )


class Tags(HTMLParser):
    """The tags of a page, and whether they are closed."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_selection_is_a_line_and_a_sequence():
    features = clumps(6, 16, 0.3, n=120)
    picks = usl.select(features, 12, method="coreset")
    text = str(picks)
    assert text == repr(picks)
    assert re.fullmatch(
        r"12 of 120 rows picked by coreset \(seed 0\), best first: (\d+, ){10}\.\.\.", text
    )
    assert list(picks) == picks.indices.tolist()
    assert (picks[0], picks[-1]) == (picks.indices[0], picks.indices[-1])
    assert picks[:3].tolist() == picks.indices[:3].tolist()
    np.testing.assert_array_equal(features[np.asarray(picks)], features[picks.indices])
    page = Tags(picks._repr_html_())
    assert page.open == []
    assert [tag for tag, _ in page.seen].count("tr") == 11


def test_a_run_shows_its_picks_with_pictures_and_escapes(run):
    text = repr(run)
    assert text == (
        f"Run {str(run.path)!r}: 9 of 40 images picked by coreset on pixels features; not trained"
    )
    page = run._repr_html_()
    tags = Tags(page)
    pictures = [found for tag, found in tags.seen if tag == "img"]
    assert len(pictures) == 9
    assert all(found["src"].startswith("data:image/jpeg;base64,") for found in pictures)
    assert {tag for tag, _ in tags.seen} == {"div", "img"}
    assert len(page) < 9 * 12_000
    assert "<b>" not in page
    assert "<script>" not in page
    with pytest.warns(usl.core.errors.UslWarning, match="have no label yet"):
        done = usl.train(run)
    assert repr(done).endswith("; active model accord on 2 labels of 2 classes")


def test_a_run_whose_pictures_are_gone_is_shown_all_the_same(run, tmp_path):
    name = run.rounds()[0].ids()[0]
    (tmp_path / "photos" / name).unlink()
    assert len([tag for tag, _ in Tags(run._repr_html_()).seen if tag == "img"]) == 8
    shutil.rmtree(tmp_path / "photos")
    page = run._repr_html_()
    assert "no pictures" in page
    assert "<img" not in page
    (run.path / "selection.parquet").unlink()
    assert "selection.parquet" in run._repr_html_()
    assert "? picked by ?" in repr(Run(run.path, {"format": 1, "selection": 3}))


def test_a_collection_and_a_split_are_lines_too(run, tmp_path):
    collection = run.collection()
    assert repr(collection) == (
        f"Collection of {tmp_path / 'photos'}: 40 images; answers of 2 classes"
    )
    assert list(collection) == collection.ids.tolist()
    page = Tags(collection._repr_html_())
    assert [tag for tag, _ in page.seen].count("img") == 24
    features = usl.open_collection({"train": np.ones((3, 2)), "test": np.ones((1, 2))})
    assert repr(features) == "Collection of arrays: 4 rows; features of width 2; train 3, test 1"
    assert "<img" not in features._repr_html_()
    split = run.split()
    assert repr(split) == (
        f"Split of {run.path / 'split.csv'}: 40 images; 9 requested, 2 labeled (of 2 classes), "
        "29 unlabeled"
    )
    first = next(iter(split))
    assert (first.image_id, first.state, first.label) == (str(split.ids[0]), "requested", None)
    assert len(list(split)) == 40
    assert "&lt;b&gt;" in split._repr_html_() or "y &amp; z" in split._repr_html_()


def test_a_long_name_is_cut_and_a_few_pictures_are_shown(tmp_path):
    for number in range(30):
        Image.new("L", (4, 4), number).save(tmp_path / f"{'x' * 120}{number:02d}.png")
    page = usl.open_collection(tmp_path)._repr_html_()
    assert "and 6 more" in page
    assert all(len(text) <= 40 for text in re.findall(r'">(x[^<]*)</div>', page))
