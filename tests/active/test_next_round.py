"""usl next: a round follows the open requests, says why, and never asks twice."""

from __future__ import annotations

import shutil
import threading

import numpy as np
import pytest

import usl
from killed import all_names, kill_everywhere, quick_folder
from round_run import CLASSES, fill_in, make_run, requested, truth
from usl.active import learner_round as asking
from usl.active import next_round as module
from usl.active.contract import Query
from usl.active.state import learn, state_of
from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.progress import silent
from usl.labeling.answers.entries import BAD, LABEL, UNSURE
from usl.labeling.answers.requests import request_round, withdraw_round
from usl.labeling.answers.rounds import draw_audit, round_images
from usl.labeling.answers.store import Answer, Store
from usl.labeling.answers.sync import sync
from usl.run.before import before_table, read_before
from usl.run.folder import Run
from usl.run.picks import read_picks
from usl.training.open_run import open_run

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* have no label yet"),
    pytest.mark.filterwarnings("ignore:No label is new since round"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run whose first six are labelled, and one without a label."""
    folder = tmp_path_factory.mktemp("rounds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(folder / "cache"))
        run = make_run(folder)
        shutil.copytree(run.path, folder / "bare")
        fill_in(run)
    return folder


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.fixture
def bare(made, tmp_path):
    shutil.copytree(made / "bare", tmp_path / "bare")
    return Run.open(tmp_path / "bare")


def answer(run, **kinds):
    """Answers on the page, by id: a class, or a kind."""
    with Store.open(run.path) as store:
        sync(run, store)
        entries = [
            Answer(name, *((said, None) if said in (BAD, UNSURE) else (LABEL, said)))
            for name, said in kinds.items()
        ]
        numbers = store.add(entries)
        sync(run, store)
    return numbers


def test_requests_follow_those_still_open_and_say_why(run):
    first = usl.next_round(run, 4, method="margin")
    assert first.number == 1
    assert requested(run) == first.ids
    fill_in(run, first.ids[:1])
    second = usl.next_round(run, 3, method="margin")
    assert requested(run) == [*first.ids[1:], *second.ids]
    assert second.info["open"] == 3
    assert second.info["since"]["labels"] == 1
    table = read_picks(run.path / "rounds" / "02").to_pydict()
    assert table["image_id"] == second.ids
    assert table["rank"] == [1, 2, 3]
    assert table["reason"] == second.reasons
    for reason, predicted in zip(second.reasons, table["predicted"], strict=True):
        start, one, joint, other = reason.split()
        assert (start, joint) == ("between", "and")
        assert {one, other} < set(CLASSES)
        assert predicted == one
    written = (run.path / "rounds" / "02" / "selection.csv").read_text().splitlines()[0]
    assert written == '"rank","image_id","reason","predicted","confidence","margin"'
    assert [name for name in all_names(run.path) if ".coming" in name] == []


def test_own_columns_and_the_page_go_with_the_rows(run):
    path = run.path / "split.csv"
    lines = path.read_text().splitlines()
    noted = [f"{line},{'note' if not row else 'of ' + line[:4]}" for row, line in enumerate(lines)]
    path.write_text("\n".join(noted) + "\n")
    asked = usl.next_round(run, 3)
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows[0][-1] == "note"
    assert all(row[-1] == f"of {row[0]}" for row in rows[1:])
    assert [row[0] for row in rows[7:10]] == asked.ids, "after the six of the first round"
    with Store.open(run.path) as store:
        sync(run, store)
        assert round_images(run, store) == asked.ids


def test_nobody_is_asked_twice(run):
    usl.train(run)
    left = [name for name in run.split().ids.tolist() if name not in run.rounds()[0].ids()]
    unsure, bad = left[:2]
    answer(run, **{unsure: UNSURE, bad: BAD})
    with Store.open(run.path) as store:
        audited = set(draw_audit(run, store, 5).images)
    free = len({*left} - {unsure, bad, *audited})
    with pytest.raises(UsageError, match=f"{free + 1} given, but {free} images are left .* {free}"):
        usl.next_round(run, free + 1)
    asked = usl.next_round(run, free)
    assert not {unsure, bad, *audited} & set(asked.ids)
    answer(run, **{asked.ids[0]: UNSURE})
    with pytest.raises(UsageError, match="nothing is left to ask for"):
        usl.next_round(run, 1)


def test_what_the_selection_excluded_is_never_asked_for(made, tmp_path):
    excluded = [f"a{row:03d}" for row in range(20)]
    run = usl.start_run(
        made / "points.csv",
        4,
        tmp_path / "run",
        method="random",
        constraints=usl.Constraints(exclude=excluded),
    )
    fill_in(run)
    asked = usl.next_round(run, 36, method="random")
    assert not {*excluded} & {*asked.ids}
    with pytest.raises(UsageError, match="nothing is left"):
        usl.next_round(run, 1)


def test_an_image_that_is_also_audited_keeps_both(run):
    """The audit may draw what is requested; the request stays, the next round passes it over."""
    usl.train(run)
    asked = usl.next_round(run, 50)
    with Store.open(run.path) as store:
        audited = set(draw_audit(run, store, 54).images)
    assert audited >= set(asked.ids)
    assert requested(run) == asked.ids


@pytest.mark.parametrize("labels", [0, 1])
def test_with_nothing_to_learn_the_cold_start_goes_on(bare, labels):
    if labels:
        fill_in(bare, requested(bare)[:1])
    collection = bare.collection()
    first = np.flatnonzero(np.isin(collection.ids, bare.rounds()[0].ids()))
    with pytest.warns(UslWarning, match="nothing can be learned yet"):
        asked = usl.next_round(bare, 4)
    expected = usl.select(collection.features, 4, method="quorum", labeled=first)
    assert asked.ids == collection.ids[expected.indices].tolist()
    assert requested(bare) == [*bare.rounds()[0].ids()[labels:], *asked.ids]
    with pytest.raises(UsageError, match="only class with a label" if labels else "no image is"):
        usl.next_round(bare, 2, class_="ant" if not labels else bare_class(bare))


def bare_class(run):
    return next(label for label in run.split().labels.tolist() if label)


def test_a_coverage_method_goes_on_from_labels_and_open_requests(run):
    first = usl.next_round(run, 3, method="coreset")
    again = usl.next_round(run, 3, method="coreset")
    collection = run.collection()
    known = [*run.rounds()[0].ids(), *first.ids]
    labeled = np.flatnonzero(np.isin(collection.ids, known))
    expected = usl.select(collection.features, 3, method="coreset", labeled=labeled)
    assert again.ids == collection.ids[expected.indices].tolist()


def test_images_likely_of_a_class_surest_first_and_apart(run):
    asked = usl.next_round(run, 8, class_="bee", dry_run=True)
    assert {truth(name) for name in asked.ids} == {"bee"}
    assert set(asked.reasons) == {"likely bee"}
    with pytest.raises(UsageError, match=r"no image is labelled 'bees'.*Did you mean 'bee'"):
        usl.next_round(run, 8, class_="bees")


def test_likely_is_its_definition():
    from usl.active.likely import likely

    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 3)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    said = rng.dirichlet(np.ones(3), 60)
    labeled, candidates, apart = np.array([3, 50]), np.setdiff1d(np.arange(60), [3, 50, 7]), 0.5
    taken, doubles = [], []
    for row in sorted(candidates.tolist(), key=lambda row: -said[row, 1]):
        near = [np.linalg.norm(points[row] - points[one]) < apart for one in [*labeled, *taken]]
        (doubles if any(near) else taken).append(row)
    assert doubles
    for budget in (1, 5, len(taken) + 3):
        found = likely(
            points,
            budget,
            wanted=1,
            labeled=labeled,
            predictions=said,
            candidates=candidates,
            apart=apart,
        )
        assert found.indices.tolist() == [*taken, *doubles][:budget]
        assert found.figures["probability"].tolist() == said[found.indices, 1].tolist()


def test_what_has_changed_since_is_told(run):
    usl.next_round(run, 2)
    with pytest.warns(UslWarning, match=r"No label is new since round 1; 2 of the images asked"):
        usl.next_round(run, 2)
    first = run.rounds()[0].ids()
    fill_in(run, first[:1], lambda name: "dog")  # a class that nobody has seen before
    path = run.path / "split.csv"
    text = path.read_text().splitlines()
    place = next(row for row, line in enumerate(text) if line.startswith(first[1]))
    text[place] = f"{first[1]},train,unlabeled,,1,"
    path.write_text("\n".join(text) + "\n")
    with pytest.warns(UslWarning) as told:
        asked = usl.next_round(run, 2)
    said = " ".join(str(one.message) for one in told)
    assert f"({first[0]!r} was {truth(first[0])!r}, now 'dog')" in said
    assert f"1 label was taken away since round 2 ({first[1]!r})" in said
    assert asked.info["classes"]["dog"] == 1
    assert first[1] not in asked.ids, "whose label was taken away is not asked for again"


def test_the_same_in_the_same_out_and_a_dry_run_changes_nothing(run):
    def times():
        names = [name for name in all_names(run.path) if name != ".split.csv.good"]
        return {name: (run.path / name).stat().st_mtime_ns for name in names}

    before = times()
    planned = usl.next_round(run, 5, seed=3, dry_run=True)
    assert planned.number is None
    assert times() == before
    assert usl.next_round(run, 5, seed=3).ids == planned.ids


def test_two_at_once_get_a_round_each_and_no_image_twice(run, monkeypatch):
    """Both have chosen before either writes."""
    both = threading.Barrier(2)
    real = module.request_round
    waited = threading.local()

    def together(*args, **named):
        if not getattr(waited, "done", False):
            waited.done = True
            both.wait()
        return real(*args, **named)

    monkeypatch.setattr(module, "request_round", together)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(usl.next_round(run, 5))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.number for one in found) == [1, 2]
    assert len({name for one in found for name in one.ids}) == 10
    assert len(requested(run)) == 10


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"budget": 0}, "between 1 and"),
        ({"budget": 2.5}, "whole number"),
        ({"budget": 2, "method": "stratified"}, "reads the answers"),
        ({"budget": 2, "method": "nosuch"}, "Unknown method"),
        ({"budget": 2, "method": "random", "class_": "ant"}, "how to pick by itself"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(run, given, words):
    with pytest.raises(UsageError, match=words):
        usl.next_round(run, **given)
    assert len(Run.open(run.path).rounds()) == 1


# Undoing


def test_a_round_is_undone_while_nothing_is_answered(run):
    states = dict(zip(run.split().ids.tolist(), run.split().states.tolist(), strict=True))
    asked = usl.next_round(run, 3)
    number = answer(run, **{asked.ids[0]: "ant"})
    with pytest.raises(UsageError, match=r"1 of the 3 images of round 1 is answered"):
        usl.undo_round(run)
    with Store.open(run.path) as store:
        store.undo(number)
        sync(run, store)
    assert usl.undo_round(run).number == 1
    split = sync(run)
    assert dict(zip(split.ids.tolist(), split.states.tolist(), strict=True)) == states
    with Store.open(run.path) as store:
        said = [(one.image_id, one.kind) for one in store.history() if not one.undone]
    assert (asked.ids[0], UNSURE) not in said, "nobody has said that it cannot be told"
    assert len(run.rounds()) == 1
    with pytest.raises(UsageError, match="no round after the first"):
        usl.undo_round(run)
    assert set(usl.next_round(run, 3).ids) == set(asked.ids), "it may be asked for again"


# Kills


def asked_for(folder):
    """Rounds and requests after a kill, brought to the same state as every verb does first."""
    run = Run.open(folder)
    split = sync(run)
    with Store.open(folder) as store:
        history = [(one.image_id, one.kind, one.annotator) for one in store.history()]
    return [one.ids() for one in run.rounds()[1:]], split.ids[split.requested()].tolist(), history


def test_a_killed_round_is_there_or_not(run, monkeypatch, tmp_path):
    """Whatever the moment, also with an image that was answered once and taken back."""
    asked = usl.next_round(run, 2)
    picks = run.split().ids[-2:].tolist()
    taken_back = picks[1]
    with Store.open(run.path) as store:
        sync(run, store)
        store.undo(store.add([Answer(taken_back, LABEL, "ant")]))
        sync(run, store)
    history = asked_for(run.path)[2]
    import pyarrow as pa

    table = pa.table({"rank": [1, 2], "image_id": pa.array(picks)})
    before = before_table(np.array(picks), ["ant", "ant"], np.ones(2), np.zeros(2, dtype=bool))

    with quick_folder(tmp_path / "kill") as home:

        def prepare(number):
            shutil.copytree(run.path, home / str(number))
            return Run.open(home / str(number))

        seen = []

        def check(number):
            rounds, open_, said = asked_for(home / str(number))
            seen.append(len(rounds))
            assert open_ == [*asked.ids, *(picks if len(rounds) == 2 else [])]
            if len(rounds) == 2:
                assert read_before(home / str(number) / "rounds" / "02").machine
            assert [one for one in said if one not in history] == []
            shutil.rmtree(home / str(number))

        last = kill_everywhere(
            monkeypatch,
            prepare,
            lambda one: request_round(one, table, {}, before=before, since=[0, 1]),
            check,
        )
        assert set(seen) == {1, 2}
        again = Run.open(home / str(last + 1))
        assert asked_for(again.path)[1] == [*asked.ids, *picks]

        seen.clear()
        source = again.path

        def prepare_undo(number):
            shutil.copytree(source, home / f"undo{number}")
            return Run.open(home / f"undo{number}")

        def check_undo(number):
            rounds, open_, said = asked_for(home / f"undo{number}")
            seen.append(len(rounds))
            assert open_ == [*asked.ids, *(picks if len(rounds) == 2 else [])]
            assert [one for one in said if one not in history] == []
            assert not [name for name in all_names(home / f"undo{number}") if "withdrawn" in name]
            shutil.rmtree(home / f"undo{number}")

        kill_everywhere(monkeypatch, prepare_undo, withdraw_round, check_undo)
        assert set(seen) == {1, 2}


def test_strategies_are_told_what_was_said_before_the_labels_of_the_last_round(run, monkeypatch):
    told = []
    monkeypatch.setattr(asking, "query", lambda *given, **more: told.append(more) or ask(more))

    def ask(more):
        return Query(more["candidates"][:2], ("first",) * 2)

    usl.next_round(run, 2, method="tod", dry_run=True)
    assert told[0]["previous"] is None, "only the first selection has labels"
    first = usl.next_round(run, 2, method="margin")
    assert told[1]["previous"] is None, "margin does not ask for it"
    said = told[1]["predictions"]
    usl.next_round(run, 1, method="margin")
    fill_in(run, first.ids)
    usl.next_round(run, 2, method="tod", dry_run=True)
    np.testing.assert_array_equal(told[-1]["previous"], said)
    assert not np.array_equal(told[-1]["predictions"], said)


def test_views_of_pictures_are_predicted_by_the_model_of_the_round(run, monkeypatch):
    seen = np.random.default_rng(0).normal(size=(2, 60, 8)).astype(np.float32)
    seen /= np.linalg.norm(seen, axis=2, keepdims=True)

    def each_view(collection, space, count, *, progress):
        assert (len(space.rows), count) == (60, 2)
        yield from seen[:count]

    with pytest.raises(DataError, match="views are made of images"):
        usl.next_round(run, 3, method="mma", views="pictures")
    monkeypatch.setattr("usl.features.views.each_view", each_view)
    found = usl.next_round(run, 3, method="mma", views="pictures", dry_run=True)
    state = state_of(open_run(run))
    learned = learn(state, seed=0, progress=silent)
    mean = sum(learned.model.probabilities(rows) for rows in seen) / 2
    margin = np.diff(np.sort(mean, axis=1)[:, -2:])[:, 0]
    order = state.candidates[np.argsort(margin[state.candidates], kind="stable")]
    assert found.ids == state.ids[order[:3]].tolist()
    with pytest.raises(UsageError, match="views: 'margin' does not look at views"):
        usl.next_round(run, 3, method="margin", views="pictures")
    with pytest.raises(UsageError, match="views: 'picture' is unknown"):
        usl.next_round(run, 3, method="mma", views="picture")
