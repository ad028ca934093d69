"""A real Label Studio, from PyPI, in an environment of its own: ``make label-studio`` makes it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from json import dumps
from pathlib import Path

import httpx

HOME = Path(os.environ.get("USL_LABEL_STUDIO", Path(__file__).parent.parent / ".venv-label-studio"))
PROGRAM = HOME / "bin" / "label-studio"
ABSENT = f"there is no Label Studio in {HOME}; make label-studio installs it"
LIMIT = 600.0  # seconds for it to start: it makes its database first


def wait_until(true, limit=LIMIT, pause=0.1):
    """Ask until the answer is true; returns it."""
    end = time.monotonic() + limit
    while not (found := true()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(pause)
    return found


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class LabelStudio:
    """One server with its data in a folder, and a client that may do everything."""

    def __init__(self, folder, *, pictures=None):
        self.folder, self.pictures = folder, pictures
        self.port, self.token = free_port(), secrets.token_hex(20)
        self.url = f"http://127.0.0.1:{self.port}"
        headers = {"authorization": f"Token {self.token}"}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=120)
        self.start()

    def start(self):
        """Start it on the data that there are; waits until it answers."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        own |= {
            "LABEL_STUDIO_USERNAME": "person@example.org",
            "LABEL_STUDIO_PASSWORD": secrets.token_hex(8),
            "LABEL_STUDIO_USER_TOKEN": self.token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "ML_BLOCK_LOCAL_IP": "false",
            "SSRF_PROTECTION_ENABLED": "false",
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
        }
        if self.pictures is not None:
            own["LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"] = "true"
            own["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] = str(self.pictures)
        command = [PROGRAM, "start", "--no-browser", "--data-dir", self.folder]
        with open(self.folder / "log.txt", "a") as log:
            self.process = subprocess.Popen(
                [*map(str, command), "-p", str(self.port), "--internal-host", "127.0.0.1"],
                env=own,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(self.answers)
        except AssertionError:
            self.stop()
            raise

    def answers(self):
        """Whether it is up."""
        assert self.process.poll() is None, (self.folder / "log.txt").read_text()[-2000:]
        try:
            return self.client.get("/api/projects/").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self):
        """Stop it; the data stay."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, method, path, json=None):
        """What it answers, which has to be a success."""
        answer = self.client.request(method, path, json=json)
        assert answer.is_success, answer.text[:500]
        return answer.json() if answer.content else None

    @property
    def version(self):
        """Its version."""
        return self.ask("GET", "/api/version")["release"]

    def project(self, title, config, tasks):
        """The number of a new project with these tasks."""
        number = self.ask("POST", "/api/projects/", {"title": title, "label_config": config})["id"]
        self.ask("POST", f"/api/projects/{number}/import", tasks)
        return number

    def next_task(self, project):
        """The task that a person who presses Label All Tasks gets."""
        return self.ask("GET", f"/api/projects/{project}/next")

    def annotate(self, task, label):
        """Give a task a label, as a person does; the annotation."""
        return self.ask("POST", f"/api/tasks/{task}/annotations/", choice(label))

    def in_order(self, project, count=10):
        """The data manager's first tasks that wait for a label, by the score of predictions."""
        waits = {"filter": "filter:tasks:total_annotations", "operator": "equal", "value": 0}
        items = [waits | {"type": "Number"}]
        query = {"ordering": ["tasks:predictions_score"]}
        query["filters"] = {"conjunction": "and", "items": items}
        parameters = {"project": project, "page": 1, "page_size": count}
        text = httpx.QueryParams(parameters | {"query": dumps(query)})
        return self.ask("GET", f"/api/tasks?{text}")["tasks"]


def choice(label):
    """An annotation's body."""
    about = {"from_name": "label", "to_name": "image", "type": "choices"}
    return {"result": [{**about, "value": {"choices": [label]}}], "lead_time": 1.5}
