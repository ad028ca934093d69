"""Plans with rounds: a shared start, curves that go on where they stopped, areas and tables."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from usl.benchmarking.curve_table import after_rounds, areas
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.plan import read_plan
from usl.benchmarking.pools import check_pools
from usl.benchmarking.rounds import curve_units
from usl.benchmarking.run import benchmark, opened
from usl.benchmarking.summary import standings
from usl.core.errors import UsageError

RESTORE = Path(__file__).parents[2] / "benchmarks" / "restore.py"
STRATEGY = '''
import numpy as np
from usl.active.contract import Query
from usl.core.errors import DataError

def query(features, budget, *, labeled, classes, predictions, candidates, seed, progress):
    """Ask for the first candidates."""
    if len(labeled) > {most}:
        raise DataError("no more roses")
    assert sorted(set(classes.tolist())) == list(range(classes.max() + 1))
    assert predictions is None or predictions.shape == (len(features), classes.max() + 1)
    return Query(candidates[:budget])
'''
TOLD = '''
import numpy as np
from pathlib import Path
from usl.active.contract import Query

def query(features, budget, *, labeled, classes, predictions, candidates, seed, progress, previous):
    """Ask for candidates apart, and write down what is known."""
    previous = np.empty(0) if previous is None else previous
    told = {{"labeled": labeled, "classes": classes, "said": predictions, "before": previous}}
    np.savez(Path("{folder}") / f"{{len(labeled)}}.npz", **told)
    return Query(candidates[:: len(candidates) // budget][:budget])
'''
PLAN = """
seeds = {seeds}
[rounds]
start = "random"
size = {size}
batch = {batch}
rounds = {rounds}
{more}
[datasets.flowers]
source = "flowers.npz"
[strategies]
{strategies}
[learners]
{learners}
"""


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flowers")
    rng = np.random.default_rng(1)
    truth = np.arange(240) % 3
    features = rng.normal(size=(240, 6)) + 2 * np.eye(6)[truth]
    np.savez(folder / "flowers.npz", features=features, labels=truth.astype(str))
    return folder


def planned(
    folder,
    strategies="random = {}\nmargin = {}",
    *,
    seeds=1,
    size='"classes"',
    batch='"classes"',
    rounds=2,
    learners="logistic = {}",
    more="",
):
    path = folder / "plan.toml"
    path.write_text(
        PLAN.format(
            seeds=seeds,
            size=size,
            batch=batch,
            rounds=rounds,
            strategies=strategies,
            learners=learners,
            more=more,
        )
    )
    return read_plan(path)


def done(plan, folder, most=None):
    """The ledger of a plan, worked in this process; at most so many lines more."""
    ledger = Ledger(folder)
    lines = (line for unit in curve_units(plan, opened(plan), ledger) for line in unit.work())
    for place, line in enumerate(lines):
        if place == most:
            break
        ledger.add([line])
    return Ledger(folder)


def curves_of(ledger):
    """The lines of every curve, by strategy and seed."""
    found = {}
    for lines in ledger.curves.values():
        about = lines[0]["method"], lines[0]["seed"]
        found[about] = [lines[number] for number in sorted(lines)]
    return found


def test_a_curve_equals_its_rounds_by_hand(flowers, tmp_path):
    """Margin sampling with scikit-learn's regression, written out."""
    plan = planned(flowers, size=8, rounds=3)
    lines = curves_of(done(plan, tmp_path))["margin", 0]
    (pool,) = opened(plan)
    draw = pool.draw(0)
    labeled = list(lines[0]["picks"])
    for before, after in pairwise(lines):
        model = LogisticRegression(C=10, max_iter=2000).fit(
            draw.train[labeled].astype(float), draw.train_truth[labeled]
        )
        assert before["test"] == pytest.approx(model.score(draw.test, draw.test_truth), abs=1e-6)
        rest = np.setdiff1d(np.arange(len(draw.train)), labeled)
        sure = np.sort(model.predict_proba(draw.train[rest]), axis=1)
        assert set(after["picks"]) == set(rest[np.argsort(sure[:, -1] - sure[:, -2])[:3]].tolist())
        labeled += after["picks"]
    assert [line["labels"] for line in lines] == [8, 11, 14, 17]


def test_all_strategies_of_a_seed_share_their_start(flowers, tmp_path):
    plan = planned(flowers, "random = {}\nmargin = {}\ncoreset = {}", seeds=2)
    found = curves_of(done(plan, tmp_path))
    for seed in (0, 1):
        starts = [lines[0] for (_, own), lines in found.items() if own == seed]
        assert len(starts) == 3
        assert len({(tuple(line["picks"]), line["test"]) for line in starts}) == 1
        for (_, own), lines in found.items():
            picks = [row for line in lines for row in line["picks"]]
            assert len(set(picks)) == len(picks) == 9 or own != seed
    assert found["random", 0][0]["picks"] != found["random", 1][0]["picks"]
    first, second = (found["random", 0][number]["picks"] for number in (1, 2))
    assert first != second


