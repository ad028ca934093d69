"""Benchmarks from the plan to the page: whole, resumed, with failures and dead processes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from usl.benchmarking.ledger import Ledger
from usl.benchmarking.outcome import BenchmarkError, check_outcome
from usl.benchmarking.run import benchmark
from usl.cli.app import main
from usl.core.errors import DataError, UsageError
from usl.selection.select import select

METHOD = '''
import os
import numpy as np
from usl.core.errors import DataError
from usl.core.progress import Progress, silent
from usl.selection.contract import Picks

def pick(features, budget, *, labeled, candidates, seed=0, progress: Progress = silent):
    """Pick the first candidates."""
    {body}
    return Picks(candidates[:budget], ranked=True)
'''

LEARNERS = "nearest_mean = {}\npoisson = { seeds = 1, k = 5 }"


@pytest.fixture
def flowers(tmp_path):
    rng = np.random.default_rng(1)
    truth = np.arange(240) % 3
    features = rng.normal(size=(240, 6)) + 4 * np.eye(6)[truth]
    np.savez(tmp_path / "flowers.npz", features=features, labels=truth.astype(str))
    return tmp_path


def plan_file(folder, *, seeds=2, methods="random = {}\nkmeans = {}", learners=LEARNERS, more=""):
    path = folder / "plan.toml"
    path.write_text(
        f'seeds = {seeds}\nbudgets = [3, 6]\n[datasets.flowers]\nsource = "flowers.npz"\n'
        f"{more}\n[methods]\n{methods}\n[learners]\n{learners}\n"
    )
    return path


def rows_of(out):
    with open(out / "rows.csv") as handle:
        return list(csv.DictReader(handle))


def test_a_benchmark_from_plan_to_page(flowers):
    out = flowers / "out"
    methods = "random = {}\nstratified = {}\nusl = {k = 5}"
    tail = '[datasets.tail]\nsource = "flowers.npz"\nimbalance = 3'
    found = benchmark(plan_file(flowers, methods=methods, more=tail), out)
    check_outcome(found)
    assert found.left == 0
    rows = rows_of(out)
    assert len(rows) == 2 * 2 * 3 * 2  # data sets, budgets, methods, seeds
    assert {row["poisson"] == "" for row in rows if row["seed"] == "1"} == {True}
    assert all(0 <= float(row["nearest_mean"]) <= 1 for row in rows)
    assert {float(row["coverage"]) for row in rows if row["method"] == "stratified"} == {1.0}
    assert found.standings[-1].method == "stratified"  # an oracle has no rank
    mean = np.mean([float(row["nearest_mean"]) for row in rows if row["method"] == "usl"])
    own = found.table.where(lambda cell: cell.learner == "nearest_mean")
    assert np.mean([cell.test[2].mean() for cell in own.cells]) == pytest.approx(mean)
    page = (out / "results.md").read_text()
    for word in ("| flowers |", "imbalance 3", "| stratified | oracle |", "(ranks.svg)", "poisson"):
        assert word in page
    for name in ("ranks", "nearest_mean", "poisson"):
        assert (out / f"{name}.svg").read_text().startswith("<?xml")


def test_it_goes_on_and_does_only_what_is_missing(flowers):
    out = flowers / "out"
    benchmark(plan_file(flowers, seeds=1, methods="random = {}"), out)
    before = (out / "rows.jsonl").read_text()
    found = benchmark(plan_file(flowers, learners="logistic = {}\nnearest_mean = {}"), out, jobs=1)
    after = (out / "rows.jsonl").read_text()
    assert after.startswith(before)
    new = [json.loads(line) for line in after[len(before) :].splitlines()]
    made = {(n["dataset"], n["seed"], n["budget"], n["method"]) for n in new if "picks" in n}
    assert len(made) == len([n for n in new if "picks" in n]) == 2 * 2 * 2 - 2
    assert not any(seed == 0 and method == "random" for _, seed, _, method in made)
    assert found.left == 0
    stamp = (out / "rows.jsonl").stat().st_mtime_ns
    benchmark(plan_file(flowers, learners="logistic = {}\nnearest_mean = {}"), out)
    assert (out / "rows.jsonl").stat().st_mtime_ns == stamp


def test_the_number_of_processes_changes_nothing(flowers):
    plan = plan_file(flowers, methods="random = {}\nusl = { k = 5 }")
    benchmark(plan, flowers / "one", jobs=1)
    benchmark(plan, flowers / "two", jobs=2)
    one, two = ([{**row, "seconds": ""} for row in rows_of(flowers / n)] for n in ("one", "two"))
    assert one == two


def test_a_plan_may_lose_its_largest_budget(flowers):
    """What is left of a nested method took no time of its own."""
    plan = plan_file(flowers, seeds=1, methods="maxherding = {}\nkmeans = {}")
    benchmark(plan, flowers / "out", jobs=1)
    plan.write_text(plan.read_text().replace("[3, 6]", "[3]"))
    found = benchmark(plan, flowers / "out", jobs=1)
    seconds = {row["method"]: row["seconds"] for row in rows_of(flowers / "out")}
    assert seconds["maxherding"] == ""
    assert float(seconds["kmeans"]) >= 0
    assert {s.method: np.isnan(s.seconds) for s in found.standings} == {
        "maxherding": True,
        "kmeans": False,
    }
    assert "nan" not in (flowers / "out" / "results.md").read_text()


def test_nested_methods_pick_once_for_all_budgets(flowers):
    methods = 'maxherding = {}\nkmeans = {}\nfew = { method = "maxherding", pool = 4 }'
    plan = plan_file(flowers, seeds=1, methods=methods)
    found = benchmark(plan, flowers / "out", jobs=1)
    draw = found.pools[0].draw(0)
    for line in Ledger(flowers / "out").selections.values():
        few = {"method": "maxherding", "pool": 4} if line["method"] == "few" else {}
        asked = {"method": line["method"], **few}
        picks = select(draw.train, line["budget"], seed=0, **asked).indices
        assert line["picks"] == picks.tolist()
        prefix = line["method"] == "maxherding" and line["budget"] == 3
        assert (line["seconds"] is None) == prefix
    assert all(np.isfinite(standing.seconds) for standing in found.standings)


def test_a_method_that_fails_costs_only_its_own_rows(flowers):
    (flowers / "mine.py").write_text(METHOD.format(body='raise DataError("no roses today")'))
    plan = plan_file(flowers, methods='random = {}\nmine = { method = "./mine.py" }')
    found = benchmark(plan, flowers / "out")
    assert {row["method"] for row in rows_of(flowers / "out")} == {"random"}
    with pytest.raises(
        BenchmarkError, match=r"4 selections failed, the first: mine on .* no roses"
    ):
        check_outcome(found)
    (flowers / "mine.py").write_text(METHOD.format(body="pass"))
    found = benchmark(plan, flowers / "out")
    check_outcome(found)
    assert {row["method"] for row in rows_of(flowers / "out")} == {"random", "mine"}


def test_a_process_that_dies_leaves_the_others_rows(flowers):
    body = "if budget == 3: os._exit(7)"
    (flowers / "mine.py").write_text(METHOD.format(body=body))
    plan = plan_file(flowers, methods='random = {}\nmine = { method = "./mine.py" }')
    found = benchmark(plan, flowers / "out", jobs=2)
    kept = Ledger(flowers / "out").selections.values()
    assert sum(line["budget"] == 6 for line in kept) == 4
    assert len(found.crashes) == found.left == 2
    with pytest.raises(BenchmarkError, match=r"2 draws stopped .* exit code 7"):
        check_outcome(found)


def test_an_unforeseen_error_is_told_with_its_traceback(flowers):
    (flowers / "mine.py").write_text(METHOD.format(body="1 / 0"))
    found = benchmark(plan_file(flowers, methods='mine = { method = "./mine.py" }'), flowers / "o")
    with pytest.raises(BenchmarkError, match=r"(?s)mine.py.*ZeroDivisionError"):
        check_outcome(found)


def test_a_time_limit_leaves_the_rest(flowers):
    found = benchmark(plan_file(flowers), flowers / "out", minutes=1e-9)
    assert found.left == 2
    assert not found.table.cells


def test_a_torn_line_is_dropped_and_another_file_refused(flowers):
    out = flowers / "out"
    benchmark(plan_file(flowers), out)
    whole = (out / "rows.jsonl").read_bytes()
    (out / "rows.jsonl").write_bytes(whole[:-9])
    found = benchmark(plan_file(flowers), out)
    assert found.left == 0
    assert sorted((out / "rows.jsonl").read_bytes().splitlines()) == sorted(whole.splitlines())
    (out / "rows.jsonl").write_text('{"kind": "poem"}\n')
    with pytest.raises(DataError, match=r"rows.jsonl, line 1: not a row of a benchmark"):
        benchmark(plan_file(flowers), out)


def test_a_source_that_cannot_be_read_names_the_data_set(flowers):
    (flowers / "flowers.npz").unlink()
    with pytest.raises(DataError, match=r"datasets.flowers: .*flowers.npz: no such file"):
        benchmark(plan_file(flowers), flowers / "out")


def test_wrong_numbers(flowers):
    plan = plan_file(flowers)
    for key, value in (("jobs", 0), ("minutes", -1)):
        with pytest.raises(UsageError, match=f"{key}: {value} given"):
            benchmark(plan, flowers / "out", **{key: value})
    with pytest.raises(UsageError, match=r"datasets: 'flower' is not .* Did you mean 'flowers'"):
        benchmark(plan, flowers / "out", datasets=["flower"])


def test_the_smoke_plan_on_the_command_line(tmp_path, capsys):
    began = time.monotonic()
    assert main(["benchmark", "builtin:smoke", "--out", str(tmp_path / "out")]) == 0
    assert time.monotonic() - began < 60
    shown = capsys.readouterr().out
    assert "average rank" in shown
    assert "oracle" in shown
    assert str(tmp_path / "out" / "results.md") in shown.replace("\n", "")
    assert main(["benchmark", "builtin:none", "--out", str(tmp_path / "out")]) == 2
    assert "No built-in plan 'none'" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_keeps_what_is_finished_and_writes_the_tables(flowers, told):
    out = flowers / "out"
    plan = plan_file(flowers, seeds=40, methods="random = {}", learners="nearest_mean = {}")
    command = [
        sys.executable,
        "-m",
        "usl",
        "benchmark",
        str(plan),
        "--out",
        str(out),
        "--jobs",
        "1",
    ]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background job ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    rows = out / "rows.jsonl"
    while not (rows.exists() and rows.read_text().count("\n") >= 4):  # a draw is done
        assert process.poll() is None
        time.sleep(0.05)
    if told == signal.SIGINT:
        os.killpg(process.pid, told)  # as a terminal does, to all processes
    else:
        process.send_signal(told)  # as a scheduler does
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in shown
    assert "draws are left" in (out / "results.md").read_text()
    assert Ledger(out).selections


def workers_of(pid):
    """The processes that a process has started, by number; those that watch over files aside."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            line = (entry / "cmdline").read_bytes()
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid and b"spawn_main" in line:
            found.append(int(entry.name))
    return found


