"""A project of Label Studio, by its API: its tasks, annotations and predictions, its backend."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from usl.active.label_studio.annotations import Data, project_uid
from usl.active.label_studio.api import Api, NotThereError
from usl.core.errors import DataError, UsageError

MODEL = "usl"  # the backend's title and the version of all its predictions
USER = "usl"  # of the backend's basic authentication
PAGE = 5_000  # tasks in one request
EVENTS = [
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "PROJECT_UPDATED",
    "TASKS_CREATED",
]
UNCERTAINTY = "Uncertainty sampling"  # serves the task whose prediction has the lowest score


@dataclass(frozen=True)
class Project:
    """One project.

    Attributes
    ----------
    api : the Label Studio that has it.
    number, uid, title : what it is called; see :func:`usl.active.label_studio.annotations`.
    config : its labelling interface, XML.
    """

    api: Api
    number: int
    uid: str
    title: str
    config: str

    def __str__(self) -> str:
        """As a person knows it."""
        return f"project {self.number} ({self.title!r}) of {self.api.url}"

    def tasks(self) -> list[Data]:
        """All tasks: their ``id`` and their ``data``."""
        found: list[Data] = []
        while True:
            page = len(found) // PAGE + 1
            told = self.api.get(
                f"/api/tasks?project={self.number}&page={page}&page_size={PAGE}&include=id,data"
            )
            found += told["tasks"]
            if len(found) >= told["total"] or len(told["tasks"]) < PAGE:
                return found

    def annotated(self) -> list[Data]:
        """The tasks that have annotations, with these, skipped ones too."""
        found: list[Data] = self.api.get(f"/api/projects/{self.number}/export?exportType=JSON")
        return found

    def is_deleted(self, annotation: int, tasks: Sequence[int]) -> bool:
        """Whether an annotation is gone by itself, and not with its task, one of these."""
        gone = not self._is_there(f"/api/annotations/{annotation}/")
        return gone and any(self._is_there(f"/api/tasks/{task}/") for task in tasks)

    def _is_there(self, path: str) -> bool:
        try:
            self.api.get(path)
        except NotThereError:
            return False
        return True

    def predictions(self) -> list[Data]:
        """All predictions, those of other models, too."""
        found: list[Data] = self.api.get(f"/api/predictions/?project={self.number}")
        return found

    def add_predictions(self, predictions: Sequence[Data]) -> None:
        """Add predictions of tasks that have none of this backend."""
        self.api.ask("POST", f"/api/projects/{self.number}/import/predictions", list(predictions))

    def change_prediction(self, number: int, to: Data) -> None:
        """Change one; :class:`NotThereError` where it is gone."""
        self.api.ask("PATCH", f"/api/predictions/{number}/", to)

    def remove_prediction(self, number: int) -> None:
        """Remove one."""
        self.api.ask("DELETE", f"/api/predictions/{number}/")

    def remove_all_predictions(self, tasks: Sequence[int]) -> None:
        """Remove the predictions of some tasks, whoever made them."""
        chosen = {"selectedItems": {"all": False, "included": list(tasks)}}
        path = f"/api/dm/actions?id=delete_tasks_predictions&project={self.number}"
        self.api.ask("POST", path, chosen)

    def connect(self, address: str, password: str) -> None:
        """Make this server the project's backend, and have its events sent here.

        Raises :class:`DataError` where Label Studio cannot reach the address, or may not.
        """
        about = {
            "project": self.number,
            "url": address,
            "title": MODEL,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": USER,
            "basic_auth_pass": password,
        }
        known = self.api.get(f"/api/ml/?project={self.number}")
        mine = next((one for one in known if one["title"] == MODEL), None)
        if mine is None:
            self.api.ask("POST", "/api/ml/", about)
        else:
            self.api.ask("PATCH", f"/api/ml/{mine['id']}", about)
        self._send_events(f"{address}/webhook", authorization(password))

    def _send_events(self, address: str, header: str) -> None:
        """One webhook to this server; Label Studio makes one by itself, without the header."""
        hook = {
            "project": self.number,
            "url": address,
            "headers": {"Authorization": header},
            "send_payload": True,
            "send_for_all_actions": False,
            "actions": EVENTS,
            "is_active": True,
        }
        known = self.api.get(f"/api/webhooks/?project={self.number}")
        ours = [one for one in known if one["url"] == address or _is_ours(one)]
        for one in ours[1:]:
            self.api.ask("DELETE", f"/api/webhooks/{one['id']}/")
        if ours:
            self.api.ask("PATCH", f"/api/webhooks/{ours[0]['id']}/", hook)
        else:
            self.api.ask("POST", "/api/webhooks/", hook)

    def serve_by_score(self) -> None:
        """Have the next task be the one with the lowest score of this backend."""
        wanted = {"sampling": UNCERTAINTY, "model_version": MODEL}
        self.api.ask("PATCH", f"/api/projects/{self.number}/", wanted)


def authorization(password: str) -> str:
    """The header of HTTP's basic authentication."""
    return "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()


def _is_ours(webhook: Data) -> bool:
    """Whether a webhook leads to a server of this kind, of another port or password perhaps."""
    kind, _, rest = str(webhook["headers"].get("Authorization", "")).partition(" ")
    try:
        return kind == "Basic" and base64.b64decode(rest).startswith(f"{USER}:".encode())
    except ValueError:
        return False


def open_project(api: Api, number: int | None) -> Project:
    """The project of this number; None: the only one there is.

    Raises
    ------
    UsageError : there are several.
    DataError : there is none, or not this one.
    """
    if number is None:
        known = _projects(api)
        if not known:
            raise DataError(f"{api.url} has no project yet. Make one, and import the run's tasks.")
        if len(known) > 1:
            raise UsageError(f"project: which of {_listed(known)}? Give --project NUMBER.")
        number = known[0]["id"]
    try:
        found = api.get(f"/api/projects/{number}/")
    except NotThereError as error:
        raise DataError(
            f"project: {api.url} has no project {number}, but {_listed(_projects(api))}."
        ) from error
    uid = project_uid(found["id"], found["created_at"])
    return Project(api, int(found["id"]), uid, str(found["title"]), str(found["label_config"]))


def _projects(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/api/projects/?page_size=100&include=id,title")[
        "results"
    ]
    return found


def _listed(projects: Sequence[Data]) -> str:
    return ", ".join(f"{one['id']} ({one['title']!r})" for one in projects) or "none"


def is_plain(url: str) -> bool:
    """Whether what is sent to an address can be read on the way."""
    return urlsplit(url).scheme == "http"
