"""The paper's tables again: recipes, data sets, refusals, the figures, and our numbers beside."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from usl.benchmarking import run
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.plots import LIGHT
from usl.benchmarking.reproduction import standard
from usl.benchmarking.reproduction.comparison import Result, result_of
from usl.benchmarking.reproduction.constants import table9, table14
from usl.benchmarking.reproduction.figures import PLOTS, Shown, class_counts
from usl.benchmarking.reproduction.measures import mean_distances
from usl.benchmarking.reproduction.page import SHEET
from usl.benchmarking.reproduction.recipe import read_recipe, recipe_names, recipe_of
from usl.benchmarking.reproduction.reproduce import (
    PRINTED,
    plan_reproduction,
    reproduce,
    restricted_to,
)
from usl.cli.app import main
from usl.core.errors import DataError, UsageError
from usl.core.words import quoted

RUN = [name for name in recipe_names() if name not in PRINTED]
PRESETS = [(name, preset) for name in RUN for preset in read_recipe(name).presets]

TINY = {
    "title": "Tiny",
    "protocol": "none",
    "base": "lambda 0",
    "plots": ["parameters"],
    "columns": {
        "a network": {"learner": "fixmatch"},
        "nearest mean": {"learner": "nearest_mean"},
        "changed": {"figure": "changed"},
        "density": {"figure": "density"},
    },
    "rows": {
        "lambda 0": {"paper": ["-", 50], "method": "zero"},
        "lambda 2": {"paper": ["-", 60], "mark": "*", "method": "two"},
        "elsewhere": {"paper": ["-", 70], "method": "third"},
        "never": {"paper": ["-", 80], "left_out": "no code"},
    },
    "marks": {"*": "a note"},
    "says": {"cpu": "a toy", "full": "the whole"},
    "cost": {"cpu_minutes": 1, "gpu_hours": 2_000},
    "plan": {
        "seeds": 2,
        "budgets": [9],
        "datasets": {"toy": {"source": "toy.npz"}},
        "learners": {"nearest_mean": {}},
    },
    "cpu": {
        "methods": {
            "zero": {"method": "usl", "k": 5, "lam": 0.0},
            "two": {"method": "usl", "k": 5, "lam": 2.0},
        }
    },
    "full": {
        "methods": {"zero": {"method": "usl", "k": 5, "lam": 0.0}, "third": {"method": "usl"}}
    },
}


@pytest.fixture
def toy(tmp_path):
    rng = np.random.default_rng(1)
    truth = np.arange(180) % 3
    features = rng.normal(size=(180, 6)) + 2 * np.eye(6)[truth]
    np.savez(tmp_path / "toy.npz", features=features, labels=truth.astype(str))
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """The benchmark in this process, without its own page: both have tests of their own."""

    def work(units, keep, **_):
        for unit in units:
            keep(list(unit.work()))
        return []

    monkeypatch.setattr(run, "run_units", work)
    monkeypatch.setattr(run, "write_page", lambda *_, **__: None)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_every_row_of_every_recipe_says_what_it_runs(name, preset, tmp_path):
    pytest.importorskip("torch")
    recipe = read_recipe(name)
    plan = recipe.plan(preset, tmp_path)
    found = [
        result_of(recipe, plan, row, column) for row in recipe.rows for column in recipe.columns
    ]
    named = {result.entry.name for result in found if isinstance(result, Result)}
    assert named == {entry.name for entry in plan.methods}  # nothing is run that no row shows
    assert recipe.says[preset]
    assert set(recipe.plots) <= set(PLOTS)
    told = plan_reproduction(name, preset=preset, data=tmp_path)
    assert all(str(tmp_path) in how for how in told["data"].values())
    assert told["data"] or "builtin:" in plan.datasets[0].source


def test_every_number_of_a_recipe_has_a_result_in_one_of_its_presets(tmp_path):
    pytest.importorskip("torch")
    for name in RUN:
        recipe = read_recipe(name)
        plans = [recipe.plan(preset, tmp_path) for preset in recipe.presets]
        for row in recipe.rows:
            found = [
                result_of(recipe, plan, row, column) for plan in plans for column in recipe.columns
            ]
            assert row.left_out or any(isinstance(result, Result) for result in found), (name, row)


def test_tables_of_constants_are_the_papers():
    # Table 9 and Table 14 of the paper, as printed there.
    assert [row[1:] for row in table9()[2]] == [
        ["5", "2.5"], ["0.25", "0.5"], ["5", "0.5"], ["20", "20"], ["0.5", "0.5"],
    ]  # fmt: skip
    found = {name: cells for name, *cells in table14()[2]}
    assert found["k in kNN"] == ["400", "400", "20"]
    assert found["momentum"][:2] == ["0.9", "0.9"]
    assert found["horizon"][2] == "64"
    assert list(zip(found["alpha"], found["lambda"], strict=True)) == [
        ("0.5", "0.5"), ("1", "1"), ("0.5", "1.5"),
    ]  # fmt: skip
    assert found["iterations"][:2] == ["10", "10"]


def test_a_table_of_the_papers_numbers_and_ours(toy, quick):
    recipe = recipe_of(TINY, "table4")
    found = reproduce(recipe, data=toy, out=toy / "out", jobs=1)
    with open(toy / "out" / SHEET, encoding="utf-8") as handle:
        rows = {(row["row"], row["column"]): row for row in csv.DictReader(handle)}
    ledger = Ledger(toy / "out" / "benchmark")
    by_name = {}  # accuracies of the ledger, by method
    for (key, _), score in ledger.scores.items():
        made = ledger.selections[key]
        by_name.setdefault(made["method"], {})[made["seed"]] = 100 * score["test"]
    for row, method, paper in (("lambda 0", "zero", 50), ("lambda 2", "two", 60)):
        own = np.array([by_name[method][seed] for seed in (0, 1)])
        cell = rows[row, "nearest mean"]
        assert float(cell["ours"]) == pytest.approx(own.mean(), abs=1e-4)
        assert float(cell["sd"]) == pytest.approx(own.std(ddof=1), abs=1e-4)
        assert float(cell["difference"]) == pytest.approx(own.mean() - paper, abs=1e-4)
        assert cell["n"] == "2"
    gain = np.mean([by_name["two"][s] - by_name["zero"][s] for s in (0, 1)])
    assert float(rows["lambda 2", "nearest mean"]["gain"]) == pytest.approx(gain, abs=1e-4)
    assert rows["elsewhere", "nearest mean"]["why"] == "not at this scale"
    assert rows["never", "nearest mean"]["why"] == "no code"
    picks = {
        (line["method"], line["seed"]): set(line["picks"]) for line in ledger.selections.values()
    }
    changed = np.mean([1 - len(picks["two", s] & picks["zero", s]) / 9 for s in (0, 1)])
    assert changed > 0
    assert float(rows["lambda 2", "changed"]["ours"]) == pytest.approx(100 * changed)
    assert float(rows["lambda 0", "density"]["ours"]) == 1
    page = (toy / "out" / "results.md").read_text(encoding="utf-8")
    for text in (
        "# Table 4: Tiny",
        "cpu: a toy",
        "* a note.",
        "| lambda 2* | 60.0 / ",
        "| never | 80.0 / no",
    ):
        assert text in page
    assert found.benchmark.left == 0
    names = ("table4.svg", "table4.png", "table4-dark.svg", "table4-dark.png")
    assert all((toy / "out" / name).stat().st_size > 1000 for name in names)
    assert "![Table 4](table4.svg)" in page
    shown = Shown(recipe, recipe.plan("cpu", toy), found.cells, found.benchmark.pools, ledger)
    cell, result = shown.found()[0]
    (pool,) = found.benchmark.pools
    counts = []  # of classes, the most frequent first, straight from the picks
    for seed in (0, 1):
        picks = next(
            line["picks"]
            for line in ledger.selections.values()
            if (line["method"], line["seed"]) == ("zero", seed)
        )
        counts.append(sorted(np.bincount(pool.draw(seed).train_truth[picks], minlength=3))[::-1])
    assert cell.row.name == "lambda 0"
    assert class_counts(shown, pool, result).tolist() == np.mean(counts, axis=0).tolist()
    for plot in ("classes", "budgets"):  # drawn whatever they show
        assert PLOTS[plot](shown)(LIGHT).axes
    chosen = recipe_of({**TINY, "base": None}, "table4").chosen(["LAMBDA 2", "nearest mean"])
    only = restricted_to(chosen, chosen.plan("cpu", toy))
    assert [entry.name for entry in only.methods] == ["two"]
    assert chosen.rows[0].paper == {"nearest mean": 60}
    kept = recipe.chosen(["lambda 2", "changed"])
    assert ([row.name for row in kept.rows], [*kept.columns]) == (
        ["lambda 0", "lambda 2"],
        ["changed"],
    )
    with pytest.raises(UsageError, match=r"no row or column 'lambda2'\. Did you mean 'lambda 2'"):
        reproduce(recipe, data=toy, only=["lambda2"])

    stamp = toy / "out" / "reproduction.json"
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "version": "0.0.1"}))
    with pytest.raises(DataError, match=r"begun by usl 0\.0\.1.*Give another --out"):
        reproduce(recipe, data=toy, out=toy / "out", jobs=1)


def test_a_learner_is_run_at_the_budgets_of_its_columns_alone(toy, quick):
    learners = {"nearest_mean": {}, "logistic": {}}
    columns = {
        "9": {"budget": 9, "learner": "nearest_mean"},
        "6": {"budget": 6, "learner": "logistic"},
    }
    plan = {**TINY["plan"], "budgets": [6, 9], "learners": learners}
    given = {**TINY, "columns": columns, "plan": plan, "plots": []}
    reproduce(recipe_of(given, "table4"), data=toy, out=toy / "out", jobs=1)
    ledger = Ledger(toy / "out" / "benchmark")
    scored = {
        (ledger.selections[key]["budget"], s["learner"]) for (key, _), s in ledger.scores.items()
    }
    assert scored == {(9, "nearest_mean"), (6, "logistic")}


def test_mean_distances_to_the_nearest_others():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked = [3, 17]
    expected = [
        np.mean(sorted(np.linalg.norm(rows[i] - rows[j]) for j in range(50) if j != i)[:7])
        for i in asked
    ]
    assert mean_distances(rows, rows[asked], 7) == pytest.approx(expected, abs=1e-6)


def test_a_gpu_that_is_asked_for_and_is_not_there(toy, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = recipe_of(TINY, "table4")
    with pytest.raises(UsageError, match=r"2,000 GPU-hours.*--preset cpu"):
        reproduce(recipe, preset="full", data=toy, out=toy / "full")
    with pytest.raises(UsageError, match="asks for a GPU"):
        reproduce(recipe, gpu=True, data=toy, out=toy / "full")
    assert not (toy / "full").exists()


def test_a_data_set_that_is_missing_or_differs(tmp_path):
    with pytest.raises(DataError) as missing:
        reproduce("table10", data=tmp_path, out=tmp_path / "out")
    md5 = "data_batch_1 c99cafc152244af753f735de768cd75f"  # as torchvision states it
    for text in ("CIFAR-10 is not at", "Get it: curl", "cifar-10-python.tar.gz", md5):
        assert text in str(missing.value)
    linked = standard.standard_sets()["imagenet100"].how(Path("here"))
    assert f"ln -s {Path('here').absolute() / 'imagenet'}" in linked  # the link lies elsewhere
    blood = standard.standard_sets()["bloodmnist"]
    how = blood.how(tmp_path / "new")
    assert f"Get it: mkdir -p {tmp_path / 'new'} && curl" in how
    assert how.endswith(f"-o {tmp_path / 'new' / 'bloodmnist.npz'} (MD5: {blood.md5})")
    (tmp_path / "bloodmnist.npz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"checksum is .*; that of BloodMNIST is 7053d0359d879ad8"):
        blood.check(tmp_path / "bloodmnist.npz")
    images = np.zeros((4, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "cifar10.npz", train_images=images, train_labels=np.arange(4)[:, None])
    with pytest.raises(DataError, match="checksum of its train labels"):
        reproduce("table10", data=tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_columns_ask_for_their_own_data_sets_alone(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "caltech101").mkdir()
    own = ["Caltech-101, logistic (ours)", "FixMatch"]  # no network at this scale, so no CIFAR-100
    assert [*plan_reproduction("table5", only=own, data=tmp_path)["data"]] == ["caltech101"]
    both = plan_reproduction("table5", only=[*own, "logistic (ours)"], data=tmp_path)
    assert [*both["data"]] == ["cifar100", "caltech101"]
    with pytest.raises(DataError) as missing:
        reproduce("table5", data=tmp_path, out=tmp_path / "out")
    told = str(missing.value)
    assert told.startswith("CIFAR-100 is not at")
    assert f"; without it: --only {quoted(own[0])} --only" in told
    assert "--only 'logistic (ours)'" not in told
    assert "FixMatch" not in told


def test_label_digests_do_not_depend_on_the_names_of_classes():
    assert standard.label_digest(["cat", "dog", "cat"]) == standard.label_digest([7, 1, 7])
    assert standard.label_digest(["cat", "dog", "cat"]) != standard.label_digest([7, 1, 1])


def test_names_of_tables_on_the_command_line(capsys):
    assert main(["reproduce", "tabel10"]) == 2
    assert "Did you mean 'table10'?" in capsys.readouterr().err
    assert main(["reproduce"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in recipe_names())
    assert main(["reproduce", "14"]) == 0
    assert "horizon" in capsys.readouterr().out
    assert main(["reproduce", "fig7", "--preset", "ful", "--dry-run"]) == 2


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("titel", "x", "unknown key 'titel'. Did you mean 'title'?"),
        ("base", "lambda 1", "is no row. Did you mean"),
        ("marks", {}, "does not say what the mark of 'lambda 2'"),
        ("rows", {"a": {"methd": "zero"}}, "Did you mean 'method'?"),
        ("rows", {"lambda 0": {"learner": "logistic"}}, "both say the learner. Leave one out."),
        ("columns", {"a": {"figure": "densty"}}, "Did you mean 'density'?"),
    ],
)
def test_a_recipe_that_does_not_fit(key, value, text):
    with pytest.raises(UsageError) as refused:
        recipe_of({**TINY, key: value}, "table4")
    assert text in str(refused.value)


def test_a_row_that_two_results_fit_is_refused(toy):
    plan = {**TINY["plan"], "budgets": [6, 9]}
    recipe = recipe_of({**TINY, "plan": plan}, "table4")
    with pytest.raises(UsageError, match="say which budget; the plan has 6, 9"):
        plan_reproduction(recipe, data=toy)
