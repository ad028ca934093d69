"""The contract of an exchange format: what it receives and returns.

A format is one file in this room; its name is the name on the command line. It has::

    PICTURES = True    # it needs picture files, or names of them; False: a table of ids will do
    SUFFIX = ""        # "" writes a folder, ".csv" and the like one file

    def write(export, out, *, <own parameters>) -> list[str]
    def read(path) -> list[Given]
    def recognizes(path) -> bool

- ``write`` puts an :class:`Export` at ``out``, a path beside the final place, which is renamed when
  all is written. It returns what the user should do next, one line each; paths in it, and in the
  files, are those of ``export.home``. Its keyword-only parameters are options of the command line.
- ``read`` returns everything the file says, in its order, and changes nothing. Names are matched
  with images, and labels weighed, by :mod:`usl.labeling.exchange.import_labels`.
- ``recognizes`` tells cheaply whether ``read`` would understand a file or folder that exists.

A file may have ``write`` alone, or ``read`` and ``recognizes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.methods import Methods
from usl.core.progress import Progress, silent
from usl.core.words import quoted
from usl.data.labels import one_label
from usl.run.split_csv import SWEPT

WRITERS = Methods("usl.labeling.formats", "write", noun="format")
READERS = Methods("usl.labeling.formats", "read", noun="format")


@dataclass(frozen=True, slots=True)
class Item:
    """One image of an export.

    Attributes
    ----------
    image_id, subset, state : as in the split file.
    label : the label, or None; ``source`` says whose: human, swept (a person's, at a glance),
        propagated, predicted, or empty.
    rank : place among the picks of all rounds, from 1; None where it is no pick.
    score : why it was picked (utility, else density); None where nothing of that is known.
    prediction, confidence : the trained model's label and its probability, None where a person
        answered or nothing is trained. Where ``label`` is a machine's, ``prediction`` repeats it:
        a copy that comes back with another label was corrected by somebody.
    """

    image_id: str
    subset: str = "train"
    state: str = "requested"
    label: str | None = None
    source: str = ""
    rank: int | None = None
    score: float | None = None
    prediction: str | None = None
    confidence: float | None = None

    @property
    def by_machine(self) -> bool:
        """Whether the label is not a person's."""
        return self.label is not None and self.source not in ("human", SWEPT)


class Pictures(Protocol):
    """The pictures of an export, in the order of its items."""

    def path(self, index: int) -> Path | None:
        """The absolute path of the file, or None for pictures that are no files."""

    def name(self, index: int) -> str:
        """A file name that is safe anywhere, and its stem unique in the run."""

    def put(self, index: int, target: Path, *, link: bool = False) -> None:
        """Write the picture to ``target``: the file's bytes or a link to it, else a PNG."""

    def draw(self, index: int, target: Path) -> None:
        """Write the picture to ``target`` as PNG, upright, in 8 bits, whatever its file is."""

    def size(self, index: int) -> tuple[int, int]:
        """Width and height as shown (EXIF orientation applied)."""


@dataclass(frozen=True)
class Export:
    """What leaves a run.

    Attributes
    ----------
    run : the run folder.
    items : the images, requested ones first, best first.
    classes : every class that is known, in the order of the keys on the labelling page.
    home : where the result will lie.
    model : name of what made the predictions, or None.
    pictures : of the items; None for a format with ``PICTURES = False``.
    """

    run: Path
    items: Sequence[Item]
    classes: list[str]
    home: Path
    model: str | None = None
    pictures: Pictures | None = None
    progress: Progress = field(default=silent)

    @property
    def shown(self) -> Pictures:
        """The pictures of a format that has asked for them."""
        assert self.pictures is not None
        return self.pictures


@dataclass(frozen=True, slots=True)
class Given:
    """What a file says of one image.

    Attributes
    ----------
    where : the file and row, as an error message begins.
    image : the image id; or what the tool calls the file, with ``is_file``.
    label : None where there is no answer; ``why`` then says the reason.
    also : another name the file may have; that of the file, where ``image`` is an id.
    number : a number beside the file's name, which may be the image's id, or the tool's own.
    annotator : as the tool calls the person; empty if it does not.
    seconds : that the answer took; None if not known.
    time : when it was given, in any form of :mod:`usl.labeling.exchange.times`; of one person's
        answers the latest counts.
    swept : whether the label was confirmed at a glance, with a whole sheet of others.
    """

    where: str
    image: str
    label: str | None = None
    why: str = ""
    is_file: bool = False
    also: str = ""
    annotator: str = ""
    seconds: float | None = None
    time: str = ""
    number: str = ""
    swept: bool = False


def import_command(export: Export, target: Path | str) -> str:
    """The command that reads labels back, ready for a shell."""
    return f"usl import {quoted(export.run)} {quoted(target)}"


def class_list(export: Export, classes: str | None) -> list[str]:
    """The classes of ``classes`` ("cat,dog"), then those the run knows; at least one.

    Raises :class:`UsageError` when nothing is known: a tool cannot offer an empty choice.
    """
    named = [name.strip() for name in (classes or "").split(",")]
    found = list(dict.fromkeys([*filter(None, named), *export.classes]))
    if not found:
        raise UsageError("No class is known yet. Name what to choose from: --classes cat,dog")
    return found


def text_or_none(value: Any, where: str) -> str | None:
    """A label of a JSON file as text; DataError for what is no single value."""
    if isinstance(value, (dict, list, bool)):
        raise DataError(f"{where}: the label should be text, this is {str(value)[:60]}.")
    label, why = one_label(value)
    if label is None and why:
        raise DataError(f"{where}: the label is {why}.")
    return label


def format_names(kind: Methods) -> list[str]:
    """The formats that define the function of this kind."""
    return [name for name in kind.names() if hasattr(kind.load(name), kind.function)]


def format_module(name: str, kind: Methods) -> ModuleType:
    """The module of a format that can be written, or read."""
    known = format_names(kind)
    if not name.endswith(".py") and name not in known:
        verb = "written" if kind is WRITERS else "read"
        raise UsageError(
            f"Unknown format {name!r}.{did_you_mean(name, known)} Formats that can be {verb}: "
            f"{', '.join(known)}; or give the path of a .py file."
        )
    return kind.load(name)
