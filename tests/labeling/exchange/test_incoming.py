"""Tables of answers as tools and people write them, matched with a run's images."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchange_runs import labels_of, make_run
from usl.core.errors import DataError
from usl.labeling.exchange.contract import Given
from usl.labeling.exchange.import_labels import guess_format, import_file
from usl.labeling.exchange.incoming import alike, match
from usl.labeling.exchange.names import Finder


def table(folder, text, name="answers.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


# Which image


def test_a_number_beside_the_file_name_is_not_its_id(tmp_path):
    run = make_run(tmp_path, ["1", "2", "3", "4"])
    path = table(tmp_path, "id,file_name,label\n1,photos/3.png,cat\n2,photos/0.png,dog\n")
    found = import_file(run, path)
    assert labels_of(run) == {"4": "cat", "1": "dog"}
    assert "the numbers beside the file names are not the ids" in found.notes[0]


def test_a_table_of_other_images_with_numbers(tmp_path):
    run = make_run(tmp_path, ["1", "2", "3", "4"])
    path = table(tmp_path, "id,file_name,label\n1,elsewhere/x.png,cat\n2,elsewhere/y.png,dog\n")
    with pytest.raises(DataError, match="none of its 2 entries"):
        import_file(run, path)


def test_numbers_are_ids_where_the_images_are_no_files(tmp_path):
    run = make_run(tmp_path, ["1", "2", "3"], embeddings=True)
    import_file(run, table(tmp_path, "id,file_name,label\n2,x.png,cat\n3,y.png,dog\n"))
    assert labels_of(run) == {"2": "cat", "3": "dog"}


def test_an_id_and_a_file_of_two_images(tmp_path):
    run = make_run(tmp_path, ["a", "b"])
    path = table(tmp_path, "image_id,file_name,label\na,photos/0.png,x\na,photos/1.png,y\n")
    with pytest.raises(DataError, match=r"row 3: 'a' and 'photos/1\.png' are two images"):
        import_file(run, path)


@pytest.mark.parametrize(
    "form",
    [
        "/home/ann/photos/{}",
        "C:\\Users\\ann\\photos\\{}",
        "file:///D:/photos/{}",
        "\\\\nas\\pics\\{}",
    ],
)
def test_paths_of_other_machines(form):
    ids = ["train/a.jpg", "val/a.jpg", "b.jpg"]
    names = [form.format(word.replace("/", "\\") if "\\" in form else word) for word in ids]
    given = [Given("x", name, "y", is_file=True) for name in names]
    found = match(given, Finder(ids, lambda: [f"/data/mine/{word}" for word in ids]))
    assert list(found.rows) == [0, 1, 2]
    assert "is taken for 'train/a.jpg'" in found.notes[0]


def test_folders_that_are_not_the_same_are_not_guessed():
    ids = ["1.jpg", "2.jpg", "3.jpg"]
    finder = Finder(ids, lambda: [f"/data/dogs/{word}" for word in ids])
    names = ["/mnt/cats/1.jpg", "/mnt/dogs/2.jpg", "/mnt/dogs/3.jpg"]
    found = match([Given("x", name, "y", is_file=True) for name in names], finder)
    assert list(found.rows) == [1, 2]
    assert [one.image for one in found.unknown] == ["/mnt/cats/1.jpg"]
    found = match([Given("x", "/mnt/horses/1.jpg", "y", is_file=True)], Finder(["cats/1.jpg"]))
    assert str(found.unknown[0]) == "x: /mnt/horses/1.jpg (the nearest is 'cats/1.jpg')"


def test_ids_without_their_endings(tmp_path):
    run = make_run(tmp_path, ["a.jpg", "cats/7.png", "b.jpg", "b.png"])
    found = import_file(run, table(tmp_path, "image_id,label\na,x\ncats/7,y\nb,z\n"))
    assert labels_of(run) == {"a.jpg": "x", "cats/7.png": "y"}
    assert "2 images are called so, 'b.jpg' and 'b.png' among them" in str(found.unknown[0])


def test_a_refusal_says_the_nearest(tmp_path):
    run = make_run(tmp_path, ["cats/007.jpg", "dogs/1.jpg"])
    with pytest.raises(DataError, match=r"Of 'cats/07\.jpg': the nearest is 'cats/007\.jpg'\."):
        import_file(run, table(tmp_path, "image_id,label\ncats/07.jpg,x\n"))
    with pytest.raises(DataError, match=r"has image_id, lable\. Did you mean 'label' by"):
        import_file(run, table(tmp_path, "image_id,lable\ncats/07.jpg,x\n"), format="csv")
    with pytest.raises(DataError, match=r"Its columns are imagge_id, label\. .* by 'imagge_id'"):
        import_file(run, table(tmp_path, "imagge_id,label\ncats/07.jpg,x\n"))


# Which label


def test_numbers_as_pandas_leaves_them(tmp_path):
    run = make_run(tmp_path, ["1", "2", "3"])
    import_file(run, table(tmp_path, "image_id,label\n1.0,0.0\n2.0,1.0\n3.0,\n"))
    assert labels_of(run) == {"1": "0", "2": "1"}


def test_a_column_for_each_class(tmp_path):
    run = make_run(tmp_path, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    text = "filename, cat, dog\na.jpg,1.0,0.0\nb.jpg,0.0,1.0\nc.jpg,,\nd.jpg,1.0,1.0\n"
    path = table(tmp_path, text, "_classes.csv")
    assert guess_format(path) == "csv"
    found = import_file(run, path)
    assert labels_of(run) == {"a.jpg": "cat", "b.jpg": "dog"}
    assert found.skipped == {"no label": 1, "2 choices: cat, dog": 1}


def test_a_column_for_each_class_beside_an_index(tmp_path):
    run = make_run(tmp_path, ["a.jpg", "b.jpg"])
    text = "Unnamed: 0,image_id,cat,dog\n0,a.jpg,1.0,0.0\n1,b.jpg,,1.0\n"
    import_file(run, table(tmp_path, text))
    assert labels_of(run) == {"a.jpg": "cat", "b.jpg": "dog"}


def test_lists_and_bytes_in_parquet(tmp_path):
    run = make_run(tmp_path, ["a", "b", "c"])
    labels = [["cat"], ["cat", "dog"], []]
    pq.write_table(pa.table({"id": [b"a", b"b", b"c"], "label": labels}), tmp_path / "x.parquet")
    found = import_file(run, tmp_path / "x.parquet")
    assert labels_of(run) == {"a": "cat"}
    assert found.skipped == {"2 choices: cat, dog": 1, "no label": 1}


def test_names_of_classes_that_are_nearly_one(tmp_path):
    run = make_run(tmp_path, ["a", "b", "c", "d"], labels={"d": "cat "})
    found = import_file(run, table(tmp_path, "image_id,label\na,Cat\nb,CAT\nc,dog\n"))
    assert found.new_classes == ["CAT", "Cat", "dog"]
    assert found.notes[0].startswith("The classes 'CAT', 'Cat', 'cat' differ in case")
    assert alike(["é"], ["e\u0301", "x"]) == [["e\u0301", "é"]]
    assert alike(["cat"], ["dog", "Dog"]) == []  # nothing new about them


# Which of several answers


def test_an_answers_time_is_a_time(tmp_path):
    run = make_run(tmp_path, ["a", "b", "c"])
    path = table(
        tmp_path,
        "image_id,label,annotator,updated_at\n"
        "a,cat,anna,5/1/2024 9:30\n"
        "a,dog,anna,5/1/2024 10:15\n"
        "b,cat,anna,2024-05-01T23:30:00+02:00\n"
        "b,dog,anna,2024-05-01T22:00:00Z\n"
        "c,cat,anna,\n"
        "c,dog,anna,2024-05-01T22:00:00Z\n",
    )
    found = import_file(run, path)
    assert labels_of(run) == {"a": "dog", "b": "dog"}
    (open_,) = found.conflicts
    assert str(open_).endswith("row 7: c: two answers, and none is known to be later (cat, dog)")


def test_annotators_that_disagree_are_said_to(tmp_path):
    run = make_run(tmp_path, ["000.png", "b"])
    path = table(tmp_path, "image_id,label,annotator\n000.png,cat,anna\n000.png,dog,ben\n")
    (one,) = import_file(run, path).conflicts
    assert str(one).endswith("000.png: the annotators disagree (cat, dog)")
