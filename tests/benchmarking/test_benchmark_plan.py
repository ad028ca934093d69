"""A plan says what is compared; a wrong one says what to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from usl.benchmarking.entries import Asking, Entry
from usl.benchmarking.plan import read_plan
from usl.core.errors import DataError, UsageError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GOOD = """
name = "Two flowers"
seeds = 4
budgets = [9, 3]
encoders = ["pixels"]

[datasets.roses]
source = "roses"
[datasets.tulips]
source = "$GARDEN/tulips"
budgets = [5]
imbalance = 10
standardize = true

[methods]
random = {}
near = { method = "usl", k = 20 }

[learners]
logistic = { c = 1.0 }
poisson = { seeds = 2 }
"""


def written(tmp_path, text):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return path


def test_a_plan_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("GARDEN", "/garden")
    plan = read_plan(written(tmp_path, GOOD))
    roses, tulips = plan.datasets
    assert (plan.name, plan.seeds, plan.share, plan.reference) == ("Two flowers", 4, 0.8, "random")
    assert (roses.source, roses.budgets, roses.most) == (str(tmp_path / "roses"), (3, 9), 10_000)
    assert (tulips.source, tulips.budgets, tulips.imbalance) == ("/garden/tulips", (5,), 10.0)
    assert (tulips.encoders, tulips.space) == (("pixels",), {"standardize": True})
    near = plan.methods[1]
    assert (near.name, near.method, near.params) == ("near", "usl", {"k": 20})
    logistic, poisson = plan.learners
    assert (logistic.params, logistic.seeds, poisson.seeds) == ({"c": 1.0}, None, 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds = 4", "sedes = 4", "unknown key 'sedes'. Did you mean 'seeds'"),
        ("seeds = 4", "seeds = 0", "seeds: 0 given; use whole numbers from 1"),
        ("seeds = 4", "seeds = true", "seeds: True given; it must be a whole number"),
        ("seeds = 4", "share = 1.5", "share: 1.5 given"),
        ("seeds = 4", 'reference = "usl"', "reference: 'usl' is not in this plan"),
        ("seeds = 4", 'leave_out = ["rose"]', "leave_out: 'rose' .* Did you mean 'roses'"),
        ("seeds = 4", 'leave_out = ["roses", "tulips"]', "leave_out: names every data set"),
        ("budgets = [9, 3]", "budgets = [0]", "datasets.roses.budgets: 0 given"),
        ("budgets = [9, 3]", "", "datasets.roses.budgets is missing"),
        ("imbalance = 10", "imbalance = 0.5", "datasets.tulips.imbalance: 0.5 given"),
        ("imbalance = 10", "inbalance = 2", "'datasets.tulips.inbalance'. Did you mean 'imbalance"),
        ('source = "roses"', "", r"\[datasets.roses\] needs a source"),
        ("random = {}", "randomm = {}", r"\[methods\] randomm: Unknown method .* 'random'"),
        ("random = {}", "random = 3", "methods.random: 3 given; write random = {}"),
        ("k = 20", "kk = 20", r"\[methods\] near: Method 'usl' has no parameter 'kk'"),
        ("c = 1.0", "cc = 1.0", r"\[learners\] logistic: Method 'logistic' has no parameter 'cc'"),
        ("k = 20", "k = 0", r"\[methods\] near: k: 0 given; it must be above 0"),
        (
            "k = 20",
            'preset = "own"',
            r"\[methods\] near: preset: 'own' is unknown; use one of",
        ),
        ("c = 1.0", "c = -1", r"\[learners\] logistic: c: -1 given; it must be above 0"),
        ('method = "usl"', 'method = "mine.py"', "mine.py does not exist"),
        ("poisson", "poison", r"\[learners\] poison: Unknown method .* Did you mean .poisson"),
    ],
)
def test_a_wrong_plan_names_the_key_and_the_file(tmp_path, monkeypatch, old, new, message):
    monkeypatch.setenv("GARDEN", "/garden")
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(UsageError, match=message) as error:
        read_plan(path)
    assert str(path) in str(error.value)


ASKING = """
[asking]
start = { method = "usl", k = 5 }
size = 2
[methods]
random = {}
few = { strategy = "margin", seeds = 2 }
own = { strategy = "bait", fisher = "binary", start = "quorum", size = 1, batch = 1, TASK }
"""
NETWORKS = """
[learners]
fixmatch = { preset = "cpu", network = "compact", steps = 9, tau = 0.9, start = "mine", seeds = 2 }
[pretrained.mine]
method = "cld"
epochs = 3
seed = 1
"""
TASK = 'task = { method = "supervised", steps = 7 }'


def asking_plan(folder, old="", new=""):
    text = GOOD[: GOOD.index("[methods]")].replace("imbalance = 10\n", "")
    text += ASKING.replace("TASK", TASK) + NETWORKS
    assert old in text
    return written(folder, text.replace(old, new))


def test_strategies_networks_and_encoders_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("GARDEN", "/garden")
    plan = read_plan(asking_plan(tmp_path))
    _, few, own = plan.methods
    assert (few.method, few.seeds, few.on(1), few.on(2)) == ("margin", 2, True, False)
    assert (few.asking.start.method, few.asking.start.params) == ("usl", {"k": 5})
    assert (few.asking.model.method, few.on_images) == ("logistic", False)
    assert few.asking.steps(9, 10) == [2, 7]
    assert (own.params, own.asking.start.method) == ({"fisher": "binary"}, "quorum")
    assert (own.asking.model.method, own.asking.model.params) == ("supervised", {"steps": 7})
    assert own.on_images
    own_task = (
        read_plan(asking_plan(tmp_path, TASK, "task = { steps = 3 }")).methods[2].asking.model
    )
    assert (own_task.method, own_task.network) == ("supervised", True)
    assert own.asking.steps(4, 10) == [1, 1, 1, 1]
    (fixmatch,) = plan.learners
    assert (fixmatch.network, fixmatch.seeds, fixmatch.params["tau"]) == (True, 2, 0.9)
    (mine,) = plan.pretrained
    assert (mine.name, mine.method, mine.params) == ("mine", "cld", {"epochs": 3, "seed": 1})


def test_labels_of_the_start_and_of_each_round():
    random = Entry("random", "random")
    for size, batch, budget, found in (
        (None, None, 40, [20, 20]),
        (None, None, 41, [20, 21]),
        ("classes", 20, 60, [10, 20, 20, 10]),
        (1, "classes", 5, [1, 4]),
    ):
        assert Asking(random, size, batch, random).steps(budget, classes=10) == found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size = 2\n", "sice = 2\n", "unknown key 'asking.sice'. Did you mean 'size'"),
        ("size = 2\n", "size = 0\n", "asking.size: 0 given; use whole numbers from 1"),
        ("size = 2\n", "size = 3\n", "methods.few: 3 labels of the start leave no question of 3"),
        ("size = 2\n", "size = 2\nmodel = 3\n", 'asking.model: 3 given; write "NAME", or'),
        ("size = 2\n", 'size = 2\nmodel = "fixmatch"\n', "Unknown method 'fixmatch'"),
        (TASK, 'model = "poisson", ' + TASK, "methods.own: model and task exclude each other"),
        (TASK, "task = { method = 'fixmatch', tua = 1 }", "Did you mean 'tau'"),
        (TASK, 'task = "poisson"', r"\[methods\] own.task: Unknown task 'poisson'"),
        ("seeds = 2 }\nown", "seeds = 0 }\nown", "methods.few.seeds: 0 given"),
        ("seeds = 4", 'seeds = 4\nrival = "few2"', "rival: 'few2' is not in .* Did you mean 'few'"),
        (
            'start = { method = "usl", k = 5 }',
            'start = { method = "usl_t", end_to_end = true }',
            "asking.start: a start is picked on the features",
        ),
        ("seeds = 4", 'seeds = 4\nrival = "few"', "rival: 'few' has fewer seeds than"),
        ("seeds = 4", 'seeds = 4\nreference = "few"', "reference: 'few' has fewer seeds than"),
        ('strategy = "margin"', 'strategy = "margins"', r"few: Unknown .* Did you mean 'margin'"),
        ('strategy = "margin"', 'strategy = "margin", k = 2', "'margin' has no parameter 'k'"),
        ('strategy = "margin"', 'strategy = "margin", method = "usl"', "method and strategy exclu"),
        ("steps = 9", "stepps = 9", r"fixmatch: Method 'fixmatch' has no .* Did you mean 'steps'"),
        ("steps = 9", "steps = 0", r"\[learners\] fixmatch: steps: 0 given"),
        ("tau = 0.9", "tau = 'x'", r"\[learners\] fixmatch: tau: 'x' given; it must be a num"),
        ("tau = 0.9", "resume = true", "Method 'fixmatch' has no parameter 'resume'"),
        ('preset = "cpu"', 'preset = "gpu"', "'fixmatch' has no preset 'gpu'. Did you mean 'cpu'"),
        ('"compact"', '"compakt"', "unknown network 'compakt'. Did you mean 'compact'"),
        ("epochs = 3", "epoch = 3", "Method 'cld' has no parameter 'epoch'. Did you mean 'epochs'"),
        ('start = "mine"', "frozen = true", r"\[pretrained.mine\]: nothing uses it"),
        ('encoders = ["pixels"]', "[encoders.mine]", r"described .*: \[pretrained.NAME\]"),
    ],
)
def test_a_wrong_strategy_or_training_names_the_key(tmp_path, monkeypatch, old, new, message):
    monkeypatch.setenv("GARDEN", "/garden")
    path = asking_plan(tmp_path, old, new)
    with pytest.raises(UsageError, match=message):
        read_plan(path)


def test_asking_without_a_strategy(tmp_path, monkeypatch):
    monkeypatch.setenv("GARDEN", "/garden")
    path = written(tmp_path, GOOD + "[asking]\nsize = 2\n")
    with pytest.raises(UsageError, match=r"\[asking\] is for strategies, and \[methods\] names"):
        read_plan(path)


def test_a_variable_that_is_not_set(tmp_path, monkeypatch):
    monkeypatch.delenv("GARDEN", raising=False)
    with pytest.raises(UsageError, match=r"datasets.tulips.source names \$GARDEN, which is not"):
        read_plan(written(tmp_path, GOOD))


@pytest.mark.parametrize("table", ["datasets", "methods", "learners"])
def test_an_empty_table(tmp_path, table):
    text = "budgets = [3]\n" + "".join(
        f"[{name}]\n{'' if name == table else content}\n"
        for name, content in {
            "datasets": 'roses = { source = "roses" }',
            "methods": "random = {}",
            "learners": "logistic = {}",
        }.items()
    )
    with pytest.raises(UsageError, match=rf"\[{table}\] is missing or empty"):
        read_plan(written(tmp_path, text))


def test_files_that_are_no_plans(tmp_path):
    with pytest.raises(DataError, match="no such plan"):
        read_plan(tmp_path / "none.toml")
    with pytest.raises(DataError, match=r"plan.toml is not valid TOML: .*line 1"):
        read_plan(written(tmp_path, "seeds = = 3"))
    with pytest.raises(DataError, match="is not a plan"):
        read_plan(tmp_path)
    with pytest.raises(UsageError, match=r"No built-in plan 'smok'; .* Did you mean 'smoke'"):
        read_plan("builtin:smok")


def test_an_oracle_needs_no_labels_in_the_plan(tmp_path):
    text = 'budgets = [3]\n[datasets]\na = { source = "a" }\n[methods]\nstratified = {}\n'
    plan = read_plan(written(tmp_path, text + "[learners]\nlogistic = {}\n"))
    assert plan.reference == "stratified"


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_published_plan_is_sound_and_listed(path, monkeypatch):
    pytest.importorskip("torch")
    for place in ("USL_PREPARED", "USL_FASHION_MNIST"):
        monkeypatch.setenv(place, "/nowhere")
    plan = read_plan(path)
    assert plan.name != path.stem  # it says by itself what it is
    assert f"`{path.name}`" in (BENCHMARKS / "README.md").read_text("utf-8")
