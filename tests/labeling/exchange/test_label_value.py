"""One label, however it is packed; several or none are no label."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usl.labeling.exchange.label_value import one_label, whole_numbers

names = st.text(st.characters(categories=["L", "Nd"], include_characters=" _-"), min_size=1)
words = names.map(str.strip).filter(
    lambda text: text[:1].isalpha() and text.lower() not in ("nan", "nat")
)
PACKED = [
    lambda text: text,
    lambda text: f" {text} ",
    lambda text: [text],
    lambda text: (text,),
    lambda text: [[text]],
    lambda text: [text, text],
    lambda text: np.array([text]),
    lambda text: np.str_(text),
    lambda text: text.encode(),
    lambda text: [text.encode()],
    lambda text: {"choices": [text]},
    lambda text: {"label": text, "_cls": "Classification"},
    lambda text: {"taxonomy": [[text]]},
    lambda text: json.dumps([text]),
    lambda text: json.dumps({"choices": [text]}),
    lambda text: str([text]),  # as pandas writes a list into a CSV
    lambda text: str(text.encode()),
]


@given(words, st.sampled_from(PACKED))
def test_every_container_spelling_gives_the_same_label(word, pack):
    assert one_label(pack(word)) == (word, "")


@pytest.mark.parametrize("value", [3, 3.0, [3], np.int64(3), np.array([3.0]), "[3]", {"label": 3}])
def test_numbers_are_digits(value):
    assert one_label(value) == ("3", "")


@pytest.mark.parametrize("value", [None, "", " ", [], {}, "[]", float("nan"), -1, [None], {"a": 1}])
def test_none(value):
    assert one_label(value) == (None, "no label")


@pytest.mark.parametrize(
    "value",
    [["cat", "dog"], {"choices": ["cat", "dog"]}, '{"choices": ["cat", "dog"]}', "['cat', 'dog']"],
)
def test_several_are_none_and_named(value):
    assert one_label(value) == (None, "2 choices: cat, dog")


def test_a_choice_inside_others_is_its_way_down():
    assert one_label({"choices": [["Animal", "cat"]]}) == ("Animal/cat", "")
    assert one_label({"taxonomy": [["A", "b"], ["A", "c"]]})[1] == "2 choices: A/b, A/c"


def test_brackets_may_be_part_of_a_name():
    for name in ("[x]", "{cat}", "(0)", "b'"):
        assert one_label(name) == (name, "")


def test_numbers_that_pandas_has_widened():
    assert whole_numbers(["1.0", None, "0.0"]) == ["1", None, "0"]
    assert whole_numbers(["1.0", "1.5"]) == ["1.0", "1.5"]  # versions, say
    assert whole_numbers(["1.0", "cat"]) == ["1.0", "cat"]
