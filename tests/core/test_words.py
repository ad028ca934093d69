"""Counts in words, and commands that can be pasted."""

from __future__ import annotations

import shlex

import pytest

from usl.core.words import counted, each, quoted


@pytest.mark.parametrize(
    ("n", "noun", "text"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (1, "entry", "1 entry"),
        (2, "entry", "2 entries"),
        (1, "class", "1 class"),
        (12_000, "class", "12,000 classes"),
        (3, "labelled image", "3 labelled images"),
        (2, "day", "2 days"),
        (2, "batch", "2 batches"),
    ],
)
def test_a_number_with_its_noun(n, noun, text):
    assert counted(n, noun) == text


def test_an_irregular_plural_and_all_of_a_number():
    assert counted(2, "more class", "more classes") == "2 more classes"
    assert each(1, "image") == "the only image"
    assert each(2, "image") == "each of 2 images"


@pytest.mark.parametrize(
    "word", ["run", "my run", "it's", 'a "b"', "$HOME", "a;b", "é", "", "a\nb"]
)
def test_a_shell_reads_back_what_was_quoted(word):
    assert shlex.split(f"usl train {quoted(word)}") == ["usl", "train", word]


def test_a_name_that_begins_with_a_dash_is_no_option():
    assert quoted("-x y") == "'./-x y'"