def test_a_stopped_curve_goes_on_and_a_longer_plan_does_only_what_is_new(flowers, tmp_path):
    def facts(ledger):
        timed = ("seconds", "fit_seconds")
        return {
            about: [{k: v for k, v in line.items() if k not in timed} for line in lines]
            for about, lines in curves_of(ledger).items()
        }

    plan = planned(flowers)
    whole = done(plan, tmp_path / "whole")
    done(plan, tmp_path / "parts", most=5)  # in the midst of the second curve
    again = done(plan, tmp_path / "parts")
    assert facts(again) == facts(whole)
    assert (tmp_path / "parts" / "rows.jsonl").read_text().count("\n") == 6
    longer = done(planned(flowers, rounds=3), tmp_path / "parts")
    assert (tmp_path / "parts" / "rows.jsonl").read_text().count("\n") == 8
    assert {about: lines[:3] for about, lines in facts(longer).items()} == facts(whole)


def test_a_start_in_one_class_is_no_error(flowers, tmp_path):
    """Without a model, margin draws at random; nobody is told of classes not seen."""
    (flowers / "mine.py").write_text(STRATEGY.format(most=99))
    strategies = 'random = {}\nmargin = {}\nmine = { method = "./mine.py" }'
    found = curves_of(done(planned(flowers, strategies, size=1, batch=2), tmp_path))
    assert found["margin", 0][1]["picks"] == found["random", 0][1]["picks"]
    assert len(found["mine", 0]) == 3
    assert found["random", 0][0]["coverage"] == pytest.approx(1 / 3, abs=1e-6)


def test_areas_and_rounds_are_of_the_seeds_that_all_have(flowers, tmp_path):
    plan = planned(flowers, seeds=3)
    ledger = done(plan, tmp_path)
    missing = next(k for k, v in ledger.curves.items() if (v[0]["method"], v[0]["seed"]) ==
                   ("margin", 1))  # fmt: skip
    del ledger.curves[missing][2]
    pools = opened(plan)
    (cell,) = areas(plan, pools, ledger).cells
    assert cell.seeds == (0, 2)
    lines = curves_of(ledger)
    expected = [
        [(lines[name, seed][1]["test"] + lines[name, seed][2]["test"]) / 2 for seed in (0, 2)]
        for name in ("random", "margin")
    ]
    np.testing.assert_allclose(cell.test, expected)
    rounds = after_rounds(plan, pools, ledger).cells
    assert [own.budget for own in rounds] == [3, 6, 9]
    np.testing.assert_allclose(rounds[1].test[1], [lines["margin", s][1]["test"] for s in (0, 2)])


