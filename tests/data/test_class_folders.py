"""Which class a folder says, wherever pictures are sorted into folders."""

import pytest

from usl.data.class_folders import split_classes


@pytest.mark.parametrize("wrap", ["", "sorted/", "a/b/"])
def test_wrappers_and_unlabeled(wrap):
    paths = [f"{wrap}cat/1.png", f"{wrap}dog/x/2.png", f"{wrap}unlabeled/3.png"]
    assert split_classes(paths) == [("cat", "1.png"), ("dog", "x/2.png"), (None, "3.png")]


def test_subsets():
    paths = ["train/cat/1.png", "val/dog/2.png", "unlabelled/3.png"]
    assert split_classes(paths) == [("cat", "1.png"), ("dog", "2.png"), (None, "3.png")]


def test_a_class_may_be_called_test_or_be_alone():
    assert split_classes(["test/1.png", "cars/2.png"]) == [("test", "1.png"), ("cars", "2.png")]
    assert split_classes(["cat/1.png"]) == [("cat", "1.png")]
    assert split_classes(["1.png", "cat/2.png"]) == [(None, "1.png"), ("cat", "2.png")]


def test_no_looking_through_where_other_folders_are_known():
    assert split_classes(["cat/x/1.png"], unwrap=False) == [("cat", "x/1.png")]
