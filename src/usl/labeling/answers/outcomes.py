"""Resolve a history of answers: the label of each image, conflicts, agreement.

The current answer of an annotator to an image of a round is the last entry that is not undone; a
``skip`` is none. Over several rounds it is the latest. One label settles an image; of several
answers, all that name a class must name the same, or more than half of three or more must. Anything
else is a conflict, which stays until a ``final`` answer settles it. ``unsure`` and ``bad`` name no
class: they leave an image unlabelled if nobody gives it a label. Swept labels, given at a glance,
count only while nobody has looked at the image itself, whichever came first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from usl.labeling.answers.entries import (
    BAD,
    LABEL,
    SKIP,
    UNDO,
    UNSURE,
    Answer,
    is_audit,
    is_swept,
)

OPEN, UNLABELED, CONFLICT = "open", "unlabeled", "conflict"


@dataclass(frozen=True)
class Outcome:
    """What the answers to one image amount to.

    ``kind``: ``label`` (with ``label``), ``unlabeled`` (nobody can tell, or a bad image),
    ``conflict``, or ``open`` (no answer). ``answers`` are the current ones of its annotators, a
    final one last; ``disputed`` says that annotators differed, settled or not; ``final`` that a
    final answer decided; ``bad`` that somebody calls the image bad; ``swept`` that all there is was
    given at a glance.
    """

    kind: str
    label: str | None = None
    answers: tuple[Answer, ...] = ()
    disputed: bool = False
    final: bool = False
    bad: bool = False
    swept: bool = False


def current(history: Iterable[Answer]) -> dict[tuple[str, str, str], Answer]:
    """The last entry that is not undone of each (round, annotator, image), skips included.

    Final answers are left out: who settles a conflict does not change what was said blindly.
    """
    found: dict[tuple[str, str, str], Answer] = {}
    for answer in history:
        if not answer.undone and not answer.final and answer.kind != UNDO:
            found[answer.round, answer.annotator, answer.image_id] = answer
    return found


def outcomes(history: Sequence[Answer], *, audit: bool = False) -> dict[str, Outcome]:
    """What the answers amount to, by image; of the audits, or of all other rounds.

    Images come in the order of their first entry; those whose entries are all undone or skipped
    are ``open``.
    """
    wanted = [answer for answer in history if is_audit(answer.round) == audit]
    said: dict[str, dict[str, Answer]] = {answer.image_id: {} for answer in wanted}
    finals: dict[str, Answer] = {}
    now = sorted(current(wanted).values(), key=lambda one: (not is_swept(one.round), one.id))
    for answer in now:  # the swept ones first: what is said of the image itself replaces them
        if answer.kind != SKIP:
            said[answer.image_id][answer.annotator] = answer
    for answer in wanted:
        if answer.final and not answer.undone and answer.kind != UNDO:
            finals[answer.image_id] = answer
    return {
        image: outcome(list(answers.values()), finals.get(image)) for image, answers in said.items()
    }


def outcome(answers: Sequence[Answer], final: Answer | None = None) -> Outcome:
    """What the current answers to one image amount to, no skips among them.

    1. A final ``skip`` asks anew: only what was said after it counts.
    2. Any other final answer decides. But where just one annotator works, and has answered since,
       that is a change of mind, and the newest word counts.
    3. Without a final answer: see the top of this file.

    What was swept counts only where there is nothing else.
    """
    if final is not None and final.kind == SKIP:
        answers, final = [answer for answer in answers if answer.id > final.id], None
    looked = [answer for answer in answers if not is_swept(answer.round)]
    if swept := not looked and final is None and bool(answers):
        looked = list(answers)
    answers = looked
    disputed = len({answer.label for answer in answers if answer.kind == LABEL}) > 1
    if final is not None and not (len(answers) == 1 and answers[0].id > final.id):
        given, decided = [final], True
    else:
        given, decided = list(answers), False
    everything = tuple(answers) if final is None else (*answers, final)
    bad = any(answer.kind == BAD for answer in given)
    labels = Counter(answer.label for answer in given if answer.kind == LABEL)
    if not labels:
        kind = UNLABELED if given else OPEN
        return Outcome(kind, None, everything, disputed, decided, bad)
    label, votes = labels.most_common(1)[0]
    if len(labels) == 1 or (len(given) >= 3 and 2 * votes > len(given)):
        return Outcome(LABEL, label, everything, disputed, decided, bad, swept)
    return Outcome(CONFLICT, None, everything, True, decided, bad, swept)


def unmarks(answer: Answer) -> bool:
    """Whether somebody took the image out of a sheet, so that it waits to be looked at itself."""
    return answer.kind == SKIP and not answer.undone and is_swept(answer.round)


def conflicts(found: Mapping[str, Outcome]) -> list[str]:
    """Images that wait for somebody to adjudicate."""
    return [image for image, one in found.items() if one.kind == CONFLICT]


def bad_images(found: Mapping[str, Outcome]) -> list[str]:
    """Images that somebody calls bad and nobody has settled otherwise."""
    return [image for image, one in found.items() if one.bad]


def queue(images: Sequence[str], answers: Iterable[Answer]) -> list[str]:
    """What one annotator is to be asked, in order: the unanswered, then what they skipped.

    ``answers`` are that annotator's to this round, in order. What was skipped first comes first.
    """
    last = {image: answer for (_, _, image), answer in current(answers).items()}
    fresh = [image for image in images if image not in last]
    skipped = [image for image in images if image in last and last[image].kind == SKIP]
    return fresh + sorted(skipped, key=lambda image: last[image].id)


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree, before anything was adjudicated.

    ``images`` with two or more answers, ``equal`` the share of them on which all are equal;
    ``value`` of ``measure`` is agreement beyond chance: 1 is perfect, 0 is chance, None where
    everything was called the same. ``answers`` by annotator.
    """

    images: int
    equal: float
    measure: str
    value: float | None
    answers: dict[str, int]


