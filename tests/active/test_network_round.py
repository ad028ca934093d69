"""usl next --task: a round that asks through a network trained on the run's images."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import usl  # noqa: E402
from picture_run import answer, make_picture_run  # noqa: E402
from round_run import fill_in, make_run  # noqa: E402
from usl.active import network_round as module  # noqa: E402
from usl.cli import main  # noqa: E402
from usl.core.errors import DataError, UsageError  # noqa: E402
from usl.run.folder import Run  # noqa: E402
from usl.run.picks import read_picks  # noqa: E402
from usl.training import train_network as driver  # noqa: E402
from usl.training.models import load_model  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = {"preset": "cpu", "size": 8, "steps": 3, "batch_size": 4, "device": "cpu"}
SMALL |= {"precision": "32"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(folder / "cache"))
        make_picture_run(folder)
    return folder


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    return Run.open(tmp_path / "run")


def files_of(run):
    return sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file())


def test_the_network_and_what_it_learned_are_kept_with_the_round(run):
    asked = usl.next_round(run, 4, method="margin", task="fixmatch", **SMALL)
    last = Run.open(run.path).rounds()[-1]
    assert last.ids() == asked.ids
    assert last.info["learner"] == "fixmatch"
    assert last.info["network"]["network"] == "compact"
    assert last.info["network"]["steps"] == 3
    assert last.info["labels"] == 6
    _, names = load_model(last.path / "model.npz")
    assert names == ["green", "red"]
    assert (last.path / "trained.safetensors").is_file()
    assert set(read_picks(last.path).column("predicted").to_pylist()) <= {"green", "red"}


def test_a_dry_run_leaves_nothing(run):
    before = files_of(run)
    planned = usl.next_round(run, 4, method="llal", task="own", dry_run=True, **SMALL)
    assert (planned.number, len(planned.ids)) == (None, 4)
    assert planned.reasons == ["a large loss is predicted"] * 4
    assert files_of(run) == before


def test_a_stopped_round_goes_on_to_the_same_images(run, made, tmp_path, monkeypatch):
    shutil.copytree(made / "run", tmp_path / "other")
    whole = usl.next_round(tmp_path / "other", 4, method="mma", task="own", **SMALL)
    original = driver.Streams.__call__

    def stops(self, step, rank, ranks):
        if step > 1:
            raise KeyboardInterrupt
        return original(self, step, rank, ranks)

    options = {"method": "mma", "task": "own", **SMALL}
    with monkeypatch.context() as patch:
        patch.setattr(driver.Streams, "__call__", stops)
        with pytest.raises(KeyboardInterrupt, match="--resume"):
            usl.next_round(run, 4, checkpoint_minutes=0, **options)
    assert len(Run.open(run.path).rounds()) == 1
    assert usl.next_round(run, 4, resume=True, **options).ids == whole.ids


def test_tod_compares_with_the_network_of_the_round_before(run, monkeypatch):
    first = usl.next_round(run, 4, method="margin", task="tod", **SMALL)
    answer(run)
    seen = {}
    original = module.query_network

    def remembered(examples, budget, **options):
        seen.update(ids=examples.ids.tolist(), previous=options["previous"])
        return original(examples, budget, **options)

    monkeypatch.setattr(module, "query_network", remembered)
    usl.next_round(run, 4, method="tod", task="own", **{**SMALL, "steps": 4})
    picks = read_picks(Run.open(run.path).rounds()[1].path)
    rows = [seen["ids"].index(name) for name in first.ids]
    sure = picks.column("confidence").to_pylist()
    np.testing.assert_allclose(seen["previous"].max(axis=1)[rows], sure, atol=1e-3)


def test_a_run_on_features_alone_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("USL_CACHE", str(tmp_path / "cache"))
    run = fill_in(make_run(tmp_path))
    with pytest.raises(DataError, match="trained on images, but these are features alone"):
        usl.next_round(run, 3, task="own", **SMALL)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "logistic"}, "Unknown task 'logistic'"),
        ({"task": "own", "class_": "red"}, "Leave the task out, or the class"),
        ({"task": "own", "method": "stratified"}, "reads the answers of all images"),
        ({"task": "own", "looks": 3}, "no parameter 'looks'"),
        ({"task": "fixmatch", "tau": "much"}, "tau"),
        ({"preset": "cpu"}, "no parameter 'preset'"),
    ],
)
def test_what_cannot_be_is_refused_at_once(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        usl.next_round(tmp_path / "no run", 3, **options)


def test_one_class_is_too_few(run):
    path = run.path / "split.csv"
    path.write_text(path.read_text().replace(",labeled,red", ",unlabeled,"))
    rows = [line for line in path.read_text().splitlines() if "requested,red" in line]
    text = path.read_text()
    for row in rows:
        text = text.replace(row, row.replace("requested,red", "requested,"))
    path.write_text(text)
    with pytest.raises(UsageError, match="two classes at least"):
        usl.next_round(run, 3, task="own", **SMALL)


def test_on_the_console(run, capsys):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    command = ["next", str(run.path), "--budget", "3", "--method", "margin", "--task", "supervised"]
    assert main([*command, *options, "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "by margin, through a network (supervised, 3 steps), after 6 labels" in said