def until(condition, seconds=120):
    """Wait for something that is bound to happen, and tell how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def start_benchmark(plan, out, *more):
    command = [sys.executable, "-m", "usl", "benchmark", str(plan), "--out", str(out), *more]
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


BUSY = {
    "python": "while True: pass",
    "asleep": "import time; time.sleep(900)",
    "in one call": "sum(range(10**15))",  # which gives no other thread a turn
}


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("busy", BUSY)
def test_killed_its_workers_end_with_it(flowers, busy):
    """A worker, at whatever it is, outlives the benchmark by no more than two seconds."""
    (flowers / "mine.py").write_text(METHOD.format(body=f"open('busy', 'w')\n    {BUSY[busy]}"))
    plan = plan_file(flowers, methods='mine = { method = "./mine.py" }')
    process = subprocess.Popen(
        [sys.executable, "-m", "usl", "benchmark", str(plan), "--out", "out", "--jobs", "2"],
        cwd=flowers,
        stderr=subprocess.DEVNULL,
    )
    until((flowers / "busy").exists)
    workers = workers_of(process.pid)
    assert workers
    process.kill()
    process.wait()
    assert until(lambda: not any(map(is_alive, workers))) < 2 * patience()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_killed_while_a_worker_starts(flowers):
    plan = plan_file(flowers, seeds=40, methods="random = {}", learners="nearest_mean = {}")
    process = start_benchmark(plan, flowers / "out", "--jobs", "2")
    workers: list[int] = []
    until(lambda: workers.extend(workers_of(process.pid)) or workers)
    process.kill()
    process.communicate()
    until(lambda: not any(map(is_alive, workers)))


def patience():
    """How many times slower than at rest this machine may be."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("group", [True, False])
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_workers_start_it_shows_no_traceback(flowers, told, group):
    """Each draw is a process of its own, and takes no time: something always starts."""
    plan = plan_file(flowers, seeds=400, methods="random = {}", learners="nearest_mean = {}")
    for moment in (0.0, 0.05):
        process = start_benchmark(plan, flowers / f"out{moment}", "--jobs", "2")
        until(lambda process=process: workers_of(process.pid) or process.poll() is not None)
        time.sleep(moment)
        if group:
            os.killpg(process.pid, told)
        else:
            process.send_signal(told)
        _, shown = process.communicate(timeout=120)
        assert process.returncode == 130, shown
        assert "Traceback" not in shown
        assert "Stopped" in shown
