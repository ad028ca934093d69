"""One label, whatever container it comes in."""

import json
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usl.core.errors import DataError
from usl.data.labels import SEVERAL, label_notes, one_label, read_labels, unwrap

NAMES = st.text(st.characters(categories=("L", "N"), include_characters=" _-"), min_size=1).map(
    lambda text: f"k {text.strip()}".strip()
)

# Every way in which a tool may hand over one text or one whole number.
CONTAINERS = {
    "itself": lambda value: value,
    "numpy's scalar": lambda value: np.array([value])[0],
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "set": lambda value: {value},
    "list in a list": lambda value: [[value]],
    "array": lambda value: np.array([value]),
    "array without dimensions": lambda value: np.array(value),
    "Label Studio's": lambda value: {"choices": [value]},
    "Label Studio's, as text": lambda value: json.dumps({"choices": [value]}),
    "JSON": lambda value: json.dumps([value]),
    "Python's list as text": lambda value: repr([value]),
    "bytes": lambda value: str(value).encode(),
    "bytes as text": lambda value: repr(str(value).encode()) if str(value).isascii() else value,
    "mapping of one": lambda value: {"anything": value},
    "mapping with more": lambda value: {"score": 0.5, "label": value},
}


@pytest.mark.parametrize("spelling", CONTAINERS, ids=str)
@given(value=NAMES | st.integers(0, 10**9))
def test_every_container_gives_the_same_label(spelling, value):
    assert one_label(CONTAINERS[spelling](value)) == (str(value), "")


@pytest.mark.parametrize("value", [7, 7.0, "7", "7.0", " 7 ", [7], [7.0], "[7]", "[7.]", b"7"])
def test_a_number_is_the_same_as_text(value):
    assert one_label(value) == ("7", "")


@pytest.mark.parametrize("value", [-1, -1.0, "-1", "-1.0", [-1], "[-1]", {"label": -1}])
def test_minus_one_is_no_label(value):
    assert one_label(value) == (None, "")


@pytest.mark.parametrize("value", [None, "", " ", [], {}, "[]", float("nan"), "nan", "NaN", "<NA>"])
def test_nothing_is_no_label(value):
    assert one_label(value) == (None, "")


@pytest.mark.parametrize(
    "value",
    [["a", "b"], ("a", "b"), "['a', 'b']", '["a", "b"]', np.array(["a", "b"]), "[0 1]", [0, 0, 1]],
)
def test_several_are_no_label_and_say_so(value):
    label, why = one_label(value)
    assert label is None
    assert why.endswith("choices")


@pytest.mark.parametrize("text", ["007", "1.50", "1e5", "-", "[x]", "{x}", "(1)", "None", "a, b"])
def test_other_text_stays_as_it_is(text):
    assert one_label(text) == (text, "")


def test_other_kinds_of_cells():
    assert one_label(Decimal("3.0")) == ("3", "")
    assert one_label(date(2024, 6, 1)) == ("2024-06-01", "")
    assert one_label(True) == ("True", "")


def test_tensors():
    torch = pytest.importorskip("torch")
    for value in (torch.tensor(1), torch.tensor([1]), torch.tensor([1.0], requires_grad=True)):
        assert one_label(value) == ("1", "")
        assert one_label(repr(value)) == ("1", "")
    assert one_label(torch.tensor(-1)) == (None, "")
    assert one_label(torch.tensor([0, 1]))[1] == "2 choices"


def test_a_path_through_a_tree_of_classes_is_its_leaf():
    assert one_label({"choices": [["Animal", "cat"]]}) == ("cat", "")


def test_names_of_classes_also_in_containers():
    assert one_label([1], ["cat", "dog"]) == ("dog", "")
    with pytest.raises(DataError, match="label 2 has no name: there are 2 classes"):
        one_label(2, ["cat", "dog"])


def test_what_does_not_count_is_counted():
    labels, faults = read_labels(["cat", ["a", "b"], "[1, 2, 3]", None, -1, -7, object()])
    assert labels.tolist() == ["cat", None, None, None, None, None, None]
    assert faults == {SEVERAL: 2, "a negative number": 1, "no number or text": 1}
    notes = label_notes("x.csv", faults)
    assert "x.csv: 2 rows have several labels for a label and count as unlabelled." in notes


def test_a_container_in_itself_ends():
    held: list = []
    held.append(held)
    assert unwrap(held) == (None, "no number or text")
