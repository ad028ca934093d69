"""Compare a new model with the active one on what people have said in the audits of a run.

Audited images are a uniform sample that people judged without seeing a prediction, so they test
any model that was not trained on them. Both models are compared on the same images: the new one is
better if it is right where the other is wrong more often than the other way round, by more than
chance explains (the exact sign test, McNemar's without approximation; one-sided, 5%).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from usl.core.errors import DataError
from usl.labeling.answers.called_now import predictions_now
from usl.labeling.answers.entries import AUDIT, LABEL
from usl.labeling.answers.outcomes import outcomes
from usl.labeling.answers.store import Store, store_path
from usl.run.folder import Run
from usl.run.split import Split

LEVEL = 0.05  # of the test


def compared(run: Run, split: Split, new: Mapping[str, str]) -> dict[str, Any] | None:
    """How the labels ``new`` by image do on the audited images, beside those of the active model.

    Returns
    -------
    ``judged`` images that both predict, how many of them are ``right``, and ``right_before`` by the
    active model; ``better``, whether the new one is beyond chance. None without an audit, or
    without an active model.
    """
    answers = audited_answers(run, split)
    old: dict[str, Any] = {}
    with suppress(DataError):  # an active model that cannot be read compares with nothing
        found = predictions_now(run.path) if answers else None
        old = {} if found is None else {name: label for name, (label, _) in found.by_id().items()}
    pairs = [
        (new[image] == answer, old[image] == answer)
        for image, answer in answers.items()
        if image in new and image in old
    ]
    if not pairs:
        return None
    won = sum(mine and not other for mine, other in pairs)
    lost = sum(other and not mine for mine, other in pairs)
    return {
        "judged": len(pairs),
        "right": sum(mine for mine, _ in pairs),
        "right_before": sum(other for _, other in pairs),
        "better": by_chance(won, lost) < LEVEL,
    }


def by_chance(won: int, lost: int) -> float:
    """The probability of at least ``won`` heads in ``won + lost`` throws of a fair coin."""
    n = won + lost
    heads = sum(math.comb(n, k) for k in range(won, n + 1))
    return float(heads / 2**n)


def audited_answers(run: Run, split: Split) -> dict[str, str]:
    """What people have said of audited images that are no label of training, by id."""
    if not store_path(run.path).is_file():
        return {}
    with Store.open(run.path) as store:
        drawn = {image for one in store.rounds() if one.kind == AUDIT for image in one.images}
        found = outcomes(store.history(), audit=True)
    labelled = set(split.ids[split.labeled()].tolist())
    return {
        image: str(found[image].label)
        for image in sorted(drawn - labelled)
        if image in found and found[image].kind == LABEL
    }
