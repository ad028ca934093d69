"""Many items and classes: rounds, live sessions and predictions make no table of n x C numbers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import usl
from round_run import fill_in
from support import unit
from usl.active import live_model, state
from usl.active.live_model import LiveModel
from usl.active.shared import feature_views
from usl.active.strategies import canvass
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store
from usl.numeric import blocks
from usl.numeric.neighbor_graph import SEARCHED, kept_nearest
from usl.numeric.stage_cache import NOTHING
from usl.numeric.table import as_table
from usl.training import predict
from usl.training.models import MixtureModel
from usl.training.open_run import open_run
from usl.training.told import train_probabilities

N, CLASSES, KNOWN = 3000, 1500, 8
LIMIT = 0.7 * 8 * N * CLASSES  # bytes: below a table of all probabilities
NAMES = [f"c{c:04d}" for c in range(CLASSES)]
TRUTH = np.arange(N) % CLASSES


@pytest.fixture(scope="module")
def small_blocks():
    """What is worked on at once is small beside a table of all rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", 1 << 20)
        patch.setattr(predict, "JUDGED_ROWS", 64)
        patch.setattr(predict, "JUDGED", 1)
        patch.setattr(canvass, "POOL", 50)
        patch.setattr(feature_views, "BLOCK", 64)
        yield


def made_model(features, seed):
    """A model of few classes of each item, mostly right, without a training."""
    rng = np.random.default_rng(seed)
    others = rng.permuted(np.tile(np.arange(1, 2 * KNOWN), (N, 1)), axis=1)[:, : KNOWN - 1]
    numbers = (TRUTH[:, None] + np.column_stack([np.zeros(N, int), others])) % CLASSES
    scores = rng.dirichlet(np.r_[4.0, np.ones(KNOWN - 1)], size=N).astype(np.float32)
    return MixtureModel(
        features,
        scores,
        numbers=numbers.astype(np.int16),
        weight=rng.normal(size=(CLASSES, features.shape[1])),
        bias=np.zeros(CLASSES),
        estimate=0.8,
    )


@pytest.fixture(scope="module")
def items():
    """Features, float32 [n, 8]."""
    return unit(np.random.default_rng(1).normal(size=(N, 8)))


@pytest.fixture(scope="module")
def known(small_blocks, items, tmp_path_factory):
    """A run in which every class has a label, and the models of one training after another."""
    place = tmp_path_factory.mktemp("many")
    np.save(place / "features.npy", items)
    run = usl.start_run(place / "features.npy", 4, place / "run", method="random")
    ids = run.split().ids
    name = dict(zip(ids.tolist(), [NAMES[c] for c in TRUTH], strict=True))
    run = fill_in(run, ids[:CLASSES].tolist(), name.get)
    models = [made_model(open_run(run).space.features, seed) for seed in range(2)]

    class Trained:
        """In place of a Refit: the next model for whatever labels."""

        def __init__(self, *_, **__):
            self.turn = 0

        def update(self, *_, **__):
            self.turn += 1
            return models[self.turn % 2]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "Refit", Trained)
        patch.setattr(live_model, "Refit", Trained)
        yield run, name


def peak(work):
    """What ``work()`` returns, and the most bytes that it held."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", ["canvass", "tod"])
def test_a_round(known, method):
    asked, most = peak(lambda: usl.next_round(known[0], 5, method=method, dry_run=True))
    assert len(asked.ids) == 5
    assert most < LIMIT


def test_a_live_session(known):
    run, name = known
    with Store.open(run.path) as store:
        model = LiveModel(open_run(run), store, method="margin", learner="accord", whole=True)
        ids = model._ids
        store.add([Answer(one, "label", name[one], round="live-1") for one in ids[:CLASSES]])
        model.order()
        more = ids[CLASSES : CLASSES + 9]
        store.add([Answer(one, "label", name[one], round="live-1") for one in more])
        order, most = peak(model.order)
    assert order.more == 9
    assert order.changed > 0
    assert len(order.guesses) == N
    assert most < LIMIT


def test_new_items(small_blocks, items, tmp_path, monkeypatch):
    np.save(tmp_path / "old.npy", items[:40])
    run = usl.start_run(tmp_path / "old.npy", 2, tmp_path / "run", method="random")
    names = iter("ab")
    done = usl.train(fill_in(run, label=lambda _: next(names)), method="nearest_mean")
    record, model = predict.open_model(done.path)[0], made_model(items, 0)
    monkeypatch.setattr(predict, "open_model", lambda _: (record, model, NAMES))
    np.save(tmp_path / "new.npy", items)
    found, most = peak(lambda: usl.predict(done, tmp_path / "new.npy", out=tmp_path / "said.csv"))
    assert most < LIMIT
    every = model.probabilities(items)
    np.testing.assert_allclose(found.probabilities, every, atol=1e-12)
    assert found.labels == [NAMES[c] for c in every.argmax(axis=1)]


def test_views(small_blocks, items):
    model = made_model(items, 0)
    seen, most = peak(lambda: list(feature_views.feature_views(items, model, 0, NOTHING)(2)))
    assert most < LIMIT
    view = feature_views.dropped(items[:64], np.random.default_rng([0, 1, 0]))
    among = np.column_stack(
        [np.arange(N), kept_nearest(as_table(items), SEARCHED, keep=NOTHING)[0]]
    )[:64]
    wanted = model.linked(view, *model.links_among(view, among))
    np.testing.assert_array_equal(seen[1][:64], wanted)


METHODS = ["canvass", "confidence", "entropy", "margin", "mma", "pcb", "tod"]


@pytest.mark.parametrize("method", METHODS)
def test_strategies_ask_as_by_a_table_of_all_classes(small_blocks, items, method):
    said, former = (train_probabilities(made_model(items, seed), items) for seed in (0, 1))

    def ask(change):
        return usl.query(
            items,
            4,
            labeled=np.arange(CLASSES),
            classes=TRUTH[:CLASSES],
            method=method,
            predictions=change(said),
            previous=change(former),
            views=lambda count: iter([change(said), change(former)][:count]),
        )

    few, most = peak(lambda: ask(lambda table: table))
    whole = ask(np.asarray)
    np.testing.assert_array_equal(few.indices, whole.indices)
    assert few.reasons == whole.reasons
    assert most < LIMIT
