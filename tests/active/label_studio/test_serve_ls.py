"""``usl serve-ls`` as a whole, in a process of its own, against a Label Studio that stands in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque

import httpx
import pytest
from fake_studio import CONFIG, CREATED, TOKEN, annotation

import round_run
from label_studio_server import wait_until
from usl.cli import main
from usl.run.folder import Run


class Served:
    """A server; ``lines`` is what it says."""

    def __init__(self, run, *options):
        token = {"USL_SERVE_LS_TOKEN": TOKEN} if "--url" in options else {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "usl", "serve-ls", str(run), *options],
            env={**os.environ, **token},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = deque()
        self.reading = threading.Thread(target=self.read, daemon=True)
        self.reading.start()

    def read(self):
        self.lines.extend(line.rstrip() for line in self.process.stderr)

    def said(self, words):
        """Wait for a line with these words."""

        def found():
            assert self.process.poll() is None, list(self.lines)
            return next((line for line in list(self.lines) if words in line), None)

        return wait_until(found)

    def stop(self):
        """As Ctrl-C does; all that was said."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0
        self.reading.join()
        return list(self.lines)


def test_a_run_is_served_learnt_from_and_served_only_once(tmp_path, studio, capsys):
    run = round_run.make_run(tmp_path)
    served = Served(run.path, "--url", studio.url, "--learner", "logistic", "--method", "margin")
    try:
        address = re.search(r"http\S+", served.said("Serving"))[0]
        wait_until(lambda: studio.settings)
        assert main(["serve-ls", str(run.path), "--port", "0"]) == 1
        assert "another usl serve-ls serves this run" in capsys.readouterr().err
        picks = round_run.requested(run)
        assert studio.in_order()[: len(picks)] == picks  # until there is a model
        (hook,) = studio.webhooks.values()
        assert hook["url"] == f"{address}/webhook"
        assert httpx.get(f"{address}/health").status_code == 401
        task_of = {one["data"]["image_id"]: number for number, one in studio.tasks.items()}
        project = {"id": 3, "created_at": CREATED, "label_config": CONFIG}
        for number, name in enumerate(picks[:3], 1):
            said = annotation(number, task_of[name], round_run.truth(name))
            studio.annotations[number] = said
            event = {"action": "ANNOTATION_CREATED", "project": project, "annotation": said}
            event["task"] = studio.tasks[task_of[name]]
            answer = httpx.post(hook["url"], json=event, headers=hook["headers"])
            assert answer.json()["added"] == 1
        wait_until(lambda: any(label for label, _ in studio.labels().values()))
        assert not {*picks[:3]} & {*studio.in_order()}
    finally:
        lines = served.stop()
    assert lines[-2:] == ["3 images answered in Label Studio.", f"Next: usl train {run.path}"]
    split = Run.open(run.path).split()
    given = {name: label for name, label in zip(split.ids, split.labels, strict=True) if label}
    assert given == {name: round_run.truth(name) for name in picks[:3]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--url", "http://127.0.0.1:1"], "url, token: both or none"),
        (["--project", "3"], "project: goes with --url"),
        (["--url", "http://127.0.0.1:1", "--token", "a"], "Start Label Studio first"),
        (["--learner", "fixmatch"], "fixmatch"),
    ],
)
def test_what_does_not_go_together_is_refused(run, capsys, options, words):
    assert main(["serve-ls", str(run.path), *options]) in (1, 2)
    assert words in capsys.readouterr().err


def test_an_unknown_project_and_another_interface_are_refused(run, studio, capsys):
    asked = ["serve-ls", str(run.path), "--url", studio.url, "--token", TOKEN]
    assert main([*asked, "--project", "8"]) == 1
    assert "has no project 8, but 3 ('Pets')" in capsys.readouterr().err
    studio.config = CONFIG.replace("Choices", "Taxonomy")
    assert main(asked) == 1
    assert "has no Choices for an Image" in capsys.readouterr().err
    assert studio.settings == {}