def test_from_plan_to_page_and_on_from_published_rows(flowers, tmp_path):
    (flowers / "mine.py").write_text(STRATEGY.format(most=3))
    strategies = 'random = {}\nmargin = {}\nmine = { method = "./mine.py" }'
    plan = planned(flowers, strategies, seeds=2, more='rival = "margin"')
    found = benchmark(plan, tmp_path / "one", jobs=2)
    assert [(line["method"], line["error"]) for line in found.failures] == [
        ("mine", "no more roses")
    ] * 2
    assert found.left == 2
    out = tmp_path / "one"
    with open(out / "rows.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 2 * 2 * 3
    area = [float(r["test"]) for r in rows if r["strategy"] == "margin" and r["round"] != "0"]
    own = next(s for s in found.standings if s.method == "margin")
    assert own.accuracy.mean == pytest.approx(np.mean(area), abs=1e-6)
    page = (out / "results.md").read_text()
    for word in ("Without a result: mine", "over margin", "| 9 labels |", "(logistic.svg)"):
        assert word in page
    for name in ("ranks", "logistic", "logistic-gains"):
        assert (out / f"{name}.svg").read_text().startswith("<?xml")
    with open(out / "curves.csv", newline="") as handle:
        last = [row for row in csv.DictReader(handle) if row["labels"] == "9"]
    gain = {row["strategy"]: float(row["over_random"]) for row in last}
    ends = {
        name: [float(r["test"]) for r in rows if r["strategy"] == name and r["round"] == "2"]
        for name in ("random", "margin")
    }
    assert gain["margin"] == pytest.approx(np.mean(ends["margin"]) - np.mean(ends["random"]))

    command = [sys.executable, RESTORE, flowers / "plan.toml", out / "rows.csv", tmp_path / "two"]
    made = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert made.stdout.startswith("12 rounds of 4 curves"), made.stderr
    kept = Ledger(tmp_path / "two").curves
    assert kept == {
        key: {n: {**line, "kind": "round"} for n, line in lines.items()}
        for key, lines in Ledger(out).curves.items()
        if lines[0]["method"] != "mine"
    }


def test_a_strategy_is_told_what_the_learner_said_a_round_before(flowers, tmp_path):
    (flowers / "told.py").write_text(TOLD.format(folder=tmp_path.as_posix()))
    strategies = 'told = { method = "told.py" }'
    plan = planned(flowers, strategies, size=2, batch=2, rounds=4, learners="nearest_mean = {}")
    paths = [tmp_path / f"{labels}.npz" for labels in (2, 4, 6, 8)]
    whole = done(plan, tmp_path / "whole")
    (pool,) = opened(plan)
    truth = pool.draw(0).train_truth
    told = [dict(np.load(path, allow_pickle=False)) for path in paths]
    assert told[0]["before"].size == 0
    grown = []
    for last, now in pairwise(told):
        was, found = (np.unique(truth[one["labeled"]]) for one in (last, now))
        expected = np.zeros((len(truth), len(found)))
        for column, one in enumerate(was):
            expected[:, found.tolist().index(one)] = last["said"][:, column]
        np.testing.assert_array_equal(now["before"], expected)
        grown.append(len(found) > len(was))
    assert any(grown)
    done(plan, tmp_path / "again", most=3)
    before = paths[-1].read_bytes(), paths[-2].read_bytes()
    again = done(plan, tmp_path / "again")
    assert (paths[-1].read_bytes(), paths[-2].read_bytes()) == before
    assert curves_of(again)["told", 0][-1]["picks"] == curves_of(whole)["told", 0][-1]["picks"]


def test_an_oracle_among_strategies_has_no_rank(flowers, tmp_path):
    plan = planned(flowers, "random = {}\nmargin = {}\nboss = { batches = 4 }", rounds=1)
    ledger = done(plan, tmp_path)
    table = areas(plan, opened(plan), ledger)
    assert dict(zip(table.methods, table.oracle.tolist(), strict=True)) == {
        "random": False,
        "margin": False,
        "boss": True,
    }
    ranks = {one.method: one.rank.mean for one in standings(table, "random")}
    assert np.isnan(ranks["boss"])
    assert {ranks["random"], ranks["margin"]} <= {1.0, 1.5, 2.0}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[rounds]", "[round]", "unknown key 'round'. Did you mean 'rounds'"),
        ("rounds = 2", "rounds = 0", "rounds.rounds: 0 given; use whole numbers from 1"),
        ("rounds = 2", "round = 2", "unknown key 'rounds.round'. Did you mean"),
        ('size = "classes"', 'size = "class"', "rounds.size: 'class' given; use \"classes\" or"),
        ('batch = "classes"', "batch = -1", "rounds.batch: -1 given; use whole numbers from 1"),
        ('start = "random"', "start = 3", 'rounds.start: 3 given; write "NAME", or'),
        ('start = "random"', 'start = "quorun"', r"\[rounds\] start: Unknown method"),
        ('start = "random"', 'rival = "uherding"', "rounds.rival: 'uherding' is not in this plan"),
        ("seeds = 1", 'seeds = 1\nrival = "margin"', "rival has no place here .* in .rounds"),
        ("seeds = 1", "seeds = 1\n[asking]\nsize = 3", r"\[asking\] has no place in a plan with"),
        ("seeds = 1", "seeds = 1\nbudgets = [3]", "budgets has no place in a plan with rounds"),
        ("seeds = 1", "seeds = 1\n[methods]\nusl = {}", r"\[methods\] has no place in a plan with"),
        ("margin = {}", "stratified = {}", r"\[strategies\] stratified: it reads the true labels"),
        ("margin = {}", "margins = {}", r"\[strategies\] margins: Unknown .* 'margin'"),
        ("margin = {}", "margin = { k = 3 }", "Method 'margin' has no parameter 'k'"),
    ],
)
def test_a_wrong_plan_names_the_key(flowers, old, new, message):
    planned(flowers)
    path = flowers / "plan.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UsageError, match=message):
        read_plan(path)


def test_strategies_without_rounds(flowers):
    path = flowers / "plan.toml"
    planned(flowers)
    start = path.read_text().index("[rounds]")
    end = path.read_text().index("[datasets")
    path.write_text(path.read_text()[:start] + path.read_text()[end:])
    with pytest.raises(UsageError, match=r"\[strategies\] ask in rounds. Add the table"):
        read_plan(path)


def test_more_labels_than_a_draw_has_images(flowers):
    plan = planned(flowers, size=12, batch=20, rounds=9)
    with pytest.raises(UsageError, match=r"flowers: 192 labels, but a draw holds 192 .* fewer"):
        check_pools(plan, opened(plan))
    plan = planned(flowers, size=2)
    stratified = (flowers / "plan.toml").read_text().replace('"random"', '"stratified"')
    (flowers / "plan.toml").write_text(stratified)
    plan = read_plan(flowers / "plan.toml")
    with pytest.raises(UsageError, match=r"flowers: 2 labels are too few for stratified"):
        check_pools(plan, opened(plan))


def test_a_ledger_with_a_missing_round_goes_on_from_there(tmp_path):
    lines = [{"kind": "round", "key": "a", "round": number} for number in (0, 1, 3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [line["round"] for line in Ledger(tmp_path).curve("a")] == [0, 1]
