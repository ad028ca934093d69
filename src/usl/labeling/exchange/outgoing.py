"""The items of an export: images with their labels, ranks, scores and predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.version import __version__
from usl.core.words import quoted
from usl.labeling.answers.class_changes import Names
from usl.labeling.exchange.contract import Item
from usl.run.folder import Run
from usl.run.picks import PICKS, read_picks
from usl.run.predictions import read_predictions
from usl.run.split import Split
from usl.run.split_csv import SWEPT

What = Literal["requested", "labeled", "all", "predicted"]
SCORES = ("utility", "density", "confidence")
LATER_SCORES = SCORES[:2]  # the confidence of a later round is that of a prediction


def chosen_rows(split: Split, what: str) -> NDArray[np.int64]:
    """The rows of the split that are meant, int64 [k], in its order.

    ``requested`` images wait for a label, ``labeled`` ones have one; ``all`` and ``predicted`` are
    all images. Raises :class:`DataError` when there is none.
    """
    if what not in get_args(What):
        known = get_args(What)
        raise UsageError(
            f"what: {what!r} is none of {', '.join(known)}.{did_you_mean(what, known)}"
        )
    if what in ("requested", "labeled"):
        rows = split.requested() if what == "requested" else split.labeled()
    else:
        rows = np.arange(len(split))
    if not len(rows):
        raise DataError(f"{split.path}: no image is {what}. Export all of them: --what all")
    return rows


def items_of(
    run: Run, split: Split, rows: NDArray[np.int64], what: str, names: Names
) -> list[Item]:
    """The rows as items; with ``predicted`` an image nobody labelled has the model's label.

    A class that was renamed since the training has its new name (``names``).
    Raises :class:`DataError` for ``predicted`` on a run that is not trained.
    """
    guesses = _predictions(run)
    if what == "predicted" and not guesses:
        raise DataError(
            f"{run.path}: nothing is predicted yet. Train first: usl train {quoted(run.path)}"
        )
    ranks = _ranks(run)
    items = []
    for row in rows.tolist():
        word = str(split.ids[row])
        label, source = split.labels[row], str(split.sources[row])
        guess, confidence = guesses.get(word, (None, None))
        guess = None if guess is None else names.present(guess)
        if source in ("human", SWEPT):
            guess = confidence = None
        elif label is None and what == "predicted" and guess is not None:
            label, source = guess, "predicted"
        elif label is not None and guess != label:
            guess, confidence = label, None
        rank, score = ranks.get(word, (None, None))
        items.append(
            Item(
                image_id=word,
                subset=str(split.subsets[row]),
                state=str(split.states[row]),
                label=label,
                source=source,
                rank=rank,
                score=score,
                prediction=guess,
                confidence=_finite(confidence),
            )
        )
    return items


def classes_of(run: Run, split: Split, named: Sequence[str], names: Names) -> list[str]:
    """The classes ``named`` first (those of the labelling page), then trained and given ones."""
    trained = map(names.present, run.info.get("training", {}).get("classes", []))
    given = sorted({label for label in split.labels.tolist() if label is not None})
    return list(dict.fromkeys([*named, *trained, *given]))


def model_name(run: Run) -> str | None:
    """What made the predictions, or None."""
    method = run.info.get("training", {}).get("method")
    return None if method is None else f"usl-{__version__}:{method}"


def _predictions(run: Run) -> dict[str, tuple[str | None, float]]:
    """The model's label and its probability by image id; images a person answered are left out."""
    found = read_predictions(run.path)
    return {} if found is None else found.take(np.flatnonzero(found.own)).by_id()


def _ranks(run: Run) -> dict[str, tuple[int | None, float | None]]:
    """Rank and score of every pick by image id; later rounds go on counting."""
    found: dict[str, tuple[int | None, float | None]] = {}
    for one in run.rounds():
        if not (one.path / PICKS).is_file():
            continue
        before = len(found)
        wanted = SCORES if one.number == 0 else LATER_SCORES
        table = read_picks(one.path, "rank", *wanted)
        score = next((name for name in wanted if name in table.column_names), None)
        scores = [None] * len(table) if score is None else table[score].to_pylist()
        ids, ranks = table["image_id"].to_pylist(), table["rank"].to_pylist()
        for word, rank, value in zip(ids, ranks, scores, strict=True):
            found.setdefault(word, (before + int(rank), _finite(value)))
    return found


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
