"""One label out of whatever it comes in: a number, bytes, a list of one, a tensor, a tool's JSON.

The same answer means the same whatever the file: ``1``, ``1.0``, ``"1.0"``, ``[1]`` and a tensor
of 1 are the label ``1``; ``-1``, NaN and nothing are no label; several labels are none either,
and are counted.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError

SEVERAL = "several labels"
NEGATIVE = "a negative number"
NAMELESS = "no number or text"
# Keys under which tools put the answer, most telling first.
KEYS = ("choices", "choice", "labels", "label", "class", "name", "value", "text", "taxonomy")
PATHS = ("choices", "taxonomy")  # where one choice may be a path, from the root
NOTHING = ("nan", "<na>", "nat")  # how pandas and NumPy spell a missing value as text
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
SPELLED = re.compile(r"(?:array|tensor)\((.*?)(?:,\s*(?:dtype|device|requires_grad)=.*)?\)", re.S)


def unwrap(value: Any) -> tuple[Any, str]:
    """What a cell holds, taken out of its container, and why it is no label ("" if it may be one).

    Containers of one are opened at any depth: lists, tuples, sets, arrays, tensors, bytes, objects
    of one key or of a usual one (``{"choices": ["cat"]}``), and the same written as text. The
    value is a text, a number or None.
    """
    for _ in range(16):  # a container that holds itself ends here
        if isinstance(value, bytes | bytearray):
            return _of_text(bytes(value).decode("utf-8", "replace"))
        if isinstance(value, str):
            return _of_text(value)
        value = _plain(value)
        if isinstance(value, Mapping):
            value = _of_mapping(value)
        elif isinstance(value, list | tuple | set | frozenset):
            held = [part for part in value if part is not None]
            if len(held) > 1:
                return None, f"{len(held)} choices"
            value = held[0] if held else None
        elif value is None or isinstance(value, str | bytes | bytearray | bool | int | float):
            if isinstance(value, str | bytes | bytearray):
                continue
            return value, ""
        else:
            return None, NAMELESS
    return None, NAMELESS


def one_label(value: Any, names: Sequence[str] | None = None) -> tuple[str | None, str]:
    """The label of a cell as text, or None and why: ``2 choices``, ``a negative number``.

    Nothing at all is None without a reason. Whole numbers stand for ``names`` where these are
    known; ``"1.0"`` is ``"1"``, and ``"007"`` stays what it is.
    """
    found, why = unwrap(value)
    if why:
        return None, why
    if isinstance(found, str):
        found = _of_digits(found)
    if found is None or found != found:
        return None, ""
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, int | float) and not isinstance(found, bool):
        if found in (float("inf"), float("-inf")):
            return None, NAMELESS
        if found < 0:
            return None, "" if found == -1 else NEGATIVE
        if names is not None and isinstance(found, int):
            if found >= 10**18:
                return None, NAMELESS  # of too many digits even to be shown
            if found >= len(names):
                raise DataError(f"label {found} has no name: there are {len(names)} classes.")
            found = names[found]
    try:
        text = str(found).strip()
        text.encode()
    except ValueError:  # thousands of digits, or half a character
        return None, NAMELESS
    if "\0" in text:
        return None, NAMELESS
    return text or None, ""


def read_labels(
    values: Iterable[Any], names: Sequence[str] | None = None
) -> tuple[NDArray[np.object_], Counter[str]]:
    """Labels [n] as ``str`` or None, and how many are none for which reason."""
    texts: list[str | None] = []
    faults: Counter[str] = Counter()
    known: dict[tuple[type, Any], tuple[str | None, str]] = {}
    for value in values:
        if isinstance(value, str | int | float):
            key = (type(value), value)
            if key not in known:
                known[key] = one_label(value, names)
            text, why = known[key]
        else:
            text, why = one_label(value, names)
        texts.append(text)
        if why:
            faults[SEVERAL if why.endswith("choices") else why] += 1
    return np.array(texts, dtype=object), faults


def label_notes(source: str, faults: Mapping[str, int]) -> tuple[str, ...]:
    """What to say of labels that were given and do not count."""
    return tuple(
        f"{source}: {count} {'row has' if count == 1 else 'rows have'} {why} for a label and "
        f"{'counts' if count == 1 else 'count'} as unlabelled."
        for why, count in sorted(faults.items())
    )


def _plain(value: Any) -> Any:
    """Python values for those of NumPy, torch and pyarrow; others as they are."""
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "as_py"):
        return value.as_py()
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "tolist"):  # arrays and tensors, of no dimension too
        return value.tolist()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def _of_mapping(value: Mapping[Any, Any]) -> Any:
    """What an object says: under a usual key, or its only one."""
    spelled = {str(key).lower(): held for key, held in value.items()}
    for key in KEYS:
        if key in spelled:
            return _leaf(spelled[key]) if key in PATHS else spelled[key]
    return next(iter(value.values())) if len(value) == 1 else (list(value.values()) or None)


def _leaf(choices: Any) -> Any:
    """The last name of the only choice where that is a path through a tree of classes."""
    only = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
    return only[-1] if isinstance(only, list) and only else choices


def container_in(text: str) -> Any:
    """The container that a text spells in JSON, or as Python, NumPy or torch print it.

    None if it spells none: an empty one counts, brackets around what is no value are part of a
    name.
    """
    if spelled := SPELLED.fullmatch(text):
        inner = spelled[1].strip()
        found = container_in(inner)
        return [inner] if found is None else found
    bracketed = text[:1] + text[-1:] in ("[]", "{}", "()") and len(text) > 1
    quoted = re.fullmatch(r"b(['\"]).*\1", text, re.S) is not None
    if not bracketed and not quoted:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            held = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return held if isinstance(held, list | tuple | dict | set | bytes) else None
    numbers = re.fullmatch(r"\[\s*([^\[\],]*?)\s*\]", text)  # NumPy's: [0], [0 1]
    if numbers and all(NUMBER.fullmatch(word) for word in numbers[1].split()):
        return numbers[1].split()
    return None


def _of_text(text: str) -> tuple[Any, str]:
    """A text as it is, or what is in the container that it spells out."""
    held = container_in(text.strip())
    return (text.strip(), "") if held is None else unwrap(held)


def _of_digits(text: str) -> Any:
    """A number for a text that is a whole or negative one, None for a missing value's spelling."""
    if text.lower() in NOTHING:
        return None
    if not NUMBER.fullmatch(text):
        return text
    number = float(text)
    if number < 0:
        return number
    plain = re.fullmatch(r"(?:0|[1-9]\d*)(\.0*)?", text)
    return int(number) if plain and number.is_integer() and number < 2**53 else text
