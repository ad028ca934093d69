"""``usl serve-ls`` with a real Label Studio; skipped where ``make label-studio`` has not been."""

from __future__ import annotations

import json
import re

import pytest
from test_serve_ls import Served

from label_studio_server import ABSENT, PROGRAM, LabelStudio, choice, wait_until
from usl.labeling.answers.outcomes import outcomes
from usl.labeling.answers.store import Store
from usl.labeling.exchange.export_images import export_run
from usl.run.folder import Run
from usl.selection.start_run import start_run

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=ABSENT)
KINDS = ("dark", "light")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A run of 30 pictures, dark and light ones, and what it exports."""
    import numpy as np
    from PIL import Image

    place = tmp_path_factory.mktemp("real")
    (place / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(30):
        pixels = rng.integers(0, 60, (24, 24, 3)) + 150 * (number % 2)
        name = f"{KINDS[number % 2]}-{number:02d}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(place / "photos" / name)
    run = start_run(place / "photos", 6, place / "run", method="random", model="pixels", pca=8)
    done = export_run(run, "label_studio", what="all", classes=",".join(KINDS))
    return run, json.loads((done.out / "tasks.json").read_text()), done.out / "config.xml"


@pytest.fixture(scope="module")
def studio(exported, tmp_path_factory):
    """A Label Studio that shows the pictures."""
    run, _, _ = exported
    made = LabelStudio(tmp_path_factory.mktemp("studio"), pictures=run.path.parent)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def project(exported, studio):
    """The number of the run's project there."""
    _, tasks, config = exported
    return studio.project("Dark or light", config.read_text(), tasks)


def personal_token(studio):
    """A personal access token of the only person."""
    studio.client.post("/api/jwt/settings", json={"api_tokens_enabled": True})
    return studio.ask("POST", "/api/token/")["token"]


def label_of(run, name):
    with Store.open(run.path) as store:
        found = outcomes(store.history())
    return found[name].label if name in found else None


def test_it_orders_suggests_and_learns(exported, studio, project):
    run, _, _ = exported
    picks = Run.open(run.path).split()
    picks = picks.ids[picks.requested()].tolist()
    served = Served(run.path, "--url", studio.url, "--token", studio.token)
    try:
        served.said("Connected to project")
        served.said("30 tasks, 30 of them images of the run")
        asked = []
        before = wait_until(lambda: ordered(studio, project))
        assert before[: len(picks)] == picks
        for _ in range(4):  # of a person who labels what comes
            task = studio.next_task(project)
            name = task["data"]["image_id"]
            asked.append(name)
            given = studio.annotate(task["id"], name.partition("-")[0])
            assert label_of(run, name) == name.partition("-")[0]  # before Label Studio has answered
            wait_until(lambda name=name: name not in ordered(studio, project)[:10])
        assert asked[0] == picks[0]

        def learnt():
            told = studio.next_task(project)["predictions"]
            return told and told[0]["result"]

        (region,) = wait_until(learnt)
        assert region["value"]["choices"][0] in KINDS
        assert ordered(studio, project) != [one for one in before if one not in asked]
        guesses = suggestions(studio, project)
        assert len(guesses) == 30
        path = f"/api/annotations/{given['id']}/"
        other = next(kind for kind in KINDS if not asked[-1].startswith(kind))
        studio.ask("PATCH", path, choice(other))
        assert label_of(run, asked[-1]) == other
        studio.ask("DELETE", path)
        assert label_of(run, asked[-1]) is None
    finally:
        served.stop()


def test_what_happened_meanwhile_is_caught_up_with(exported, studio, project):
    run, _, _ = exported
    task = studio.next_task(project)
    name = task["data"]["image_id"]
    studio.annotate(task["id"], "light")
    assert label_of(run, name) is None
    served = Served(run.path, "--url", studio.url, "--token", personal_token(studio))
    try:
        wait_until(lambda: label_of(run, name) == "light")
        assert len(studio.ask("GET", f"/api/ml/?project={project}")) == 1
        hooks = studio.ask("GET", f"/api/webhooks/?project={project}")
        assert [one["is_active"] for one in hooks] == [True]
    finally:
        served.stop()


def test_a_changed_interface_is_said(exported, studio, project):
    run, _, config = exported
    served = Served(run.path, "--url", studio.url, "--token", studio.token)
    try:
        served.said("Connected to project")
        more = config.read_text().replace("</Choices>", '<Choice value="grey"/></Choices>')
        studio.ask("PATCH", f"/api/projects/{project}/", {"label_config": more})
        served.said("The project offers more choices: 'grey'.")
    finally:
        served.stop()


def test_it_is_connected_by_hand_with_one_address(exported, studio, project):
    run, _, _ = exported
    for kind in ("ml", "webhooks"):
        for one in studio.ask("GET", f"/api/{kind}/?project={project}"):
            end = "" if kind == "ml" else "/"
            studio.ask("DELETE", f"/api/{kind}/{one['id']}{end}")
    served = Served(run.path)
    try:
        address = re.search(r"http://usl:\S+", served.said("connect the model"))[0]
        studio.ask("POST", "/api/ml/", {"project": project, "url": address, "title": "usl"})
        task = studio.next_task(project)
        studio.annotate(task["id"], "light")
        assert label_of(run, task["data"]["image_id"]) == "light"
    finally:
        served.stop()


def ordered(studio, project):
    """Images of the tasks that wait, the lowest score first; none before all have one."""
    tasks = studio.in_order(project, 30)
    scores = [task["predictions_score"] for task in tasks]
    return [] if None in scores else [task["data"]["image_id"] for task in tasks]


def suggestions(studio, project):
    """All predictions of the backend."""
    found = studio.ask("GET", f"/api/predictions/?project={project}")
    return [one for one in found if one["model_version"] == "usl"]