def agreement(history: Iterable[Answer]) -> Agreement | None:
    """Agreement over all rounds; None if no image has two answers.

    ``unsure`` and ``bad`` count as categories of their own. Two annotators: Cohen's kappa
    (Educational and Psychological Measurement 20, 1960). More, each on any images: Krippendorff's
    alpha for nominal data (Content Analysis, 2004, ch. 11).
    """
    units: dict[tuple[str, str], dict[str, tuple[str, str]]] = defaultdict(dict)
    count: Counter[str] = Counter()
    for (name, annotator, image), answer in current(history).items():
        if answer.kind != SKIP:
            units[name, image][annotator] = (answer.kind, answer.label or "")
            count[annotator] += 1
    shared = [said for said in units.values() if len(said) > 1]
    if not shared:
        return None
    equal = sum(len(set(said.values())) == 1 for said in shared) / len(shared)
    names = sorted({name for said in shared for name in said})
    if len(names) == 2:
        value = cohens_kappa([(said[names[0]], said[names[1]]) for said in shared])
        return Agreement(len(shared), equal, "Cohen's kappa", value, dict(count))
    value = krippendorffs_alpha([list(said.values()) for said in shared])
    return Agreement(len(shared), equal, "Krippendorff's alpha", value, dict(count))


def cohens_kappa(pairs: Sequence[tuple[object, object]]) -> float | None:
    """``(observed - expected) / (1 - expected)``; None if both only ever used one category."""
    n = len(pairs)
    observed = sum(first == second for first, second in pairs) / n
    one, other = Counter(pair[0] for pair in pairs), Counter(pair[1] for pair in pairs)
    expected = sum(one[name] * other[name] for name in one) / n**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def krippendorffs_alpha(units: Sequence[Sequence[object]]) -> float | None:
    """``1 - observed / expected`` disagreement of nominal values; units have two or more of them.

    A unit of m values counts each of its ordered pairs 1 / (m - 1) times. None if there is one
    category only.
    """
    total: Counter[object] = Counter()
    observed = 0.0
    for values in units:
        count = Counter(values)
        total += count
        m = len(values)
        observed += (m * m - sum(c * c for c in count.values())) / (m - 1)
    n = sum(total.values())
    expected = (n * n - sum(c * c for c in total.values())) / (n - 1)
    return None if expected == 0 else 1 - observed / expected


__all__ = [
    "BAD",
    "CONFLICT",
    "LABEL",
    "OPEN",
    "SKIP",
    "UNLABELED",
    "UNSURE",
    "Agreement",
    "Outcome",
    "agreement",
    "bad_images",
    "cohens_kappa",
    "conflicts",
    "current",
    "krippendorffs_alpha",
    "outcome",
    "outcomes",
    "queue",
    "unmarks",
]
