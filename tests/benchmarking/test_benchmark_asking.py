"""Strategies that ask for a budget: what they see, what they cost, how they are told in tables."""

from __future__ import annotations

import json

import numpy as np
import pytest

import usl
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.page import write_page
from usl.benchmarking.plan import read_plan
from usl.benchmarking.pools import check_pools
from usl.benchmarking.run import opened, summarized
from usl.benchmarking.units import units_of
from usl.core.errors import UsageError

PLAN = """
seeds = 2
budgets = [{budgets}]
[datasets.flowers]
source = "flowers.npz"
[asking]
{asking}
[methods]
random = {{}}
{methods}
[learners]
nearest_mean = {{}}
"""
WATCHED = '''
import json
from pathlib import Path
from usl.active.contract import Query
import numpy as np

def query(features, budget, *, labeled, classes, predictions, candidates, seed, progress):
    """Ask for the last candidates, and write down what is seen."""
    seen = {"labeled": labeled.tolist(), "classes": classes.tolist(),
            "predictions": None if predictions is None else list(predictions.shape)}
    with open(Path(__file__).with_suffix(".jsonl"), "a") as handle:
        handle.write(json.dumps(seen) + "\\n")
    return Query(candidates[::-1][:budget])
'''


@pytest.fixture
def flowers(tmp_path):
    rng = np.random.default_rng(1)
    truth = np.arange(240) % 3
    features = rng.normal(size=(240, 6)) + 2 * np.eye(6)[truth]
    np.savez(tmp_path / "flowers.npz", features=features, labels=truth.astype(str))
    return tmp_path


def planned(folder, methods, *, budgets="9", asking="size = 4\nbatch = 3"):
    path = folder / "plan.toml"
    path.write_text(PLAN.format(methods=methods, budgets=budgets, asking=asking))
    return read_plan(path)


def done(plan, folder):
    """The ledger of a plan, worked in this process."""
    ledger = Ledger(folder)
    for unit in units_of(plan, opened(plan), ledger):
        ledger.add(unit.work())
    return ledger


def picks_of(ledger, method, seed=0):
    return next(line["picks"] for line in ledger.selections.values()
                if (line["method"], line["seed"]) == (method, seed))  # fmt: skip


def test_a_strategy_asks_as_by_hand(flowers, tmp_path):
    """A start by usl.select, then usl.query round after round with the answers of the draw."""
    asks = 'asks = { strategy = "bait", fisher = "binary", start = { method = "usl", k = 5 } }'
    plan = planned(flowers, asks)
    ledger = done(plan, tmp_path / "out")
    draw = opened(plan)[0].draw(1)
    found = usl.select(draw.train, 4, method="usl", k=5, seed=1).indices
    for number, batch in ((1, 3), (2, 2)):
        classes = np.unique(draw.train_truth[found], return_inverse=True)[1]
        seed = int(np.random.default_rng([1, number]).integers(2**31))
        asked = usl.query(draw.train, batch, labeled=found, classes=classes, method="bait",
                          fisher="binary", learner="logistic", seed=seed)  # fmt: skip
        found = np.concatenate([found, asked.indices])
    assert picks_of(ledger, "asks", seed=1) == found.tolist()


def test_it_sees_no_label_but_those_it_has_asked_for(flowers, tmp_path):
    (flowers / "mine.py").write_text(WATCHED)
    plan = planned(flowers, 'mine = { strategy = "./mine.py" }\nmargin = { strategy = "margin" }')
    ledger = done(plan, tmp_path / "out")
    truth = opened(plan)[0].draw(0).train_truth
    picks = picks_of(ledger, "mine")
    assert picks[:4] == picks_of(ledger, "margin")[:4]  # the start is the same for both
    rounds = [json.loads(line) for line in (flowers / "mine.jsonl").read_text().splitlines()[:2]]
    for known, seen in zip((4, 7), rounds, strict=True):
        assert seen["labeled"] == sorted(picks[:known])
        found, numbers = np.unique(truth[sorted(picks[:known])], return_inverse=True)
        assert seen["classes"] == numbers.tolist()
        assert seen["predictions"] == ([len(truth), len(found)] if len(found) > 1 else None)


def test_of_one_class_alone_it_draws_at_random_and_costs_seconds(flowers, tmp_path):
    plan = planned(flowers, 'margin = { strategy = "margin" }',
                   budgets="2", asking="")  # fmt: skip
    made = done(plan, tmp_path / "out").selections.values()
    line = next(line for line in made if line["method"] == "margin")
    draw = opened(plan)[0].draw(line["seed"])
    seed = int(np.random.default_rng([line["seed"], 1]).integers(2**31))
    drawn = usl.select(draw.train, 1, labeled=line["picks"][:1], method="random", seed=seed)
    assert line["picks"][1] == drawn.indices[0]
    assert line["seconds"] > 0


def test_a_method_of_fewer_draws_leaves_the_tables_of_all_as_they_are(flowers, tmp_path):
    slow = 'slow = { strategy = "margin", seeds = 1 }\n'
    oracle = 'oracle = { strategy = "boss", batches = 2, seeds = 1 }\n'
    plan = planned(flowers, slow + oracle + "kmeans = {}")
    ledger = done(plan, tmp_path / "out")
    assert sum(line["method"] == "slow" for line in ledger.selections.values()) == 1
    pools = opened(plan)
    found = summarized(plan, pools, ledger, [], [], tmp_path / "out")
    assert (found.left, found.table.methods) == (0, ("random", "kmeans"))
    assert [cell.seeds for cell in found.table.cells] == [(0, 1)]
    write_page(found, ledger)
    page = (tmp_path / "out" / "results.md").read_text()
    assert "| slow, oracle | 4 labels by random, then 3 a round, seeing logistic |" in page
    few = page[page.index("## On the first 1 draws") : page.index("## nearest_mean")]
    assert "| slow | " in few
    assert "| oracle | oracle |" in few
    assert "Without a result" not in page


def test_a_changed_start_or_model_is_another_row(flowers, tmp_path):
    changes = [
        ("", "size = 4"),
        ("", "size = 5"),
        ("", "size = 4\nbatch = 2"),
        (', model = "poisson"', "size = 4"),
        (', start = "usl"', "size = 4"),
    ]
    plans = [
        planned(flowers, f'asks = {{ strategy = "margin"{more} }}', asking=asking)
        for more, asking in changes
    ]
    keys = {units_of(p, opened(p), Ledger(tmp_path / "none"))[0].jobs[1].key for p in plans}
    assert len(keys) == len(plans)


def test_starts_that_no_draw_can_serve(flowers):
    plan = planned(
        flowers, 'asks = { strategy = "margin" }', budgets="3", asking='size = "classes"'
    )
    with pytest.raises(UsageError, match=r"flowers: methods.asks: 3 labels of the start leave no"):
        check_pools(plan, opened(plan))
    plan = planned(flowers, 'asks = { strategy = "margin", start = "stratified" }', budgets="5",
                   asking="size = 2")  # fmt: skip
    with pytest.raises(UsageError, match=r"flowers: 2 labels are too few for stratified"):
        check_pools(plan, opened(plan))
    with pytest.raises(UsageError, match=r"asks: it reads the true labels, and knows of no rounds"):
        planned(flowers, 'asks = { strategy = "stratified" }')
