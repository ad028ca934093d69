"""Signs of cluster collapse, by the last figures of the training, in words."""

from __future__ import annotations

import math
from typing import Any

from usl.report.drawing.charts import tick_text
from usl.report.drawing.markup import Html, figure, join, per_cent, plural, tag

ENTROPY, SMALLEST, AGREEMENT = 0.8, 0.05, 0.2  # below: a warning
ALARMS = (  # figure, limit, what is wrong below it, what the figure is, what to change
    (
        "entropy",
        ENTROPY,
        "A few clusters hold nearly everything",
        "entropy of the sizes as a share of its maximum",
        "Raise alpha, or lower lam.",
    ),
    (
        "smallest",
        SMALLEST,
        "The smallest cluster is all but empty, and its pick speaks for hardly anything",
        "its size as a multiple of the mean",
        "Raise alpha, or ask for fewer labels.",
    ),
    (
        "agreement",
        AGREEMENT,
        "Hardly any items share a cluster with their neighbours",
        "agreement",
        "Raise steps or lam.",
    ),
)


def number(record: dict[str, Any], name: str) -> float | None:
    """A figure of a record; None where it is missing or no finite number."""
    value = record.get(name)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def short(value: float) -> str:
    """A figure of two or three digits, without an exponent."""
    return figure(float(value)) if abs(value) >= 0.1 else tick_text(float(f"{value:.2g}"))


def alarms(last: dict[int, dict[str, Any]]) -> list[str]:
    """What the last records of the heads warn of: a sentence or two for each danger."""
    found = []
    for name, limit, wrong, what, advice in ALARMS:
        low = {
            head: value
            for head, record in last.items()
            if (value := number(record, name)) is not None
            and value < limit
            # A single cluster has no entropy to lose.
            and not (name == "entropy" and (number(record, "largest") or math.inf) <= 1)
        }
        if low:
            values = ", ".join(
                short(value) + (f" in head {head}" if len(last) > 1 else "")
                for head, value in low.items()
            )
            found.append(f"{wrong} ({what}: {values}; below {limit} is a warning). {advice}")
    return found


def verdict(heads: dict[int, list[dict[str, Any]]]) -> Html | None:
    """One line: whether the clusters came out well, by the last record of each head."""
    last = {head: records[-1] for head, records in heads.items()}
    if warned := alarms(last):
        title = tag("strong", "Signs of collapse.")
        return tag("p", join([title, *warned], " "), class_="notice", role="note")
    figures = last[min(last)]
    known = {name: number(figures, name) for name in ("entropy", "smallest", "agreement")}
    if None in known.values():
        return None
    entropy, smallest, agreement = (float(value or 0) for value in known.values())
    of_head = f" Figures of head {min(last)}." if len(heads) > 1 else ""
    return tag(
        "p",
        tag("strong", "No sign of collapse."),
        f" After {plural(figures['step'], 'step')} the sizes of the clusters are "
        f"{'nearly even' if entropy >= 0.95 else 'uneven, but within bounds'} (entropy "
        f"{entropy:.3f} of the maximum), the smallest holds {figure(smallest)} times the mean, "
        f"and {per_cent(agreement)} of items share a cluster with a neighbour.{of_head}",
    )
