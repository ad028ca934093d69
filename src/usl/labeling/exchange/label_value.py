"""One label out of what a file holds for an image: text, a number, or a container of one of them.

``["cat"]``, ``b"cat"``, ``{"choices": ["cat"]}`` and the text ``["cat"]`` of a CSV cell all say
``cat``. Several labels, or none, are no label, and the reason is counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from usl.data.columns import label_texts
from usl.data.labels import NOTHING, NUMBER, PATHS, container_in

HOLDERS = ("choices", "taxonomy", "label", "labels", "class", "name")  # keys of what holds a label
WHOLE = re.compile(r"(-?\d+)(\.0*)?")
NONE = "no label"


def one_label(value: Any, *, typed: bool = False) -> tuple[str | None, str]:
    """The label that ``value`` holds; or None, and why there is none.

    In a file that has types of its own, text that looks like a number is what a person wrote.
    """
    if typed and isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        return value.strip(), ""
    found = list(dict.fromkeys(_labels(value)))
    if len(found) == 1:
        return found[0], ""
    if found:
        return None, f"{len(found)} choices: {', '.join(found)}"
    return None, NONE


def whole_numbers(labels: Sequence[str | None]) -> list[str | None]:
    """``1.0`` as ``1`` where all labels are whole: pandas writes numbers so beside empty cells."""
    matches = [None if text is None else WHOLE.fullmatch(text) for text in labels]
    if any(match is None and text for match, text in zip(matches, labels, strict=True)):
        return list(labels)
    return [None if match is None else match[1] for match in matches]


def _labels(value: Any) -> list[str]:
    """All labels in a value, however deep."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        parsed = container_in(value.strip())
        return _labels(parsed) if parsed is not None else _texts(value)
    if hasattr(value, "tolist"):  # arrays, tensors and numbers of NumPy
        value = value.tolist()
    if isinstance(value, dict):
        held = next((key for key in HOLDERS if value.get(key) is not None), None)
        if held is None:
            return []
        if held in PATHS and isinstance(value[held], (list, tuple)):
            return [name for choice in value[held] for name in _way(choice)]
        return [] if held in PATHS and isinstance(value[held], bool) else _labels(value[held])
    if isinstance(value, (list, tuple, set, frozenset)):
        return [name for part in value for name in _labels(part)]
    return _texts(value)


def _way(choice: Any) -> list[str]:
    """A choice; one inside others, as Label Studio's ``["Animal", "cat"]``, is ``Animal/cat``."""
    if isinstance(choice, bool):
        return []  # a choice is a text
    if not isinstance(choice, (list, tuple)):
        return _labels(choice)
    parts = [name for part in choice for name in _labels(part)]
    return ["/".join(parts)] if parts else []


def _texts(value: Any) -> list[str]:
    if isinstance(value, str) and value.strip().lower() in NOTHING:
        return [value.strip()]  # a person may call a class so, and its own file says it again
    text = label_texts([value])[0]
    return [] if text is None else [str(text)]
