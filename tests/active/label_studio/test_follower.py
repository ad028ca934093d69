"""What keeps a Label Studio up to date, against one that stands in for it."""

from __future__ import annotations

import pytest
from fake_studio import CONFIG, CREATED, TOKEN, annotation

from label_studio_server import wait_until
from usl.active.label_studio import follower as module
from usl.active.label_studio.api import Api
from usl.active.label_studio.follower import Follower
from usl.active.label_studio.project import authorization, open_project
from usl.labeling.answers.outcomes import outcomes
from usl.labeling.page.queue import Order

ADDRESS, PASSWORD = "http://127.0.0.1:9", "f00d"


@pytest.fixture
def begin(backend, studio, monkeypatch):
    """Start a follower, which may be done several times."""
    monkeypatch.setattr(module, "RETRY", 0.05)
    monkeypatch.setattr(module, "QUIET", 0.0)
    made = []

    def begin(**more):
        project = open_project(Api(studio.url, TOKEN), None)
        backend.bind(project.uid)
        backend.configure(project.config)
        one = Follower(
            project,
            backend,
            connect=lambda: project.connect(ADDRESS, PASSWORD),
            tell=backend.lines.append,
            **more,
        )
        backend.standing.taken = lambda fault: one.wake()
        if not backend.standing.begun:
            backend.standing.take(Order())
        made.append(one)
        return one

    yield begin
    for one in made:
        one.close()


def order(*names, label="ant"):
    """A model's order; of every image it is as sure."""
    every = [f"{kind}{row:03d}" for row in range(20) for kind in "abc"]
    return Order(names, dict.fromkeys(every, (label, 0.6)), labels=2)


def label_of(backend, name):
    found = outcomes(backend.store.history())
    return found[name].label if name in found else None


def test_it_connects_and_every_task_gets_a_prediction(begin, studio, backend):
    begin()
    wait_until(lambda: studio.settings)
    assert studio.settings == {"sampling": "Uncertainty sampling", "model_version": "usl"}
    assert len(studio.predictions) == 60
    (made,) = studio.backends.values()
    assert (made["url"], made["title"], made["basic_auth_pass"]) == (ADDRESS, "usl", PASSWORD)
    (hook,) = studio.webhooks.values()  # Label Studio's own, with our header
    assert hook["headers"] == {"Authorization": authorization(PASSWORD)}
    assert "ANNOTATIONS_DELETED" in hook["actions"]
    assert backend.lines[-1] == "60 tasks, 60 of them images of the run."


def test_a_new_order_is_sent_with_changed_predictions_alone(begin, studio, backend):
    begin()
    wait_until(lambda: studio.settings)
    first = [f"{kind}{row:03d}" for row in range(4) for kind in "abc"][:10]
    backend.standing.take(order(*first))
    wait_until(lambda: all(label == "ant" for label, _ in studio.labels().values()))
    wait_until(lambda: studio.in_order()[:10] == first)
    studio.requests.clear()
    second = [*first[1:10], "c019"]
    backend.standing.take(order(*second))
    wait_until(lambda: studio.in_order()[:10] == second)
    changed = [body for method, path, body in studio.requests if method == "PATCH"]
    assert len(changed) == 2  # what is new, and what does not come next any more


def test_where_a_team_works_only_what_comes_next_has_the_version(begin, studio, backend):
    studio.people.append({"id": 2})
    begin()
    wait_until(lambda: len(studio.predictions) == 60)

    def drawn_from():  # by Label Studio 1.23, at random
        found = [one for one in studio.predictions.values() if one["model_version"] == "usl"]
        return {studio.tasks[one["task"]]["data"]["image_id"] for one in found}

    first = [f"{kind}{row:03d}" for row in range(4) for kind in "abc"]
    backend.standing.take(order(*first))
    wait_until(lambda: drawn_from() == {*first[:10]})
    wait_until(lambda: studio.settings.get("model_version") == "usl")
    backend.standing.take(order(*first[1:10], "c019"))
    wait_until(lambda: drawn_from() == {*first[1:10], "c019"})
    assert studio.in_order()[:10] == [*first[1:10], "c019"]


def test_what_was_missed_is_caught_up_with(begin, studio, backend):
    ids = {one["data"]["image_id"]: number for number, one in studio.tasks.items()}
    for number, name in enumerate(["a000", "b000", "c000"], 1):
        studio.annotations[number] = annotation(number, ids[name], "bee")
    one = begin()
    wait_until(lambda: label_of(backend, "c000"))
    one.close()
    del studio.annotations[1]  # by somebody
    del studio.annotations[2], studio.tasks[ids["b000"]]  # with its task
    studio.annotations[3] |= annotation(3, ids["c000"], "cow", time="2026-01-02T05:00:00Z")
    begin()
    wait_until(lambda: label_of(backend, "a000") is None)
    assert [label_of(backend, name) for name in ("b000", "c000")] == ["bee", "cow"]


def test_a_label_studio_that_goes_away_is_said_once_and_found_again(begin, studio, backend):
    begin()
    wait_until(lambda: studio.settings)
    studio.broken = True
    backend.standing.take(order("a000", "b000"))
    wait_until(lambda: any("status 503" in line for line in backend.lines))
    tries = len(studio.requests)
    wait_until(lambda: len(studio.requests) > tries + 2)
    assert sum("status 503" in line for line in backend.lines) == 1
    studio.broken = False
    wait_until(lambda: studio.in_order()[:2] == ["a000", "b000"])
    wait_until(lambda: backend.lines[-1] == f"{studio.url} is back.")


def test_without_events_annotations_are_fetched(begin, studio, backend, monkeypatch):
    monkeypatch.setattr(module, "OFTEN", 0.05)
    monkeypatch.setattr(module, "SHARE", 0.0)
    studio.refuses_backends = "Can't connect"
    begin()
    wait_until(lambda: studio.settings)
    assert "ML_BLOCK_LOCAL_IP=false" in backend.lines[0]
    number = next(iter(studio.tasks))
    studio.annotations[1] = annotation(1, number, "cow")
    wait_until(lambda: label_of(backend, studio.tasks[number]["data"]["image_id"]) == "cow")


def test_an_interface_that_fits_again_brings_predictions_back(begin, studio, backend):
    backend.more_tasks = begin().more_tasks
    wait_until(lambda: studio.settings)
    other = {"id": 3, "created_at": CREATED, "label_config": CONFIG.replace("Choices", "Taxonomy")}
    backend.event("PROJECT_UPDATED", {"project": other})
    assert "no Choices" in backend.lines[-1]
    studio.predictions.clear()
    backend.event("PROJECT_UPDATED", {"project": other | {"label_config": CONFIG}})
    wait_until(lambda: len(studio.predictions) == 60)


def test_predictions_that_somebody_removes_come_back(begin, studio, backend):
    begin()
    wait_until(lambda: studio.settings)
    studio.predictions.clear()
    backend.standing.take(order("a000"))
    wait_until(lambda: len(studio.predictions) == 60 and studio.in_order()[0] == "a000")
