"""The facts a report is made of: what the run folder holds, and the images themselves."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UslError, UslWarning
from usl.core.progress import Progress, silent
from usl.data.collection import Collection
from usl.evaluation.truth import source_answers
from usl.features.open_encoder import open_recorded
from usl.features.preprocessing import Preprocessing
from usl.features.space import open_space
from usl.labeling.answers.called_now import UNCHANGED, names_now, predictions_now
from usl.labeling.answers.class_changes import Names
from usl.labeling.answers.sync import bring_up_to_date
from usl.numeric.arrays import Float32
from usl.report.facts.people import People, read_people
from usl.report.facts.records import (
    COMPARISON,
    out_of_date,
    read_evaluation,
    read_history,
    read_optional,
)
from usl.report.facts.rounds import Rounds, read_rounds
from usl.run.folder import Run
from usl.run.picks import read_picks
from usl.run.predictions import Predictions
from usl.run.split import Split
from usl.selection.result import Selection
from usl.training.doubts import known_doubts
from usl.training.open_run import PREPROCESSING


@dataclass(frozen=True)
class Pick:
    """One pick: ``row`` in the collection (-1 if it has changed or gone), its figures by name.

    ``label`` is what is known about it, with ``given`` when it was labelled in the split file
    rather than known to the source. ``said`` is what people said in place of a label, as
    ``answered: cannot tell``; empty without.
    """

    rank: int
    image_id: str
    row: int
    figures: dict[str, Any]
    label: str | None
    given: bool
    said: str = ""


@dataclass(frozen=True, eq=False)
class Facts:
    """All that the sections show.

    ``features`` float32 [r, d] are the train images as the selection saw them, ``rows`` int64 [r]
    their rows in the collection; both empty where they could not be had. ``truth`` object [n] holds
    the source's answers, ``stands`` int64 [n] the pick (from 0) that speaks for a row, or -1.
    ``history`` is what the method recorded while it trained, one dict per record.
    ``people`` is what the store of answers says, if there is one; ``rounds`` the later ones;
    ``names`` what classes are called now.
    ``notes`` are what a reader has to know before trusting the page.
    """

    run: Run
    collection: Collection
    split: Split
    picks: tuple[Pick, ...]
    features: Float32
    rows: NDArray[np.int64]
    truth: NDArray[np.object_] | None
    predictions: Predictions | None
    stands: NDArray[np.int64]
    evaluation: dict[str, Any] | None
    comparison: dict[str, Any] | None
    history: tuple[dict[str, Any], ...]
    people: People | None
    rounds: Rounds
    names: Names
    notes: tuple[str, ...]

    @property
    def noun(self) -> str:
        """What the collection is made of."""
        return "item" if self.collection.images is None else "image"

    @property
    def labels_given(self) -> int:
        """How many train images are labelled in the split file."""
        return len(self.split.labeled("train"))

    def pick_points(self) -> NDArray[np.int64]:
        """The picks as rows of ``features``, best first, int64 [<= m]; missing ones left out."""
        position = np.full(len(self.collection), -1, dtype=np.int64)
        position[self.rows] = np.arange(len(self.rows))
        found = np.array([position[p.row] if p.row >= 0 else -1 for p in self.picks], np.int64)
        return found[found >= 0]

    def selection(self) -> Selection:
        """The picks of :meth:`pick_points` as a selection from ``features``, without figures."""
        points = self.pick_points()
        there = {row: number for number, row in enumerate(self.rows[points].tolist())}
        # the last entry maps -1 to -1
        place = np.array([*(there.get(pick.row, -1) for pick in self.picks), -1], dtype=np.int64)
        method = self.run.info["selection"]["method"]
        return Selection(points, place[self.stands[self.rows]], {}, method)


@contextmanager
def zero_rows_are_known() -> Iterator[None]:
    """Without the warning on rows of zeros, which was given when the features were made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        yield


