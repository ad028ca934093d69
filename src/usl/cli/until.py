"""What ``usl next --until`` prints: the verdict, the cheapest next step, and the forecast."""

from __future__ import annotations

import dataclasses
from typing import Any

from usl.active.advice import AUDIT, LABEL, NOTHING
from usl.active.until import Until
from usl.console import note, print_json, say
from usl.core.words import counted, quoted, verb_for
from usl.labeling.answers.audit import audit_in_words

MOST_CLASSES = 3  # of a sweep, that are named


def print_until(found: Until, *, as_json: bool) -> None:
    """Print what :func:`usl.active.until.until` says."""
    if as_json:
        print_json(as_record(found))
        return
    advice = found.advice
    say(verdict(found))
    if found.new_labels and advice.step != NOTHING:
        are = verb_for(found.new_labels, "is", "are")
        note(
            f"Note: {counted(found.new_labels, 'label')} {are} newer than the model. First: "
            f"usl train {quoted(found.run.path)}"
        )
    if advice.step == NOTHING:
        return
    say(f"Cheapest next step: {step(found)}.")
    say(f"Why: {advice.why}.")
    expected, low, high = advice.left
    then = f", an audit of {advice.audit:,} in all included" if advice.audit else ""
    say(
        f"Forecast: about {duration(expected)} until it is shown (80% interval {duration(low)} to "
        f"{duration(high)}{then}), at {advice.pace.label:.1f} s a label"
        f"{' as you took so far' if advice.pace.measured else ''}."
    )
    labels = advice.labels
    say(
        f"One by one, least sure first, it would take about {labels.labels:,} labels more (80% "
        f"interval {labels.low:,} to {labels.high:,})."
    )


def verdict(found: Until) -> str:
    """Whether the target is reached, and how that is known."""
    advice, look = found.advice, found.advice.look
    target = f"{100 * advice.target:g}%"
    if advice.reached and look is None:
        return f"Reached: people have labelled {target} of all images one by one."
    if look is not None:
        seen = (
            f"{100 * look.accuracy:.1f}% right by an audit of {look.judged:,} (interval "
            f"{100 * look.low:.1f} to {100 * look.high:.1f}, look {look.number}; all looks "
            "together err in 5% at most)"
        )
        if advice.reached:
            return f"Reached: {seen}, so at least {target}."
        verb = "not there yet" if advice.reached is False else f"{target} is not shown yet"
        return f"{seen}: {verb}."
    guess = f"the model itself expects {100 * advice.expected:.1f}%"
    share, text = audit_in_words(found.audit)
    if not share:
        return f"Not known yet: nothing is audited; {guess}."
    return f"Not shown: {share} {text} It is older than the present labels; {guess}."


def step(found: Until) -> str:
    """The next step in words, with its command."""
    advice, run = found.advice, quoted(found.run.path)
    about = f"about {duration(advice.seconds)}"
    if advice.step == AUDIT:
        return f"audit {advice.count:,} ({about}): usl label {run} --audit {advice.count}"
    if advice.step == LABEL:
        return (
            f"label {counted(advice.count, 'image')} ({about}): usl next {run} --budget "
            f"{advice.count}, then usl label {run}"
        )
    names = list(found.classes)
    shown = ", ".join(map(repr, names[:MOST_CLASSES]))
    more = f" and {len(names) - MOST_CLASSES} more" if len(names) > MOST_CLASSES else ""
    return (
        f"sweep {counted(advice.count, 'image')} of {shown}{more} ({about}): usl label {run} "
        f"--sweep {quoted(names[0])} --below {found.below:.3f}"
    )


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``40 s``, ``6 minutes``, ``3.5 hours``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def as_record(found: Until) -> dict[str, Any]:
    """Everything as JSON has it."""
    advice = found.advice
    return {
        "run": str(found.run.path),
        "target": advice.target,
        "reached": advice.reached,
        "look": None if advice.look is None else dataclasses.asdict(advice.look),
        "audit": None if found.audit is None else found.audit["collection"],
        "expected": round(advice.expected, 4),
        "aim": round(advice.aim, 4),
        "step": advice.step,
        "count": advice.count,
        "seconds": round(advice.seconds, 1),
        "why": advice.why,
        "classes": found.classes,
        "below": found.below,
        "images": found.ids,
        "audit_size": advice.audit,
        "seconds_left": dict(zip(("expected", "low", "high"), advice.left, strict=True)),
        "labels_left": dataclasses.asdict(advice.labels),
        "pace": dataclasses.asdict(advice.pace),
        "new_labels": found.new_labels,
    }
