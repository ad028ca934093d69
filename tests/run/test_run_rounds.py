"""The rounds of a run: later selections, each with its own picks."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest
from older_runs import older_run

import usl
from usl.core.errors import DataError
from usl.run.folder import Run
from usl.run.picks import read_picks
from usl.run.rounds import add_round


@pytest.fixture
def run(tmp_path):
    return older_run(tmp_path, "selected")


def table(*ids):
    return pa.table({"rank": range(1, len(ids) + 1), "image_id": pa.array(ids, pa.string())})


def test_rounds_are_numbered_and_kept(run):
    files = sorted(path.name for path in run.path.iterdir())
    features = np.random.default_rng(0).normal(size=(20, 4))
    picks = usl.select(features, 3, method="kmeans")
    names = np.array([f"{number:02d}.png" for number in range(20)])
    first = add_round(run.path, picks.table(names), {"method": "kmeans", "budget": 3})
    second = add_round(run.path, table("x.png"), {"method": "random"})
    found = Run.open(run.path).rounds()
    assert [one.number for one in found] == [0, 1, 2]
    assert found[1:] == [first, second]
    assert first.path == run.path / "rounds" / "01"
    assert first.ids() == names[picks.indices].tolist()
    assert first.info == {"method": "kmeans", "budget": 3}
    assert second.ids() == ["x.png"]
    stored = read_picks(first.path)
    assert stored.equals(picks.table(names))
    assert "represented" not in (first.path / "selection.csv").read_text().splitlines()[0]
    assert sorted(path.name for path in run.path.iterdir()) == sorted([*files, "rounds"])
    assert sorted(path.name for path in (run.path / "rounds").iterdir()) == ["01", "02"]


def test_many_rounds_stay_in_order(run):
    for number in range(1, 12):
        assert add_round(run.path, table("a"), {}).number == number
    (run.path / "rounds" / "notes.txt").write_text("mine")
    (run.path / "rounds" / "old").mkdir()
    assert [one.number for one in run.rounds()] == list(range(12))


def test_two_programs_at_once_get_a_round_each(run):
    threads = [
        threading.Thread(target=add_round, args=(run.path, table(f"{n}"), {"n": n}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = run.rounds()[1:]
    assert [one.number for one in found] == list(range(1, 9))
    assert sorted(one.info["n"] for one in found) == list(range(8))
    assert all(one.ids() == [str(one.info["n"])] for one in found)


def test_picks_that_are_none_are_refused(run):
    with pytest.raises(DataError, match=r"without a column 'image_id'\. Give the table ids"):
        add_round(run.path, pa.table({"rank": [1]}), {})
    with pytest.raises(DataError, match="picked twice"):
        add_round(run.path, table("a", "a"), {})
    with pytest.raises(TypeError):
        add_round(run.path, table("a"), {"no": object()})
    assert len(run.rounds()) == 1
    assert not list(run.path.glob("rounds/*")), "nothing half-made is left"


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"\xff"])
def test_a_damaged_round_is_named(run, content):
    made = add_round(run.path, table("a"), {})
    record = made.path / "round.json"
    record.unlink() if content is None else record.write_bytes(content)
    with pytest.raises(DataError, match=r"rounds.01.round\.json"):
        run.rounds()


def test_damaged_picks_are_named(run):
    made = add_round(run.path, table("a"), {})
    (made.path / "selection.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"01.selection\.parquet cannot be read"):
        made.ids()
    (made.path / "selection.parquet").unlink()
    with pytest.raises(DataError, match=r"01.selection\.parquet cannot be read.*Restore it"):
        made.ids()
