"""The later rounds of a run: what was known before each, and what its labels have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from usl.core.errors import DataError
from usl.labeling.answers.audit import wilson
from usl.run.before import Called, changes, read_before
from usl.run.folder import Run
from usl.run.picks import read_picks
from usl.run.predictions import Predictions
from usl.run.rounds import SelectionRound
from usl.run.split import Split
from usl.run.split_csv import by_people
from usl.training.audited import audited_answers


@dataclass(frozen=True)
class Standing:
    """How right the labels of all images were with so many ``labels``, as far as that is known.

    ``estimate`` is the learner's own; ``audit`` ``(right, judged)`` of audited images that nobody
    has made a label of, the same at every standing; ``measured`` is the accuracy by ``usl
    evaluate`` on the unlabelled train images.
    """

    labels: int
    estimate: float | None = None
    audit: tuple[int, int] | None = None
    measured: float | None = None

    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of the audit."""
        return None if self.audit is None else wilson(*self.audit)


@dataclass(frozen=True, eq=False)
class RoundFacts:
    """A later round: its record, its picks by column, how many were ``answered`` with a label.

    ``before`` is the standing when it was asked for; ``changed`` what its labels have changed since
    (:func:`usl.run.before.changes`), None while nobody has learned from them.
    """

    made: SelectionRound
    picks: dict[str, list[Any]]
    answered: int
    before: Standing
    changed: dict[str, Any] | None


@dataclass(frozen=True, eq=False)
class Rounds:
    """All later rounds, and the standing ``now``; None where no model is newer than the last."""

    listed: tuple[RoundFacts, ...] = ()
    now: Standing | None = None


def read_rounds(
    run: Run,
    split: Split,
    predictions: Predictions | None,
    evaluation: dict[str, Any] | None,
    notes: list[str],
) -> Rounds:
    """Read them; a note of one that is damaged, which is left out."""
    try:
        later = run.rounds()[1:]
        picks = [read_picks(one.path).to_pydict() for one in later]
        states = [read_before(one.path) for one in later]
    except DataError as error:
        notes.append(f"The later rounds are not shown. {error}")
        return Rounds()
    if not later:
        return Rounds()
    human = set(split.ids[by_people(split.sources)].tolist())
    answers = audited_answers(run, split)
    measured = {one["round"]: one["accuracy"] for one in (evaluation or {}).get("rounds", ()) or ()}
    training = run.info.get("training") or {}
    states.append(_now(predictions))
    newer = training.get("labels", 0) > later[-1].info.get("labels", 0)
    listed = []
    for place, (made, table) in enumerate(zip(later, picks, strict=True)):
        last = place == len(later) - 1
        before, after = states[place], states[place + 1]
        known = bool(before.machine and after.machine) and (newer or not last)
        listed.append(
            RoundFacts(
                made,
                table,
                sum(name in human for name in table["image_id"]),
                Standing(
                    made.info.get("labels", 0),
                    made.info.get("estimate"),
                    _audit(before, answers),
                    measured.get(made.number),
                ),
                changes(before, after) if known else None,
            )
        )
    now = None
    if newer:
        figures = (evaluation or {}).get("train") or {}
        now = Standing(
            training["labels"],
            training.get("estimate"),
            _audit(states[-1], answers),
            figures.get("accuracy"),
        )
    return Rounds(tuple(listed), now)


def _now(predictions: Predictions | None) -> Called:
    """What the active model calls the train images, and people."""
    found = Called({}, {})
    if predictions is None:
        return found
    columns = (predictions.ids, predictions.labels, predictions.own, predictions.subsets)
    for image, label, own, subset in zip(*(one.tolist() for one in columns), strict=True):
        if label is not None and subset == "train":
            (found.machine if own else found.people)[image] = label
    return found


def _audit(said: Called, answers: dict[str, str]) -> tuple[int, int] | None:
    both = [name for name in answers if name in said.machine]
    if not both:
        return None
    return sum(said.machine[name] == answers[name] for name in both), len(both)
