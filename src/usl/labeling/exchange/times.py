"""When answers were given: which of several is the latest, however the times are written.

ISO 8601 with and without zones, seconds since 1970, and what spreadsheets make of a date, as
``5/1/2024 9:30`` or ``45413.4``. A time is a span, for it may be as vague as a day; a time without
a zone beside others that have one may be of any. What cannot be told is a tie, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

HOUR, DAY = 3600.0, 86400.0
BEHIND, AHEAD = 12 * HOUR, 14 * HOUR  # the zones of the earth: UTC-12 to UTC+14
EXCEL = datetime(1899, 12, 30, tzinfo=UTC)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

NUMBER = re.compile(r"\d+(\.\d*)?")
NAMED = re.compile(
    r"(?:[A-Za-z]{3,9},? +)?"  # the day of the week
    r"(?:(\d{1,2})[ -]([A-Za-z]{3,9})\.?[ ,-]+|([A-Za-z]{3,9})\.? (\d{1,2}),? +)(\d{4})"
)
DATE = re.compile(
    r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})"
    r"(?:(?:T|t|,? +|_)(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?\s*([AaPp])?(?:\.?[Mm]\.?)?)?"
    r"\s*(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?"
)


@dataclass(frozen=True)
class Moment:
    """Seconds since 1970 between which it was; ``zoned`` says that its zone is known."""

    early: float
    late: float
    zoned: bool


class Times:
    """The times of one file, which are all written by the same hand.

    Parameters
    ----------
    texts : all of them; they tell whether 5/1 is a day of May or of January, if any does.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        known = list(dict.fromkeys(texts))
        orders = [
            order
            for order in (True, False)
            if all(moment(t, order) or not moment(t, not order) for t in known)
        ]
        self._orders = orders or [True, False]  # day first?

    def latest(self, texts: Sequence[str]) -> list[int]:
        """The positions of the latest; several where that cannot be told."""
        if len(set(texts)) < 2:
            return list(range(len(texts)))
        kept: set[int] = set()
        for day_first in self._orders:
            found = [moment(text, day_first) for text in texts]
            if any(one is None for one in found):
                return list(range(len(texts)))
            known = [one for one in found if one is not None]
            mixed = len({one.zoned for one in known}) > 1
            spans = [_span(one, anywhere=mixed and not one.zoned) for one in known]
            begun = max(early for early, _ in spans)
            kept |= {place for place, (_, late) in enumerate(spans) if late >= begun}
        return sorted(kept)


def _span(one: Moment, *, anywhere: bool) -> tuple[float, float]:
    return (one.early - AHEAD, one.late + BEHIND) if anywhere else (one.early, one.late)


def moment(text: str, day_first: bool) -> Moment | None:
    """What a text says of a time, or None if that is nothing known."""
    text = text.strip()
    if NUMBER.fullmatch(text):
        return _of_number(text)
    if named := NAMED.match(text):
        name = (named[2] or named[3])[:3].lower()
        if name not in MONTHS:
            return None
        day = named[1] or named[4]
        text = f"{named[5]}-{MONTHS.index(name) + 1}-{day}{text[named.end() :]}"
    found = DATE.fullmatch(text)
    if not found:
        return None
    first, mark, second, third = found[1], found[2], found[3], found[4]
    if len(first) >= 3:
        year, month, day = first, second, third
    elif mark == "." or day_first:
        day, month, year = first, second, third
    else:
        month, day, year = first, second, third
    try:
        return _of_parts(int(year) + (2000 if len(year) <= 2 else 0), int(month), int(day), found)
    except (ValueError, OverflowError):
        return None


def _of_parts(year: int, month: int, day: int, found: re.Match[str]) -> Moment:
    hour, minute, second, fraction, half, zone = found.groups()[4:]
    offset = timedelta(0)
    if zone and zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        offset = -offset if zone[0] == "-" else offset
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= 12:
            raise ValueError
        hours = hours % 12 + (12 if half in "Pp" else 0)
    instant = datetime(year, month, day, hours, int(minute or 0), int(second or 0), tzinfo=UTC)
    early = instant.replace(tzinfo=timezone(offset)).timestamp() + float(f"0.{fraction or 0}")
    length = DAY if hour is None else 60.0 if second is None else 0.0
    return Moment(early, early + max(0.0, length - 1e-3), zone is not None)


def _of_number(text: str) -> Moment | None:
    """Seconds since 1970, or parts of them; a spreadsheet's days; 20240501; a year."""
    number = float(text)
    if re.fullmatch(r"(19|20)\d{2}", text):
        start = datetime(int(text), 1, 1, tzinfo=UTC).timestamp()
        return Moment(start, start + 365 * DAY, zoned=False)
    if re.fullmatch(r"(19|20)\d{6}", text):
        return moment(f"{text[:4]}-{text[4:6]}-{text[6:]}", True)
    if 20_000 <= number < 100_000:
        start = EXCEL.timestamp() + round(number * DAY, 3)
        return Moment(start, start + (0.0 if number % 1 else DAY - 1e-3), zoned=False)
    for power in (0, 3, 6, 9):
        if 1e8 <= number / 10**power < 1e11:
            return Moment(number / 10**power, number / 10**power, zoned=True)
    return None
