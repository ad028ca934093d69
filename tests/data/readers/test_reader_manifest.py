"""Tables that list images."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from usl.core.errors import DataError
from usl.data import open_collection


@pytest.fixture
def root(make_images):
    return make_images("a.jpg", "b.jpg", "deep/c.png")


def manifest(path, text):
    path.write_text(text, encoding="utf-8")
    return open_collection(path)


def test_csv(root):
    text = "path,label,split\nb.jpg,cat,train\ndeep/c.png,,validation\na.jpg,007,test\n"
    collection = manifest(root / "list.csv", text)
    assert collection.ids.tolist() == ["b.jpg", "deep/c.png", "a.jpg"], "in the table's order"
    assert collection.labels.tolist() == ["cat", None, "007"]
    assert collection.subsets.tolist() == ["train", "val", "test"]
    assert collection.kind == "manifest"
    assert collection.images.read(1).size == (8, 6)


@pytest.mark.parametrize(
    "column", ["path", "image", "file", "file_name", "Filename", "filepath", "Image Path"]
)
def test_names_of_the_path_column(root, column):
    assert manifest(root / "list.tsv", f"{column}\tclass\na.jpg\tx\n").labels.tolist() == ["x"]


def test_own_ids(root):
    collection = manifest(root / "list.csv", "image_id,file\n007,a.jpg\nb,b.jpg\n")
    assert collection.ids.tolist() == ["007", "b"]
    assert collection.labels is None
    assert set(collection.subsets) == {"train"}


def test_jsonl(root):
    rows = [
        {"image": "a.jpg", "label": 3},
        {"image": "b.jpg"},
        {"image": "deep/c.png", "label": -1},
    ]
    collection = manifest(root / "list.jsonl", "\n".join(map(json.dumps, rows)))
    assert collection.labels.tolist() == ["3", None, None]


def test_parquet(root):
    table = pa.table({"path": ["a.jpg", "b.jpg"], "target": [1.0, None], "id": [5, 6]})
    pq.write_table(table, root / "list.parquet")
    collection = open_collection(root / "list.parquet")
    assert collection.ids.tolist() == ["5", "6"]
    assert collection.labels.tolist() == ["1", None]


def test_folders_tell_the_subsets_if_no_column_does(make_images):
    root = make_images("train/a.jpg", "valid/b.jpg")
    collection = manifest(root / "list.csv", "path\nvalid/b.jpg\ntrain/a.jpg\n")
    assert collection.subsets.tolist() == ["val", "train"]


def test_paths_outside_of_the_tables_folder(root, tmp_path):
    (tmp_path / "tables").mkdir()
    path = tmp_path / "tables" / "list.csv"
    collection = manifest(path, f"path\n../photos/deep/c.png\n{root}/a.jpg\n")
    assert collection.ids.tolist() == ["deep/c.png", "a.jpg"], "relative to the folder of all files"
    assert collection.images.read(1).size == (8, 6)


def test_absolute_paths_inside_are_made_relative(root):
    collection = manifest(root / "list.csv", f"path\n{root}/deep/c.png\n")
    assert collection.ids.tolist() == ["deep/c.png"]


def test_windows_paths(root):
    assert manifest(root / "list.csv", "path\ndeep\\c.png\n").ids.tolist() == ["deep/c.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\na.jpg\n\nz.jpg\n", r"list\.csv, row 4: no file 'z\.jpg'.*relative to the table's"),
        ("path,label\n,x\n", "row 2: no path"),
        ("path\nhttps://x.org/a.jpg\n", "row 2: 'https://x.org/a.jpg' is an address, and"),
        ("path,split\na.jpg,tset\n", "row 2: unknown subset 'tset'.*Did you mean 'test'"),
        ("path,id\na.jpg,1\nb.jpg,1\n", r"row 3: the id '1' is taken \(.*row 2\)"),
        ("path,id\na.jpg,1\nb.jpg,\n", "row 3: no id"),
        ("path\na.jpg\n./a.jpg\n", r"row 3: the id 'a\.jpg' is taken"),
        ("path,label\n", "lists no images"),
        ("path,label\na.jpg\n", "row 2: 1 cells"),
    ],
)
def test_faults_name_the_row(root, text, message):
    with pytest.raises(DataError, match=message):
        manifest(root / "list.csv", text)


def test_hugging_face_metadata(make_images):
    root = make_images("x/a.jpg", "x/b.jpg", "y/c.jpg")
    (root / "metadata.csv").write_text("file_name,label\nx/a.jpg,cat\ny/c.jpg,\n")
    collection = open_collection(root)
    assert collection.ids.tolist() == ["x/a.jpg", "y/c.jpg"]
    assert collection.labels.tolist() == ["cat", None]
    assert collection.skipped == (("x/b.jpg", "not listed in the folder's metadata table"),)
    assert collection.source == str(root)


def test_hugging_face_metadata_by_subset(make_images):
    root = make_images("train/a.jpg", "test/b.jpg")
    (root / "train/metadata.jsonl").write_text('{"file_name": "a.jpg", "label": "cat"}')
    (root / "test/metadata.csv").write_text("file_name\nb.jpg\n")
    collection = open_collection(root)
    assert sorted(zip(collection.ids, collection.subsets, collection.labels, strict=True)) == [
        ("test/b.jpg", "test", None),
        ("train/a.jpg", "train", "cat"),
    ]


def test_other_metadata_do_not_matter(make_images):
    root = make_images("a.jpg")
    (root / "metadata.csv").write_text("camera,lens\nx,y\n")
    assert open_collection(root).kind == "folder"


def test_two_names_that_differ_in_their_letters_composition_are_both_named(tmp_path):
    for name in ("\u00e9.png", "e\u0301.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell them apart")
    (tmp_path / "list.csv").write_text("path\n\u00e9.png\ne\u0301.png\n", encoding="utf-8")
    for source in (tmp_path / "list.csv", tmp_path, tmp_path / "*.png"):
        with pytest.raises(DataError, match=r"'\\xe9\.png' and 'e\\u0301\.png'|'e\\u0301.*xe9"):
            open_collection(source)
    text = "path,image_id\n\u00e9.png,one\ne\u0301.png,two\n"
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    assert open_collection(tmp_path / "list.csv").ids.tolist() == ["one", "two"]
