"""Live rounds: their images are chosen while people answer, by a model that learns along.

``live-1``, ``live-2``...: one for each way of asking, so that the round of an answer tells how its
image was chosen and whether the model's class was on show. The answers become labels like others.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from usl.labeling.answers.entries import LIVE, SKIP, Round
from usl.labeling.answers.outcomes import current
from usl.labeling.answers.store import Store

SUGGEST = "suggest"  # the setting that shows the model's class


def live_round(store: Store, settings: dict[str, Any]) -> Round:
    """The newest live round with these settings, which is gone on with, else a new one."""
    with store.transaction():
        for one in reversed(store.rounds()):
            if one.kind == LIVE and one.settings == settings:
                return one
        return store.add_round(Round("", LIVE, (), settings=settings))


def answered_live(store: Store, name: str) -> int:
    """How many images have an answer in a live round."""
    standing = current(store.history(round=name))
    return len({image for (_, _, image), one in standing.items() if one.kind != SKIP})


def given_live(store: Store) -> dict[bool, int]:
    """How many answers were given live that stand, by whether the model's class was shown."""
    shown = {
        one.name: one.settings.get(SUGGEST) is True for one in store.rounds() if one.kind == LIVE
    }
    standing = current(store.history()).values()
    return dict(
        Counter(shown[one.round] for one in standing if one.round in shown and one.kind != SKIP)
    )
