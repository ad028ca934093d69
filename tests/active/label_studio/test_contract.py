"""The backend as Label Studio talks to it: its contract, its events, and what is refused."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fake_studio import CONFIG, CREATED, UID, annotation, task

from usl.active.label_studio.app import make_app
from usl.active.label_studio.guard import MAX_BODY
from usl.labeling.answers.classes import rename_class
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.outcomes import outcomes
from usl.labeling.page.queue import Order

PASSWORD = "f00d" * 16
PROJECT = {"id": 3, "created_at": CREATED, "label_config": CONFIG}


@pytest.fixture
def ask(backend):
    """Ask the backend for something."""
    app = make_app(backend, PASSWORD, done=lambda: None)

    async def send(method, path, json, auth, headers):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://any.name") as client:
            return await client.request(method, path, json=json, auth=auth, headers=headers)

    def ask(path, json=None, *, method=None, auth=("usl", PASSWORD), headers=None):
        method = method or ("GET" if json is None else "POST")
        return asyncio.run(send(method, path, json, auth, headers))

    return ask


@pytest.fixture
def event(ask):
    """Send an event of an annotation; its answer."""

    def event(action, of, given, project=PROJECT):
        body = {"action": action, "project": project, "task": of, "annotation": given}
        return ask("/webhook", body)

    return event


def label_of(backend, name):
    found = outcomes(backend.store.history())
    return found[name].label if name in found else None


def test_setup_and_predict_as_the_contract_has_them(ask, backend):
    assert ask("/health").json()["status"] == ask("/").json()["status"] == "UP"
    setup = {"project": UID, "schema": CONFIG, "hostname": "", "access_token": ""}
    assert ask("/setup", setup).json() == {"model_version": "usl"}
    assert ask("/versions").json() == {"versions": ["usl"]}
    backend.standing.take(Order(("b000", "a000"), {"a000": ("ant", 0.9), "b000": ("bee", 0.4)}))
    tasks = [task(1, "a000"), task(2, "b000"), task(3, "c000"), task(4, "stranger")]
    given = {"tasks": tasks, "project": UID, "label_config": CONFIG, "params": {"context": None}}
    results = ask("/predict", given).json()["results"]
    assert [one["model_version"] for one in results] == ["usl"] * 4
    region = {"from_name": "label", "to_name": "image", "type": "choices"}
    assert results[0]["result"] == [{**region, "value": {"choices": ["ant"]}, "score": 0.9}]
    assert [one["result"] for one in results[2:]] == [[], []]
    first, second, later, never = (results[place]["score"] for place in (1, 0, 2, 3))
    assert 0 < first < second < later < never == 1
    assert [line for line in backend.lines if "stranger" in line] == backend.lines != []


def test_annotations_become_answers_and_follow_what_becomes_of_them(event, ask, backend):
    of = task(1, "a000")
    said = event("ANNOTATION_CREATED", of, annotation(7, 1, "ant"))
    assert (said.status_code, said.json()["added"]) == (201, 1)
    assert event("ANNOTATION_CREATED", of, annotation(7, 1, "ant")).json()["added"] == 0
    one = backend.store.history()[-1]
    assert (one.label, one.annotator, one.seconds) == ("ant", "label_studio:1", 2.5)
    assert one.round == "live-1"
    event("ANNOTATION_UPDATED", of, annotation(7, 1, "bee", time="2026-01-02T05:00:00Z"))
    assert label_of(backend, "a000") == "bee"
    event("ANNOTATION_UPDATED", of, annotation(7, 1, "ant", time="2026-01-02T04:30:00Z"))
    assert label_of(backend, "a000") == "bee"  # an older word that comes late
    event("ANNOTATION_UPDATED", of, annotation(7, 1, "ant", time="2026-01-02T06:00:00Z"))
    assert label_of(backend, "a000") == "ant"
    gone = {"action": "ANNOTATIONS_DELETED", "project": PROJECT, "annotations": [{"id": 7}]}
    assert ask("/webhook", gone).json()["withdrawn"] == 3
    assert label_of(backend, "a000") is None


def test_many_at_once_a_skip_and_an_empty_one(event, backend):
    tasks = [task(1, "a000"), task(2, "b000"), task(3, "c000")]
    given = [annotation(7, 1, "ant"), annotation(8, 2, None), annotation(9, 3, "cow")]
    assert event("ANNOTATIONS_CREATED", tasks, given).json()["added"] == 3
    assert [one.kind for one in backend.store.history()] == ["label", "skip", "label"]
    later = annotation(9, 3, None, was_cancelled=False, time="2026-01-02T05:00:00Z")
    assert event("ANNOTATION_UPDATED", tasks[2], later).json()["withdrawn"] == 1
    assert label_of(backend, "c000") is None
    assert backend.lines == ["Task 3, annotation 9: no answer, no label."]


def test_predictions_taken_over_in_bulk_are_swept(event, backend):
    of = task(1, "a000")
    unseen = annotation(7, 1, "ant", lead_time=None, parent_prediction=5)
    event("ANNOTATIONS_CREATED", [of], [unseen])
    assert outcomes(backend.store.history())["a000"].swept
    seen = annotation(7, 1, "ant", parent_prediction=5, time="2026-01-02T05:00:00Z")
    event("ANNOTATION_UPDATED", of, seen)
    assert not outcomes(backend.store.history())["a000"].swept


def test_labels_that_came_with_the_tasks_are_not_said_again(event, backend):
    backend.store.add([Answer("a000", "label", "ant")])
    assert (
        event("ANNOTATION_CREATED", task(1, "a000"), annotation(7, 1, "ant")).json()["added"] == 0
    )
    assert (
        event("ANNOTATION_CREATED", task(1, "a000"), annotation(8, 1, "bee")).json()["added"] == 1
    )


def test_what_differs_between_two_people_is_a_conflict(event, backend):
    event("ANNOTATION_CREATED", task(1, "a000"), annotation(7, 1, "ant"))
    event("ANNOTATION_CREATED", task(1, "a000"), annotation(8, 1, "bee", who=2))
    assert outcomes(backend.store.history())["a000"].kind == "conflict"


def test_an_image_of_nobody_is_said_and_nothing_is_kept(event, backend):
    said = event("ANNOTATION_CREATED", task(1, "stranger"), annotation(7, 1, "ant"))
    assert said.status_code == 201
    assert "'stranger' is no image of the run" in said.json()["notes"][0]
    assert backend.store.history() == []


def test_another_project_is_unknown(ask, event, backend):
    ask("/setup", {"project": UID, "schema": CONFIG})
    refused = ask("/setup", {"project": "4.1767323045", "schema": CONFIG})
    assert refused.status_code == 404
    assert refused.json()["error"].startswith("Project 4 asks, but this run serves project 3.")
    made_anew = PROJECT | {"created_at": "2026-06-01T00:00:00Z"}
    given = event("ANNOTATION_CREATED", task(1, "a000"), annotation(7, 1, "ant"), made_anew)
    assert given.status_code == 404
    assert backend.store.history() == []


def test_a_changed_interface_is_followed_and_said(ask, event, backend):
    ask("/setup", {"project": UID, "schema": CONFIG})
    other = CONFIG.replace('<Choice value="cow"/>', '<Choice value="dog"/>')
    event("PROJECT_UPDATED", None, None, PROJECT | {"label_config": other})
    assert [line.split(".")[0] for line in backend.lines] == [
        "The project offers more choices: 'dog'",
        "The project no longer offers 'cow'",
    ]
    backend.standing.take(Order(("c000",), {"c000": ("cow", 0.9), "a000": ("ant", 0.9)}))
    given = {"tasks": [task(1, "c000"), task(2, "a000")], "project": UID, "label_config": other}
    assert [len(one["result"]) for one in ask("/predict", given).json()["results"]] == [0, 1]
    several = CONFIG.replace("<Choices ", '<Choices choice="multiple" ')
    refused = ask("/predict", given | {"label_config": several})
    assert (refused.status_code, "several answers" in refused.json()["error"]) == (400, True)
    kept = event("ANNOTATION_CREATED", task(1, "c000"), annotation(7, 1, "cow"))
    assert kept.json()["added"] == 1
    assert ask("/predict", given | {"label_config": CONFIG}).status_code == 200


def test_a_class_renamed_on_the_page_keeps_its_choice(ask, event, backend):
    ask("/setup", {"project": UID, "schema": CONFIG})
    rename_class(backend.store, "ant", "emmet")
    event("ANNOTATION_CREATED", task(1, "a000"), annotation(7, 1, "ant"))
    assert label_of(backend, "a000") == "emmet"
    backend.standing.take(Order(("a001",), {"a001": ("emmet", 0.9)}))
    given = {"tasks": [task(1, "a001")], "project": UID, "label_config": CONFIG}
    shown = ask("/predict", given).json()["results"][0]["result"][0]["value"]
    assert shown == {"choices": ["ant"]}


@pytest.mark.parametrize("auth", [None, ("usl", "wrong"), ("usl", ""), (PASSWORD, "")])
@pytest.mark.parametrize("path", ["/", "/health", "/versions", "/setup", "/predict", "/webhook"])
def test_nothing_without_the_password(ask, path, auth):
    body = None if path in ("/", "/health", "/versions") else {}
    assert ask(path, body, auth=auth).status_code == 401


@pytest.mark.parametrize("header", ["origin", "sec-fetch-site", "sec-fetch-mode"])
def test_no_browser_may_ask(ask, header):
    assert ask("/health", headers={header: "null"}).status_code == 403


def test_what_is_no_request_of_label_studio_is_refused(ask):
    assert ask("/health", method="DELETE").status_code == 405
    assert ask("/elsewhere").status_code == 404
    large = {"content-length": str(MAX_BODY + 1)}
    assert ask("/webhook", {}, headers=large).status_code == 413
    for path, body in [
        ("/predict", {"tasks": "all"}),
        ("/predict", {"tasks": [], "project": UID}),
        ("/setup", {"project": 3}),
        ("/setup", [1]),
        ("/webhook", {"action": "ANNOTATION_CREATED"}),
        ("/webhook", {"action": "ANNOTATION_CREATED", "project": {"id": "x"}}),
        ("/webhook", {"action": "ANNOTATION_CREATED", "project": PROJECT, "annotation": {}}),
        ("/webhook", {"action": "ANNOTATIONS_DELETED", "project": PROJECT, "annotations": [{}]}),
    ]:
        refused = ask(path, body)
        assert (path, refused.status_code, list(refused.json())) == (path, 400, ["error"])
    assert ask("/webhook", {"action": "LABEL_LINK_CREATED", "project": PROJECT}).is_success
