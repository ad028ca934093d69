"""Times of answers: compared as times, however they are written, and never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usl.labeling.exchange.times import Times

# Ways in which tools and spreadsheets write an instant whose zone is known.
ZONED = [
    lambda t, zone: t.astimezone(zone).isoformat(),
    lambda t, zone: t.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z"),
    lambda t, _: t.strftime("%Y-%m-%dT%H:%M:%SZ"),
    lambda t, _: t.strftime("%Y-%m-%d %H:%M:%S UTC"),
    lambda t, zone: format_datetime(t.astimezone(zone)),
    lambda t, _: str(int(t.timestamp())),
    lambda t, _: str(int(t.timestamp()) * 1000),
]
# ... and one whose zone nobody knows, the same for all of a file.
LOCAL = [
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.000",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%b %d, %Y, %I:%M:%S %p",
    "%d %B %Y %H:%M:%S",
]
instants = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)).map(
    lambda t: t.replace(microsecond=0, tzinfo=UTC)
)
zones = st.integers(-11, 13).map(lambda hours: timezone(timedelta(hours=hours)))


@given(st.lists(st.tuples(instants, st.sampled_from(ZONED), zones), min_size=2, max_size=5))
@settings(max_examples=200, deadline=None)
def test_the_latest_of_any_zones_and_spellings(rows):
    texts = [write(t, zone) for t, write, zone in rows]
    newest = max(t for t, _, _ in rows)
    wanted = [place for place, (t, _, _) in enumerate(rows) if t == newest]
    if len(set(texts)) > 1:
        assert Times(texts).latest(texts) == wanted


@given(st.lists(st.tuples(instants, st.sampled_from(LOCAL)), min_size=2, max_size=5))
@settings(max_examples=200, deadline=None)
def test_the_latest_of_local_times(rows):
    texts = [t.strftime(form) for t, form in rows]
    newest = max(t for t, _ in rows)
    wanted = [place for place, (t, _) in enumerate(rows) if t == newest]
    if len(set(texts)) > 1:
        assert Times(texts).latest(texts) == wanted


@given(st.lists(instants, min_size=2, max_size=6), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_spreadsheets_dates_are_told_apart_or_left_open(moments, day_first):
    """5/1 may be of May or of January: whatever the file means, no earlier answer is preferred."""
    form = "%d/%m/%Y %H:%M:%S" if day_first else "%m/%d/%Y %H:%M:%S"
    texts = [t.strftime(form) for t in moments]
    newest = max(moments)
    assert moments.index(newest) in Times(texts).latest(texts)


@pytest.mark.parametrize(
    ("texts", "latest"),
    [
        (["5/1/2024 9:30", "5/1/2024 10:15"], [1]),
        (["2024-05-01T23:30:00+02:00", "2024-05-01T22:00:00Z"], [1]),
        (["5/1/2024 11:30 AM", "5/1/2024 1:15 PM"], [1]),
        (["31.12.2023 8:00", "1.1.2024 7:00"], [1]),
        (["45413.40", "45413.39"], [0]),  # an Excel cell that has lost its format
        (["20240501", "20240502"], [1]),
        (["2024-05-01T10:00:00.123456789Z", "2024-05-01T10:00:00.2Z"], [1]),
        (["2024-05-01", "2024-05-02 08:00"], [1]),
        # what cannot be told
        (["2024-05-01", "2024-05-01 08:00"], [0, 1]),
        (["5/6/2024", "6/5/2024"], [0, 1]),
        (["2024-05-01 10:00:00", "2024-05-01T11:00:00Z"], [0, 1]),
        (["", "2024-05-01"], [0, 1]),
        (["later", "2024-05-01"], [0, 1]),
        (["31.02.2024", "2024-05-01"], [0, 1]),
        (["", ""], [0, 1]),
    ],
)
def test_what_is_later(texts, latest):
    assert Times(texts).latest(texts) == latest


def test_other_rows_tell_what_is_the_day():
    pair = ["5/6/2024", "6/5/2024"]  # 5 June and 6 May, or May 6 and June 5
    assert Times([*pair, "13/1/2024"]).latest(pair) == [0]
    assert Times([*pair, "1/13/2024"]).latest(pair) == [1]
