"""Suspicious labels: those that the other labels contradict, the least supported first.

``usl train`` leaves each label out in turn and asks the others (the columns ``suggestion`` and
``support`` of the predictions). A label that was changed since is judged anew by the next training,
and one that was given twice is not suspected any more.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass

from usl.core.errors import DataError
from usl.labeling.answers.called_now import predictions_now
from usl.labeling.answers.entries import LABEL, is_audit
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync import sync
from usl.run.folder import Run
from usl.run.predictions import suspicious_rows
from usl.run.split import Split
from usl.run.split_csv import by_people


@dataclass(frozen=True)
class SuspiciousLabel:
    """A label that the others contradict.

    ``label`` is the given one and ``support`` the probability that it has by all others, 0 to 1;
    ``suggestion`` is the class that they find likeliest.
    """

    image_id: str
    label: str
    suggestion: str
    support: float

    def __str__(self) -> str:
        """``cat.jpg: 'dog' by its label, 'cat' by the others ('dog': 3%)``."""
        share = f"{100 * self.support:.0f}%" if self.support >= 0.005 else "below 1%"
        return (
            f"{self.image_id}: {self.label!r} by its label, {self.suggestion!r} by the others "
            f"({self.label!r}: {share})"
        )


def suspicious_labels(run: Run | str | os.PathLike[str]) -> list[SuspiciousLabel]:
    """The labels of a trained run that are most likely wrong, the most suspicious first.

    None of a class with a single label, nor of a training of networks: there is nothing to judge
    these by.

    Parameters
    ----------
    run : run folder, trained.

    Raises
    ------
    DataError : no run, or it is not trained; a damaged table of predictions.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    if not store_path(run.path).is_file():
        return contradicted(run, run.split(), None)
    with Store.open(run.path) as store:
        return contradicted(run, sync(run, store), store)


def contradicted(run: Run, split: Split, store: Store | None) -> list[SuspiciousLabel]:
    """As :func:`suspicious_labels`, of the run's ``split`` after a sync with its ``store``."""
    found = predictions_now(run.path)
    if found is None:
        raise DataError(f"{run.path}: nothing is predicted yet. First: usl train {run.path}")
    people = by_people(split.sources)
    now = dict(zip(split.ids[people].tolist(), split.labels[people].tolist(), strict=True))
    confirmed = given_twice(store) if store is not None else set()
    told = []
    for row in suspicious_rows(found).tolist():
        name, label = str(found.ids[row]), str(found.labels[row])
        if now.get(name) == label and (name, label) not in confirmed:
            support = float(found.support[row])
            told.append(SuspiciousLabel(name, label, str(found.suggestions[row]), support))
    return told


def given_twice(store: Store) -> set[tuple[str, str]]:
    """Images with a label that was given to them more than once, by whomever."""
    count = Counter(
        (one.image_id, str(one.label))
        for one in store.history()
        if one.kind == LABEL and not one.undone and not is_audit(one.round)
    )
    return {pair for pair, times in count.items() if times > 1}
