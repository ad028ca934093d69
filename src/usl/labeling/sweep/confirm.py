"""What a page of sheets sends: confirmed sheets, labels of what was unmarked, and undos.

A sheet is kept in one transaction, all of it or nothing, under keys with a common stem: label
entries of the marked images, and skips of the unmarked ones, which wait to be labelled one by one.
An undo takes all of it back.
"""

from __future__ import annotations

from typing import Any

from usl.core.errors import UsageError
from usl.labeling.answers.classes import name_for
from usl.labeling.answers.entries import LABEL, SKIP, SWEEP, Answer, Round
from usl.labeling.answers.outcomes import OPEN
from usl.labeling.page.listing import UnboundError
from usl.labeling.page.page_state import PageState
from usl.labeling.page.round_view import KEY, LONGEST, RoundView
from usl.labeling.sweep.sheets import Sheets

ROUND = f"{SWEEP}-1"  # all sheets of a run
MOST_IMAGES = 200  # of a sheet


class Sweep:
    """The sheets of a run and what was said of them.

    Parameters
    ----------
    state : of the page; labels of single images go into its own round.
    """

    def __init__(self, state: PageState) -> None:
        self.state, self.sheets = state, Sheets(state)
        self.round_view = RoundView(state.store, ROUND, state.listing)

    def apply(
        self, operation: dict[str, Any], annotator: str, left: dict[str, list[str]]
    ) -> list[UnboundError]:
        """Do what a browser asks, once however often it asks.

        ``{"type": "sheet", "label", "images", "unmarked", "seconds"}`` with a ``key`` confirms a
        sheet; an undo of it, and all else, is as on the labelling page
        (:meth:`usl.labeling.page.round_view.RoundView.apply`).

        Parameters
        ----------
        left : gets, by key, what is wrong with each image of the sheet that was left out.

        Raises
        ------
        UsageError : it makes no sense; sending it again would not help.
        DataError : it cannot be kept now.
        """
        if operation.get("type") == "sheet":
            self._confirm(operation, annotator, left)
            return []
        view = self.state.round_view
        if operation.get("type") == "undo":
            self.round_view.follow()
            if operation.get("of") in self.round_view.view(annotator).groups:
                view = self.round_view
        return view.apply(operation, annotator)

    def _confirm(
        self, operation: dict[str, Any], annotator: str, left: dict[str, list[str]]
    ) -> None:
        key, refs, out = _sheet(operation)
        seconds = operation.get("seconds")
        if seconds is not None and type(seconds) not in (int, float):
            raise UsageError("seconds: send a number.")
        known = operation.get("names")
        if known is not None and (type(known) is not int or known < 0):
            raise UsageError("names: send the number of the newest change that is known.")
        label = operation.get("label")
        if not isinstance(label, str):
            raise UsageError("label: send text.")
        each = None
        if seconds is not None and 0 <= seconds <= LONGEST:
            each = round(float(seconds), 2) / len(refs)
        store = self.state.store
        bound, told = self._bind(refs)
        with self.sheets.lock, store.transaction():
            self.sheets.follow()
            if self.sheets.said.knows_sheet(key):
                return  # sent again
            label = name_for(store, label, known)
            answers = []
            for number, image in bound:
                if fault := self._answered(image):
                    told.append(fault)
                    continue
                marked = refs[number] not in out
                kind, name = (LABEL, label) if marked else (SKIP, None)
                stem = f"{key}.{number}"
                answers.append(Answer(image, kind, name, annotator, ROUND, each, key=stem))
            if answers and all(one.name != ROUND for one in store.rounds()):
                store.add_round(Round(ROUND, SWEEP, (), population=self.sheets.population))
            store.add(answers)
            if any(one.kind == LABEL for one in answers):
                store.add_class(label)  # another tab may have removed it meanwhile
        if told:
            left[key] = told

    def _bind(self, refs: list[str]) -> tuple[list[tuple[int, str]], list[str]]:
        """Number and id of each image that is here as it was shown, and what is wrong with others.

        A sheet is not held back for them: their pictures are for another glance.
        """
        bound, told = [], []
        for number, ref in enumerate(refs):
            try:
                row = self.state.listing.row(ref)
                self.state.listing.check_content(row)
            except UnboundError as error:
                told.append(str(error))
            else:
                bound.append((number, self.state.listing.ids[row]))
        return bound, told

    def _answered(self, image: str) -> str:
        """What somebody has said of an image meanwhile; empty if nobody has."""
        found = self.sheets.said.outcome(image)
        if found.kind == OPEN:
            return ""
        by = " and ".join(dict.fromkeys(one.annotator or "another tab" for one in found.answers))
        said = f"called it {found.label!r}" if found.label else "answered"
        return f"{image}: {by} has {said} meanwhile."

    def facts(self, annotator: str) -> dict[str, Any]:
        """What is told beside the sheets: the classes, and what one annotator has done."""
        confirmed, seconds, waiting = self.sheets.done_by(annotator)
        return {
            "predicted": self.sheets.classes(),
            "classes": self.state.classes(),
            "names": self.state.store.names().revision,
            "confirmed": confirmed,
            "seconds": seconds,
            "waiting": [self.state.listing.ref(image) for image in waiting],
            "fault": self.sheets.fault,
        }

    def undoable(self, annotator: str) -> list[dict[str, Any]]:
        """The newest sheets that an annotator can take back, the last one last."""
        groups = self.round_view.state(annotator)["groups"]
        sheets = [one for one in groups if one["images"]]  # others are changes of classes
        return [{"key": one["key"], "images": len(one["images"])} for one in sheets]


def _sheet(operation: dict[str, Any]) -> tuple[str, list[str], set[str]]:
    """The key, the images and the unmarked ones of a sheet that is confirmed."""
    key, refs, out = (operation.get(name) for name in ("key", "images", "unmarked"))
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise UsageError("key: every operation needs one of 8 to 64 letters and digits.")
    if not isinstance(refs, list) or not 1 <= len(refs) <= MOST_IMAGES:
        raise UsageError(f"images: give 1 to {MOST_IMAGES} of them.")
    if not isinstance(out, list) or not all(isinstance(ref, str) for ref in [*refs, *out]):
        raise UsageError("images, unmarked: send lists of names.")
    if len(set(refs)) < len(refs) or not set(out) <= set(refs):
        raise UsageError("images, unmarked: name each image once, and unmark what is shown.")
    return key, refs, set(out)