def gather(run: Run, collection: Collection, progress: Progress = silent) -> Facts:
    """Read all there is. Only a run without a readable selection or split file is an error."""
    notes: list[str] = []
    selection = read_picks(run.path).to_pydict()
    if run.info.get("shards") and "cluster_size" in selection:  # the run holds a sample alone
        selection["represents"] = selection.pop("cluster_size")
    row_of = {name: row for row, name in enumerate(collection.ids.tolist())}
    try:
        bring_up_to_date(run)
    except DataError as error:
        notes.append(f"The newest answers may be missing here. {error}")
    try:
        split = run.checked_split(collection)
        notes += [note] if (note := split.gone_note()) else []
    except DataError as error:
        split = run.split()
        notes.append(f"The images are not those of the selection. {error}")
        for name in changed(run, collection, selection["image_id"], row_of):
            del row_of[name]
    names = names_for_report(run)
    truth = source_answers(collection, split, names)
    features, rows = train_points(run, collection, notes, progress)
    history = read_history(run, notes)
    people = read_people(run, split, notes)
    predictions = predictions_now(run.path, names)
    if predictions is not None:
        predictions = predictions.aligned(row_of, len(collection))
    evaluation = read_evaluation(run)
    rounds = read_rounds(run, split, predictions, evaluation, notes)
    facts = Facts(
        run=run,
        collection=collection,
        split=split,
        picks=tuple(make_picks(selection, row_of, split, truth, people)),
        features=features,
        rows=rows,
        truth=truth,
        predictions=predictions,
        stands=read_stands(selection, row_of, len(collection)),
        evaluation=evaluation,
        comparison=read_optional(run, COMPARISON),
        history=history,
        people=people,
        rounds=rounds,
        names=names,
        notes=(*notes, *out_of_date(run, split), *known_doubts(run.info.get("training"))),
    )
    for note in facts.notes:
        warnings.warn(note, UslWarning, stacklevel=3)
    return facts


def names_for_report(run: Run) -> Names:
    """The names of classes; where the store cannot be read, which a note tells, as they were."""
    try:
        return names_now(run.path)
    except DataError:
        return UNCHANGED


def changed(
    run: Run, collection: Collection, names: list[str], row_of: dict[str, int]
) -> list[str]:
    """Those of the named images whose content is not what it was when the run was made."""
    recorded = run.recorded_digests()
    found = []
    for name in names:
        if name not in row_of:
            continue
        try:
            now = collection.digest(row_of[name])
        except DataError:
            continue  # a placeholder will say that it cannot be read
        if recorded.get(name, now) != now:
            found.append(name)
    return found


def make_picks(
    selection: dict[str, list[Any]],
    row_of: dict[str, int],
    split: Split,
    truth: NDArray[np.object_] | None,
    people: People | None = None,
) -> list[Pick]:
    """The picks in rank order. A label in the split file goes before the source's answer.

    Of ``propagated_to`` only the number is kept.
    """
    labeled = split.labeled()
    given = dict(zip(split.ids[labeled].tolist(), split.labels[labeled].tolist(), strict=True))
    names = [name for name in selection if name not in ("rank", "image_id", "index", "represented")]
    if "propagated_to" in selection:
        counts = [len(receivers or ()) for receivers in selection["propagated_to"]]
        selection = {**selection, "propagated_to": counts}
    said = {} if people is None else people.undecided
    picks = []
    for i, image_id in enumerate(selection["image_id"]):
        row = row_of.get(image_id, -1)
        answer = None if truth is None or row < 0 else truth[row]
        picks.append(
            Pick(
                rank=selection["rank"][i],
                image_id=image_id,
                row=row,
                figures={name: selection[name][i] for name in names},
                label=given.get(image_id, answer),
                given=image_id in given,
                said="" if image_id in given else said.get(image_id, ""),
            )
        )
    return picks


def read_stands(
    selection: dict[str, list[Any]], row_of: dict[str, int], n: int
) -> NDArray[np.int64]:
    """For each row the pick (from 0) that stands for it, int64 [n]; -1 for none."""
    stands = np.full(n, -1, dtype=np.int64)
    for number, names in enumerate(selection.get("represented", ())):
        stands[[row_of[name] for name in names if name in row_of]] = number
    return stands


def train_points(
    run: Run, collection: Collection, notes: list[str], progress: Progress
) -> tuple[Float32, NDArray[np.int64]]:
    """The train images in the space of the selection; a note, and none, if they cannot be had."""
    record = run.info["encoder"]
    try:
        space = open_space(
            collection,
            "auto" if collection.features is not None else open_recorded(record["name"], record),
            rows=collection.rows_in("train"),
            preprocessing=Preprocessing.load(run.path / PREPROCESSING),
            progress=progress,
        )
        if space.embedding.encoder.key == record["key"]:
            return space.features, space.rows
        reason = "its weights are not those that the run was made with."
    except UslError as error:
        reason = str(error)
    notes.append(f"No map and no outliers: the encoder {record['name']} cannot be used. {reason}")
    return np.empty((0, 1), np.float32), np.empty(0, np.int64)
