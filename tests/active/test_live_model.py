"""The model of a live session: what it learns from, what it asks for, what it says of itself."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import clumps
from usl.active.live import first_images
from usl.active.live_model import AHEAD, LiveModel
from usl.labeling.answers.classes import rename_class
from usl.labeling.answers.entries import AUDIT, Answer, Round
from usl.labeling.answers.store import Store
from usl.run.excluded import EXCLUDED, write_excluded
from usl.run.picks import picked_ids
from usl.run.split import Split
from usl.training.open_run import open_run
from usl.training.refit import Refit

PICKS, N = 6, 300


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on 300 points in three clumps, and which is in which."""
    place = tmp_path_factory.mktemp("live")
    features = clumps(3, 8, 0.5, n=N)
    np.save(place / "features.npy", features)
    run = usl.start_run(place / "features.npy", PICKS, place / "run", method="random")
    return run, features, features[:, :3].argmax(axis=1)


@pytest.fixture
def live(made):
    """A model of the run, and its store without any answer."""
    run, _, _ = made
    for path in run.path.glob("labels.sqlite*"):
        path.unlink()
    with Store.open(run.path) as store:
        yield LiveModel(open_run(run), store, method="margin", learner="logistic"), store


def give(store, truth, ids, rows):
    """Answer as the truth has it."""
    return store.add([Answer(ids[row], "label", "abc"[truth[row]], round="live-1") for row in rows])


def margins(features, rows, classes):
    """Rows by p1 - p2 of the learner fitted to these labels, the smallest first."""
    every = np.full(len(features), -1)
    every[rows] = classes
    model = Refit(features, "logistic").update(every)
    top = np.sort(model.probabilities(features), axis=1)
    return np.argsort(top[:, -1] - top[:, -2], kind="stable"), model


def test_picks_come_first_then_what_the_strategy_wants(made, live):
    run, _, truth = made
    model, store = live
    ids = model._ids
    assert list(model.order().images) == picked_ids(run.path)
    assert model.order().labels == 0
    one, other = (next(row for row in range(N) if truth[row] == c) for c in (0, 1))
    give(store, truth, ids, [one])
    assert model.order().estimate is None
    last = give(store, truth, ids, [other])[0]
    order = model.order()
    assert (order.seen, order.labels, order.more) == (last, 2, 2)
    # the strategy by its formula, on the features as the run has them
    features = open_run(run).space.features
    ranked, _ = margins(features, [one, other], [0, 1])
    wanted = [ids[row] for row in ranked.tolist() if row not in (one, other)][:AHEAD]
    assert list(order.images) == wanted
    assert set(order.guesses) == set(wanted)
    assert all(0.5 <= sure <= 1 for _, sure in order.guesses.values())


def test_what_nobody_need_be_asked(made, live):
    _, _, truth = made
    model, store = live
    ids = model._ids
    give(store, truth, ids, range(250))
    model._weights[7] = 0  # as the split file may say: not to be learnt from
    store.add([Answer(ids[250], "bad"), Answer(ids[251], "unsure"), Answer(ids[252], "skip")])
    store.add_round(Round("", AUDIT, (ids[253],)))
    store.add([Answer(ids[254], "label", "a"), Answer(ids[254], "label", "b", "ben")])  # in dispute
    seen = set()
    for _ in range(2):
        order = model.order()
        seen |= set(order.images)
        store.add([Answer(name, "label", "a") for name in order.images])
    assert seen == {*ids[252:254], *ids[255:]}  # the audit's, too: else it were no sample any more
    order = model.order()
    assert order.images == ()
    assert order.labels == 249 + len(seen)
    assert order.changed is None  # nothing is predicted any more


