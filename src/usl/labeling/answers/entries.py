"""The records of the store: answers, classes with their keys, rounds of questions."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from usl.core.errors import UsageError

LABEL, UNSURE, BAD, SKIP, UNDO = "label", "unsure", "bad", "skip", "undo"
KINDS = (LABEL, UNSURE, BAD, SKIP)
LABELS, AUDIT, CHECK = "labels", "audit", "check"  # kinds of rounds; "labels" is also its name
LIVE, SWEEP = "live", "sweep"  # two more kinds
SWEPT_ELSEWHERE = f"{SWEEP}-0"  # the round of swept labels that came with the split file
DIGITS = "123456789"
LONGEST = {"label": 200, "annotator": 64, "round": 64, "key": 200, "image_id": 4096}


@dataclass(frozen=True)
class Answer:
    """What one annotator said of one image.

    ``kind`` is ``label``, ``unsure`` (cannot tell), ``bad`` (bad image) or ``skip`` (later);
    ``label`` is there with kind ``label`` only. ``annotator`` is empty where there is only one.
    ``seconds`` passed between the image's appearance and the answer. ``final`` settles a conflict.
    ``key`` is the client's own: the same answer sent twice counts once.

    ``id`` (ascending), ``time`` (UTC, ISO 8601), ``undone`` and ``undoes`` (of an entry of kind
    ``undo``: the id of the answer it took back) are given by the store.
    """

    image_id: str
    kind: str
    label: str | None = None
    annotator: str = ""
    round: str = LABELS
    seconds: float | None = None
    final: bool = False
    key: str = ""
    id: int = 0
    time: str = ""
    undone: bool = False
    undoes: int = 0


@dataclass(frozen=True)
class ClassName:
    """A class and the key that gives it: ``"1"`` to ``"9"``, a letter, or none."""

    name: str
    hotkey: str = ""


@dataclass(frozen=True)
class Round:
    """Questions that were drawn once, as of an audit or a check, or that come as people answer.

    ``images`` in the order of asking; of a live round or a sweep none: those answered in it are its
    images. ``population`` is how many they were drawn from, ``seed`` how. ``passed`` of a check:
    audit images that it passed over though they were as doubtful, each with the number of its
    images that were more so. ``settings`` of a live round: how its images are chosen, and whether
    the model's class was on show.
    """

    name: str
    kind: str
    images: tuple[str, ...]
    seed: int = 0
    population: int = 0
    passed: tuple[tuple[str, int], ...] = ()
    time: str = ""
    settings: dict[str, Any] = field(default_factory=dict, hash=False)


def is_audit(name: str) -> bool:
    """Whether answers of this round stay out of the split file: an audit's do, all others go in."""
    return name.startswith(f"{AUDIT}-")


def is_swept(name: str) -> bool:
    """Whether answers of this round were given at a glance, to a whole sheet of images at once."""
    return name.startswith(f"{SWEEP}-")


def tidy(what: str, text: object, *, empty: bool = False) -> str:
    """Text without blanks around it, in Unicode NFC; UsageError if it is unfit to be kept."""
    if not isinstance(text, str):
        raise UsageError(f"{what}: {text!r} is not text.")
    text = str(text)  # one of NumPy's is another to its checksum
    found = text if what == "image_id" else unicodedata.normalize("NFC", text).strip()
    if not found and not empty:
        raise UsageError(f"{what}: it is empty.")
    if len(found) > LONGEST[what]:
        raise UsageError(f"{what}: {found[:40]!r}... has more than {LONGEST[what]} characters.")
    if what != "image_id" and any(unicodedata.category(c) in ("Cc", "Cs") for c in found):
        raise UsageError(f"{what}: {found[:80]!r} holds a control character. Leave it out.")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what}: {found[:80]!r} is not valid Unicode.") from None
    return found


def checked(answer: Answer) -> Answer:
    """The answer as it is kept; UsageError naming the field that cannot be."""
    if answer.kind not in KINDS:
        raise UsageError(f"kind: unknown kind {answer.kind!r}; use {', '.join(KINDS)}.")
    if (answer.label is None) == (answer.kind == LABEL):
        raise UsageError(
            f"label: an answer of kind {answer.kind!r} has {'a' if answer.kind == LABEL else 'no'} "
            f"label, but this one ({answer.image_id!r}) has {answer.label!r}."
        )
    seconds = answer.seconds
    if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
        raise UsageError(f"seconds: {seconds!r} is not a number of at least 0.")
    return replace(
        answer,
        image_id=tidy("image_id", answer.image_id),
        label=None if answer.label is None else tidy("label", answer.label),
        annotator=tidy("annotator", answer.annotator, empty=True),
        round=tidy("round", answer.round),
        key=tidy("key", answer.key, empty=True),
    )


def with_hotkeys(classes: Iterable[ClassName | str]) -> list[ClassName]:
    """Classes as they are kept; names alone get the first digits that are free.

    Raises :class:`UsageError` for an empty or repeated name, and for a key that is none or taken.
    """
    given = [(c.name, c.hotkey) if isinstance(c, ClassName) else (c, None) for c in classes]
    taken = {hotkey for _, hotkey in given}
    kept: dict[str, ClassName] = {}
    holders: dict[str, str] = {}
    for text, wanted in given:
        name, hotkey = tidy("label", text), wanted
        if hotkey is None:
            hotkey = next((digit for digit in DIGITS if digit not in taken), "")
            taken.add(hotkey)
        if not re.fullmatch(r"[1-9a-z]?", hotkey):
            raise UsageError(f"hotkey: {hotkey!r} of {name!r} is not 1 to 9 or a letter a to z.")
        if name in kept:
            raise UsageError(f"classes: {name!r} is named twice. Name it once.")
        if hotkey and holders.setdefault(hotkey, name) != name:
            raise UsageError(f"hotkey: {hotkey!r} is the key of {holders[hotkey]!r} and {name!r}.")
        kept[name] = ClassName(name, hotkey)
    return list(kept.values())
