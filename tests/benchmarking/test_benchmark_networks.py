"""Networks as learners, and encoders that a plan trains: on tiny pictures, in a few steps."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import usl  # noqa: E402
from usl.active.network import query_network  # noqa: E402
from usl.benchmarking.keys import entry_key  # noqa: E402
from usl.benchmarking.ledger import Ledger  # noqa: E402
from usl.benchmarking.plan import read_plan  # noqa: E402
from usl.benchmarking.run import opened, passes, summarized, write_down  # noqa: E402
from usl.benchmarking.units import training_folder  # noqa: E402
from usl.core.errors import DataError  # noqa: E402
from usl.data.open import open_collection  # noqa: E402
from usl.evaluation.evaluate import evaluate  # noqa: E402
from usl.selection.start_run import start_run  # noqa: E402
from usl.training import train_network as driver  # noqa: E402
from usl.training.train import train  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"size": 8, "steps": 4, "batch_size": 4, "device": "cpu", "precision": "32"}
PLAN = """
seeds = 1
share = {share}
budgets = [4]
encoders = ["pixels"]
[datasets.dots]
source = "dots.npz"
{more}
[methods]
random = {{}}
[learners]
nearest_mean = {{}}
[learners.supervised]
preset = "cpu"
size = 8
steps = 4
batch_size = 4
device = "cpu"
precision = "32"
checkpoint_minutes = 0
{start}
"""
ASKING = """
seeds = 1
share = 1.0
budgets = [7]
encoders = ["pixels"]
[datasets.dots]
source = "dots.npz"
[methods]
{methods}
[learners]
nearest_mean = {{}}
"""
ENCODER = """
[pretrained.mine]
method = "simclr"
size = 8
epochs = 1
batch_size = 8
device = "cpu"
precision = "32"
"""


@pytest.fixture
def dots(tmp_path):
    """Red and green pictures with a test subset."""
    rng = np.random.default_rng(0)
    arrays = {}
    for subset, count in (("train", 80), ("test", 20)):
        truth = np.arange(count) % 2
        images = rng.integers(0, 90, (count, 8, 8, 3)).astype(np.uint8)
        images[np.arange(count), :, :, truth] += 120
        arrays |= {f"{subset}_images": images, f"{subset}_labels": truth[:, None]}
    np.savez(tmp_path / "dots.npz", **arrays)
    return tmp_path


def planned(folder, *, share=1.0, more="", start=""):
    (folder / "plan.toml").write_text(PLAN.format(share=share, more=more, start=start))
    return read_plan(folder / "plan.toml")


def worked(plan, out):
    """The ledger of a plan whose units are worked in this process, pass after pass."""
    ledger, pools = Ledger(out), opened(plan)
    for _, units, _ in passes(plan, pools, ledger):
        for unit in units:
            for line in unit.work():
                write_down([line], ledger)
    return ledger


def score_of(ledger, learner="supervised"):
    return next(line for line in ledger.scores.values() if line["learner"] == learner)


@pytest.mark.filterwarnings("ignore:.*requested image")
def test_a_network_learns_what_usl_train_would(dots):
    """The same picks labelled in a run: the figures of ``usl train`` and ``usl evaluate``."""
    plan = planned(dots)
    ledger = worked(plan, dots / "out")
    (line,) = ledger.selections.values()
    (pool,) = opened(plan)
    draw, every = pool.draw(0), open_collection(str(dots / "dots.npz"))
    ordered = every.take(pool.items[np.concatenate([draw.rows, draw.test_rows])])
    made = start_run(ordered, 4, dots / "run", method="random", model="pixels")
    split, rows = made.split(), np.array(line["picks"])
    split.with_labels(rows, [every.labels[n] for n in pool.items[draw.rows[rows]]]).write(made.path)
    done = train(made, method="supervised", preset="cpu", seed=0, collection=ordered, **SMALL)
    assert evaluate(done, collection=ordered)["test"]["accuracy"] == pytest.approx(
        score_of(ledger)["test"]
    )
    assert {"transductive", "calibration", "pooled"} <= score_of(ledger).keys()


def test_a_stopped_training_goes_on_and_its_checkpoints_go(dots, monkeypatch):
    plan = planned(dots)
    whole = worked(plan, dots / "whole")
    original = driver.Streams.__call__

    def stops(self, step, rank, ranks):
        if step > 2:
            raise KeyboardInterrupt
        return original(self, step, rank, ranks)

    with monkeypatch.context() as patch:
        patch.setattr(driver.Streams, "__call__", stops)
        with pytest.raises(KeyboardInterrupt):
            worked(plan, dots / "out")
    expected = score_of(whole)
    folder = training_folder(dots / "out", expected["key"], expected["learner_key"])
    assert (folder / "checkpoint.safetensors").is_file()
    assert summarized(plan, opened(plan), Ledger(dots / "out"), [], [], dots / "out").left == 1
    begun = []
    monkeypatch.setattr(
        driver.Streams, "__call__", lambda *given: begun.append(given[1]) or original(*given)
    )
    done = worked(plan, dots / "out")
    assert begun == [3]
    assert score_of(done) == expected
    assert not folder.exists()
    assert summarized(plan, opened(plan), done, [], [], dots / "out").left == 0


def test_an_encoder_is_trained_once_and_a_network_begins_with_it(dots, monkeypatch):
    plan = planned(dots, more='encoders = ["mine", "pixels"]\n' + ENCODER, start='start = "mine"')
    pools = opened(plan)
    assert [(pool.encoder, pool.supervision) for pool in pools] == [
        ("mine", "none"),
        ("pixels", "none"),
    ]
    folder = pools[0].trained["mine"]
    assert pools[1].trained["mine"] == folder
    stamp = (folder / "encoder.safetensors").stat().st_mtime_ns
    assert opened(plan)[0].key == pools[0].key
    assert (folder / "encoder.safetensors").stat().st_mtime_ns == stamp
    begun = []
    original = driver.start_backbone
    monkeypatch.setattr(driver, "start_backbone", lambda network, init, size, seed: (
        begun.append(init) or original(network, init, size, seed)))  # fmt: skip
    ledger = worked(plan, dots / "out")
    assert begun == [str(folder)] * 2
    more = 'encoders = ["mine"]\n' + ENCODER.replace("epochs = 1", "epochs = 2")
    longer = planned(dots, more=more, start='start = "mine"')
    assert opened(longer)[0].trained["mine"] != folder
    assert entry_key(longer.learners[1]) not in {key for _, key in ledger.scores}


def test_a_strategy_asks_through_a_network_as_by_hand(dots):
    """Two rounds after a start of two labels, each by a network that is trained on the pictures."""
    task = 'task = { steps = 3, size = 8, batch_size = 4, device = "cpu", precision = "32" }'
    asks = f'asks = {{ strategy = "tod", size = 3, batch = 2, {task} }}'
    (dots / "plan.toml").write_text(ASKING.format(methods=asks))
    plan = read_plan(dots / "plan.toml")
    ledger = worked(plan, dots / "out")
    (pool,) = opened(plan)
    draw = pool.draw(0)
    images = pool.pictures(draw)[0]
    assert images.labels is None
    labeled = usl.select(draw.train, 3, method="random", seed=0).indices
    said = None
    for number, batch in ((1, 2), (2, 2)):
        found, numbers = np.unique(draw.train_truth[labeled], return_inverse=True)
        assert len(found) == 2
        classes = np.full(80, -1)
        classes[labeled] = numbers
        asked = query_network(
            driver.Examples(images.images, images.ids, classes, np.ones(80), ""),
            batch,
            class_names=["0", "1"],
            place=driver.Place(dots / f"r{number}", dots / f"r{number}.safetensors", lambda: None),
            method="tod",
            task="tod",
            previous=said,
            seed=int(np.random.default_rng([0, number]).integers(2**31)),
            steps=3,
            size=8,
            batch_size=4,
            device="cpu",
            precision="32",
        )
        labeled, said = np.concatenate([labeled, asked.query.indices]), asked.predictions
    (line,) = ledger.selections.values()
    assert line["picks"] == labeled.tolist()
    assert not training_folder(dots / "out", line["key"]).exists()


@pytest.mark.filterwarnings("ignore:usl_t:")
def test_usl_t_trains_the_encoder_of_the_pool(dots):
    """End to end the picks are those of ``usl select`` on the draw's pictures."""
    few = "steps = 3, heads = 1, k = 5, epochs = 1, batch_size = 8"
    text = ASKING.format(methods=f'usl_t = {{ end_to_end = true, {few}, preset = "threshold" }}')
    (dots / "plan.toml").write_text(text.replace('["pixels"]', '["mine"]') + ENCODER)
    plan = read_plan(dots / "plan.toml")
    (pool,) = opened(plan)
    ledger = worked(plan, dots / "out")
    (line,) = ledger.selections.values()
    images = pool.pictures(pool.draw(0))[0]
    made = start_run(
        images,
        7,
        dots / "run",
        method="usl_t",
        model=str(pool.trained["mine"]),
        end_to_end=True,
        steps=3,
        heads=1,
        k=5,
        epochs=1,
        batch_size=8,
        preset="threshold",
    )
    split = made.split()
    assert images.ids[line["picks"]].tolist() == split.ids[split.requested()].tolist()
    assert not training_folder(dots / "out", line["key"]).exists()


def test_features_alone_are_refused(dots):
    np.savez(dots / "dots.npz", features=np.eye(9), labels=np.arange(9).astype(str))
    plan = planned(dots, share=0.8)
    with pytest.raises(DataError, match=r"datasets.dots: .* features alone, and supervised tr"):
        opened(plan)