def test_how_much_the_last_labels_changed(made, live):
    run, _, truth = made
    model, store = live
    ids = model._ids
    features = open_run(run).space.features
    first = [next(row for row in range(N) if truth[row] == c) for c in (0, 1)]
    give(store, truth, ids, first)
    assert model.order().changed is None
    late = [row for row in range(N) if truth[row] == 2][:5]
    given = give(store, truth, ids, late)
    _, before = margins(features, first, [0, 1])
    _, after = margins(features, [*first, *late], truth[[*first, *late]])
    left = np.setdiff1d(np.arange(N), [*first, *late])
    told = [one.probabilities(features)[left].argmax(axis=1) for one in (before, after)]
    order = model.order()
    assert order.changed == pytest.approx((told[0] != told[1]).mean())
    assert order.changed > 0.2
    assert (order.labels, order.more) == (7, 5)
    store.add([Answer(ids[left[0]], "unsure"), Answer(ids[left[1]], "skip")])  # teaches nothing
    assert (model.order().changed, model.order().more) == (order.changed, 5)
    # an answer taken back is as if it had never been, and a class by another name is the same
    store.set_classes(["a", "b", "c"])
    rename_class(store, "c", "zebra")
    assert model.order().changed == 0
    store.undo(given)
    assert model.order().changed == pytest.approx(order.changed, abs=0.02)


def test_the_estimate_is_of_all_labels(made, live):
    run, _, truth = made
    _, store = live
    model = LiveModel(open_run(run), store, method="margin", learner="accord")
    rows = list(range(60))
    give(store, truth, model._ids, rows)
    every = np.full(N, -1)
    every[rows] = truth[rows]
    own = Refit(open_run(run).space.features, "accord").update(every).estimate
    assert model.order().estimate == pytest.approx((60 + own * (N - 60)) / N)


def test_until_there_is_a_model_picks_come_first_then_all_others(made):
    run, _, _ = made
    collection = run.collection()
    ids = collection.ids.tolist()
    split = Split.start(ids, ["train"] * (N - 1) + ["test"], picks=[7, 3, 5])
    found = first_images(split, collection, 0)
    assert found[:3] == [ids[7], ids[3], ids[5]]
    assert sorted(found) == sorted(ids[:-1])
    assert found[3:] != [name for name in ids if name in found[3:]]
    assert found == first_images(split, collection, 0)
    fewer = collection.take(np.setdiff1d(np.arange(N), 7))  # it cannot be read now
    assert first_images(split, fewer, 0)[:2] == [ids[3], ids[5]]
    assert ids[3] not in first_images(split, fewer, 0, {ids[3]})


def test_a_strategy_is_told_what_the_model_before_said(made, tmp_path):
    _, features, truth = made
    np.save(tmp_path / "features.npy", features)
    opened = open_run(usl.start_run(tmp_path / "features.npy", PICKS, tmp_path / "run"))
    rows = [int(np.flatnonzero(truth == one)[0]) for one in (0, 2, 1)]
    with Store.open(opened.run.path) as store:
        model = LiveModel(opened, store, method="tod", learner="logistic")
        give(store, truth, model._ids, rows[:2])
        model.order()
        give(store, truth, model._ids, rows[2:])
        order = model.order()
        again = model.order()
    _, last = margins(opened.space.features, rows[:2], [0, 1])
    _, now = margins(opened.space.features, rows, [0, 2, 1])
    previous = np.zeros((N, 3))
    previous[:, [0, 2]] = last.probabilities(opened.space.features)
    change = ((now.probabilities(opened.space.features) - previous) ** 2).sum(axis=1)
    ranked = [row for row in np.argsort(-change, kind="stable").tolist() if row not in rows]
    assert list(order.images) == [model._ids[row] for row in ranked[:AHEAD]]
    assert again.images == order.images, "nothing is new"


def test_what_the_selection_excluded_is_never_asked_for(made, live):
    run, _, truth = made
    model, store = live
    ids = model._ids
    give(store, truth, ids, [int(np.flatnonzero(truth == one)[0]) for one in range(3)])
    wanted = model.order().images[:3]
    write_excluded(run.path, wanted)
    try:
        again = LiveModel(open_run(run), store, method="margin", learner="logistic").order()
    finally:
        (run.path / EXCLUDED).unlink()
    assert not set(wanted) & set(again.images)
