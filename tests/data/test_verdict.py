"""Features or a list of images: one place decides, and says what it took for what."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from usl.core.errors import DataError, UsageError
from usl.data import open_collection

X = np.random.default_rng(0).normal(size=(6, 12)).round(3)


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def opened(request, tmp_path):
    """``opened(path=True, x=..., ...)``: the collection of a table of six rows."""

    def make(columns, **options):
        for number in range(6):
            Image.new("L", (4, 4), number).save(tmp_path / f"{number}.png")
        path = tmp_path / f"t.{request.param}"
        if request.param == "parquet":
            pq.write_table(pa.table(columns), path)
        elif request.param == "jsonl":
            rows = zip(*columns.values(), strict=True)
            records = [dict(zip(columns, row, strict=True)) for row in rows]
            path.write_text("\n".join(map(json.dumps, records)))
        else:
            rows = [columns, *zip(*columns.values(), strict=True)]
            cells = [[f'"{c}"' if isinstance(c, list) else str(c) for c in row] for row in rows]
            path.write_text("\n".join(map(",".join, cells)))
        return open_collection(path, **options)

    return make


PATHS = [f"{number}.png" for number in range(6)]


def numbers(*names):
    return {name: X[:, number % 12].tolist() for number, name in enumerate(names)}


@pytest.mark.parametrize(
    "names", [("x", "y", "w", "h"), ("rater_1", "rater_2"), ("x1", "y1", "x2", "y2"), ("width",)]
)
def test_few_numbers_beside_paths_stay_with_a_list_of_images(opened, names):
    found = opened({"path": PATHS, **numbers(*names)})
    assert (found.kind, found.ids.tolist()) == ("manifest", PATHS)
    assert list(found.extra) == list(names)
    assert found.take([4, 2]).extra[names[0]] == [
        found.extra[names[0]][4],
        found.extra[names[0]][2],
    ]
    (note,) = found.notes
    assert "taken for a list of images (path is the path)" in note
    assert ", ".join(names) in note
    assert "--as embeddings" in note


def test_eight_numbered_columns_beside_paths_are_features(opened):
    names = [f"f{number}" for number in range(8)]
    found = opened({"path": PATHS, "w": [1] * 6, **numbers(*names)})
    assert (found.kind, found.ids.tolist()) == ("embeddings", PATHS)
    np.testing.assert_allclose(found.features[:], X[:, :8], rtol=1e-6)
    (note,) = found.notes
    assert "taken for features (f0, f1" in note
    assert "not used: w" in note
    assert "--as manifest" in note


def test_seven_are_not_unless_their_name_says_so(opened):
    assert opened({"path": PATHS, **numbers(*[f"f{n}" for n in range(7)])}).kind == "manifest"
    found = opened({"path": PATHS, **numbers("embedding_0", "embedding_1")})
    assert (found.kind, found.features.shape) == ("embeddings", (6, 2))


@pytest.mark.parametrize(
    "names",
    [
        [f"f{number}" for number in range(2, 12)],  # not from 0 or 1
        [f"f{number}" for number in (*range(6), *range(7, 11))],  # a gap
        [f"0.{number}" for number in range(1, 10)],
        [f"-{number}" for number in range(1, 10)],
    ],
)
def test_names_that_only_look_numbered_never_group(opened, names):
    assert opened({"path": PATHS, **numbers(*names)}).kind == "manifest"


def test_two_sets_of_numbered_columns_are_refused(opened):
    names = [f"{word}_{number}" for word in ("clip", "dino") for number in range(8)]
    with pytest.raises(DataError, match=r"several sets.*clip_0.*\(8\) and dino_0.*keep one set"):
        opened({"path": PATHS, **numbers(*names)})


@pytest.mark.parametrize("name", ["Unnamed: 0", "__index_level_0__", "index", "level_0"])
def test_index_columns_are_never_features_nor_names(opened, name):
    found = opened({name: list(range(6)), **numbers("red", "green", "blue")})
    np.testing.assert_allclose(found.features[:], X[:, :3], rtol=1e-6)
    assert found.ids[0] == "train/00000"


@pytest.mark.parametrize("word", ["clip", "vector", "anything at all"])
def test_a_list_under_any_name(opened, word):
    found = opened({"image_id": PATHS, word: X[:, :3].tolist()})
    np.testing.assert_allclose(found.features[:], X[:, :3], rtol=1e-6)


def test_a_short_list_beside_paths_is_no_features(opened):
    assert opened({"path": PATHS, "bbox": X[:, :4].tolist()}).kind == "manifest"
    assert opened({"path": PATHS, "clip": X[:, :8].tolist()}).kind == "embeddings"
    assert opened({"path": PATHS, "embedding": X[:, :2].tolist()}).kind == "embeddings"


@pytest.mark.parametrize(
    "name", ["filenames", "image_name", "img_path", "name", "uuid", "fileName", "Image Path", "key"]
)
def test_names_of_rows(opened, name):
    ids = [f"a/{number}.jpg" for number in range(6)]
    columns = {name: ids, **numbers(*[f"embedding_{number}" for number in range(4)])}
    assert opened({**columns, "labels": [0, 1] * 3}).ids.tolist() == ids


@pytest.mark.parametrize("name", ["filenames", "path", "image_name", "ids", "names", "uuid"])
def test_names_of_rows_in_npz(tmp_path, name):
    ids = np.array([f"a/{number}.jpg" for number in range(6)])
    np.savez(tmp_path / "e.npz", embeddings=X, **{name: ids})
    assert open_collection(tmp_path / "e.npz").ids.tolist() == ids.tolist()


def test_text_that_is_not_used_is_said(opened):
    (note,) = opened({"camera": ["a", "b"] * 3, **numbers("f0", "f1")}).notes
    assert "not used: camera" in note


def test_as_is_checked(opened, tmp_path):
    with pytest.raises(UsageError, match=r"as: 'embedings' given.*Did you mean 'embeddings'"):
        opened({"path": PATHS, "x": PATHS}, as_="embedings")
    with pytest.raises(DataError, match="no columns of numbers for features; it has path, note"):
        opened({"path": PATHS, "note": PATHS}, as_="embeddings")
    with pytest.raises(DataError, match=r"no column of paths.*it has f0, f1"):
        opened(numbers("f0", "f1"), as_="manifest")
    with pytest.raises(UsageError, match="is no table, so there is nothing to decide"):
        open_collection(tmp_path, as_="manifest")


def test_ids_that_look_like_pictures_are_said(opened):
    (note,) = opened({"image_id": PATHS, **numbers("x", "y", "w", "h")}).notes
    assert "taken for features (x, y, w, h); image_id names the rows, and no picture" in note
    assert "call the column image_id path" in note


def test_rows_of_a_picture_are_one_set(opened):
    names = [f"{row}x{column}" for row in range(1, 4) for column in range(1, 4)]
    assert opened(numbers(*names)).features.shape == (6, 9)


def test_two_equal_small_sets_are_all_features(opened):
    assert opened(numbers("a0", "a1", "b0", "b1", "z")).features.shape == (6, 5)
