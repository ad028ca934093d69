"""Names that are safe anywhere, and lead back to what they stand for."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_runs import STRANGE
from usl.core.errors import DataError
from usl.labeling.exchange.names import Finder, class_folders, class_of, stems

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
WANTED = stems(["x:y.jpg"])[0]  # an id that looks like another's name
LOOKALIKES = [WANTED, f"{WANTED}.jpg", "x:y.jpg", "a.jpg", "a.jpg.png", "a"]
nasty = st.sampled_from(
    [*STRANGE, *LOOKALIKES, "cat", "CAT", "unlabeled", "con", "e\u0301", "é", "50%", "%41"]
)
ids = st.lists(texts | nasty, unique=True, min_size=1, max_size=12)


def check_safe(name: str) -> None:
    assert name not in ("", ".", "..")
    assert not set(name) & set('/\\:*?"<>|\0\n%')
    assert name[0] not in ".-"
    assert len(os.fsencode(name)) <= 200


@given(ids)
@settings(max_examples=100, deadline=None)
def test_stems_are_safe_unique_and_lead_back(ids):
    names = stems(ids)
    assert len({name.casefold() for name in names}) == len(ids)
    finder = Finder(ids)
    for row, (word, name) in enumerate(zip(ids, names, strict=True)):
        check_safe(name)
        assert finder.id(word) == row
        assert finder.file(name) == finder.file(f"{name}.png") == row


def test_ordinary_ids_keep_their_names():
    ids = ["a.jpg", "cats/7.jpg", "IMG 1 (2).png", "ü.jpg", "x.tar.gz", "1.2.jpg"]
    assert stems(ids) == ["a", "cats_7", "IMG 1 (2)", "ü", "x.tar.gz", "1.2"]


def test_what_a_file_name_may_be():
    ids = ["a.jpg", "b/c.jpg", "d/c.jpg", "e/only.jpg", "42", "u\u0308.png"]
    finder = Finder([*ids[:-1], "ü.png"], lambda: [f"/data/pets/{word}" for word in ids])
    for name, row in {
        "a.jpg": 0,
        "A.JPG": 0,
        "a": 0,
        "a.png": 0,
        "./a.jpg": 0,
        "b_c.jpg": 1,
        "b\\c.jpg": 1,
        "only.jpg": 3,
        "42.png": 4,
        "u\u0308.png": 5,
        "pets/a.jpg": 0,
        "/data/pets/d/c.jpg": 2,
    }.items():
        assert finder.file(name) == row, name
    # two that could be meant, another folder, the end of a folder's name, another place
    for name in ("c.jpg", "cats/a.jpg", "ets/a.jpg", "../a.jpg", ""):
        assert finder.file(name) is None, name
    assert finder.id("a") is None


@given(st.lists(texts.map(str.strip).filter(bool) | nasty, unique=True, max_size=8))
@settings(max_examples=100, deadline=None)
def test_class_folders_are_safe_unique_and_lead_back(labels):
    labels = [label for label in labels if len(label) < 80]
    folders = class_folders(labels)
    assert len({name.casefold() for name in folders.values()}) == len(labels)
    for label, name in folders.items():
        assert name not in (".", "..", "unlabeled")
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name[0] != "."
        assert class_of(name) == label


def test_ordinary_classes_keep_their_names():
    assert class_folders(["cat", "T-shirt/top", "50%", "unlabeled", "Cat"]) == {
        "cat": "%63%61%74",
        "Cat": "%43%61%74",
        "T-shirt/top": "T-shirt%2Ftop",
        "50%": "50%25",
        "unlabeled": "%75nlabeled",
    }
    assert class_folders(["cat", "dog 2"]) == {"cat": "cat", "dog 2": "dog 2"}
    for folder in ("50%", "%zz", "%ff", "a%20b", "cat"):  # made by people
        assert class_of(folder) == folder


def test_a_class_too_long_for_a_folder_is_refused():
    with pytest.raises(DataError, match="too long a name"):
        class_folders(["x" * 300])
