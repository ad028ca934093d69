"""The commands that are broken: what each begins with, and what must be as an unbroken one left it.

A scene's steps prepare a world; its tokens are the command, ``@`` standing for the world's folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from worlds import fill_in

SELECT = ("select", "@features.npz", "--method", "kmeans", "--budget", "6", "--out", "@run")
ANEW = ("select", "@features.npz", "--method", "coreset", "--budget", "5", "--out", "@run")
PHOTOS = ("select", "@photos", "--model", "pixels", "--method", "kmeans", "--budget", "6")
PHOTOS = (*PHOTOS, "--out", "@run")
TRAIN = ("train", "@run", "--method", "logistic")
NETWORK = ("train", "@run", "--method", "fixmatch", "--size", "8", "--steps", "4")
NETWORK = (*NETWORK, "--batch-size", "4", "--device", "cpu", "--precision", "32")
NETWORK = (*NETWORK, "--preset", "cpu", "--use", "fixmatch")
PREDICT = ("predict", "@run", "@more", "--out", "@seen.csv", "--overwrite")
EXPORT = ("export", "@run", "--what", "all", "--out", "@seen.csv", "--overwrite")
LABEL = ("label", "@run", "--classes", "bird,cat", "--annotator", "ann", "--no-browser")
PRETRAIN = ("pretrain", "@photos", "--out", "@encoder", "--method", "simclr", "--size", "8")
PRETRAIN = (*PRETRAIN, "--epochs", "2", "--batch-size", "4", "--device", "cpu")


@dataclass(frozen=True)
class Scene:
    """One command that is broken."""

    name: str
    tokens: tuple[str, ...]
    before: tuple[tuple[str, ...] | Callable, ...] = ()  # commands, and calls with the world
    readers: tuple[tuple[str, ...], ...] = ()  # see what was before, or what the command makes
    page: bool = False  # a server, at which somebody works
    slow: bool = False  # its part of the quick pass is not for `make test`, but for `make slow`
    every: int = 13  # the quick pass takes one point in so many: a prime, so that kinds take turns


def label(world):
    """Fill in what the run asks for."""
    fill_in(world / "run")


def plan(world):
    """Write a small plan of a benchmark."""
    (world / "plan.toml").write_text(
        'name = "Torture"\nseeds = 1\nencoders = ["pixels"]\nbudgets = [3]\n'
        f'[datasets.photos]\nsource = "{world / "photos"}"\n'
        "[methods]\nkmeans = {}\n[learners]\nnearest_mean = {}\n"
    )


def relabel(world):
    """Other labels than the model has seen, for a second training."""
    path = world / "run" / "split.csv"
    text = path.read_text()
    path.write_text(text.replace(",cat,", ",lynx,"))


def answers(world):
    """Answers of two people in the run's store, one of which the file contradicts."""
    from usl.labeling.answers.entries import LABELS, Answer
    from usl.labeling.answers.store import Store
    from usl.labeling.answers.sync import sync
    from usl.run.folder import Run

    run = Run.open(world / "run")
    asked = run.split()
    ids = asked.ids[asked.labeled()].tolist()
    with Store.open(run.path) as store:
        sync(run, store)
        for number, who in enumerate(("ann", "bob")):
            one = Answer(
                image_id=ids[number], kind="label", label="cat", annotator=who, round=LABELS
            )
            store.add([one])
        sync(run, store)


LABELED = (SELECT, label)
TRAINED = (*LABELED, TRAIN)
PHOTOS_LABELED = (PHOTOS, label)
PHOTOS_TRAINED = (*PHOTOS_LABELED, TRAIN)
FEATURES_PREDICT = ("predict", "@run", "@features.npz", "--out", "@seen.csv", "--overwrite")

ON_FEATURES = (
    Scene("select", SELECT),
    Scene(
        "select_overwrite",
        (*ANEW, "--overwrite"),
        (SELECT,),
        (EXPORT,),
        slow=True,
    ),
    Scene(
        "select_overwrite_labeled",
        (*ANEW, "--overwrite"),
        TRAINED,
        (EXPORT,),
        slow=True,
        every=29,
    ),
    Scene("train", TRAIN, LABELED, (EXPORT,), slow=True, every=29),
    Scene(
        "train_again",
        TRAIN,
        (*TRAINED, relabel),
        (FEATURES_PREDICT, EXPORT),
        slow=True,
        every=29,
    ),
    Scene("import", ("import", "@run", "@labels.csv"), LABELED, (EXPORT,)),
    Scene(
        "import_again",
        ("import", "@run", "@labels.csv", "--annotator", "ann", "--overwrite"),
        (*LABELED, answers),
        (EXPORT,),
        slow=True,
        every=29,
    ),
)
ON_PICTURES = (
    Scene(
        "select_pictures",
        (*PHOTOS, "--resume", "--exclude", "@without.txt", "--min-distance", "0.01"),
        slow=True,
        every=53,
    ),
    Scene("embed", ("embed", "@photos", "--model", "pixels", "--out", "@embedded.npz")),
    Scene("predict", ("predict", "@run", "@more", "--out", "@seen.csv"), PHOTOS_TRAINED),
    Scene("evaluate", ("evaluate", "@run"), PHOTOS_TRAINED),
    Scene("report", ("report", "@run"), PHOTOS_TRAINED, every=29),
    Scene("export", ("export", "@run", "--what", "all"), PHOTOS_TRAINED),
    Scene(
        "export_folders",
        ("export", "@run", "--to", "folders", "--what", "predicted", "--out", "@sorted"),
        PHOTOS_TRAINED,
        every=29,
    ),
    Scene(
        "export_overwrite",
        ("export", "@run", "--to", "label_studio", "--what", "all", "--out", "@ex", "--overwrite"),
        (
            *PHOTOS_TRAINED,
            ("export", "@run", "--to", "label_studio", "--what", "labeled", "--out", "@ex"),
        ),
    ),
    Scene("label", LABEL, (PHOTOS,), page=True, every=131),
)

ON_NETWORKS = (
    Scene("pretrain", PRETRAIN, every=53),
    Scene(
        "train_another_encoder",
        (*TRAIN, "--model", "cifar-cld-small", "--use", "logistic-2"),
        PHOTOS_TRAINED,
        (PREDICT, EXPORT),
        slow=True,
        every=107,
    ),
    Scene("train_network", NETWORK, PHOTOS_TRAINED, (PREDICT, EXPORT), slow=True, every=211),
    Scene(
        "benchmark",
        ("benchmark", "@plan.toml", "--out", "@results", "--jobs", "1"),
        (plan,),
        slow=True,
        every=157,
    ),
)


def as_params(scenes):
    """Scenes as parameters of a test, by their names, the slow ones marked."""
    return [
        pytest.param(scene, id=scene.name, marks=[pytest.mark.slow] * scene.slow)
        for scene in scenes
    ]


def tokens_of(tokens, world):
    """A command line with the world's folder in it."""
    return [f"{world}/{token[1:]}" if token[:1] == "@" else token for token in tokens]
