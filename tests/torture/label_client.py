"""A person at the labelling page: answers, an undo, a class; and all of it again after a fault."""

from __future__ import annotations

import json
import re
import select
import shutil
import signal
import sqlite3
import time
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from os import close as close_file
from os import kill, pidfd_open
from urllib.parse import urlencode

from faults import LIMIT


def work(order):
    """The operations in the order of the page's pictures."""

    def answer(key, places, label, kind="label"):
        images = [order[place] for place in places]
        named = {"rows": images, "images": images}
        return {"key": key, "type": "answer", **named, "kind": kind, "label": label, "seconds": 1}

    return [
        answer("answer0001", [0], "cat"),
        answer("answer0002", [1], "bird"),
        {"key": "undoing001", "type": "undo", "of": "answer0002"},
        {"key": "newclass01", "type": "class", "name": "dog"},
        answer("answer0003", [1], "dog"),
        answer("answer0004", [2, 3], "bird"),
        answer("answer0005", [4], None, "unsure"),
        answer("answer0006", [0], "dog"),
    ]


OPERATIONS = len(work(range(9)))


class Page:
    """A server that is to be asked, and what it has acknowledged."""

    def __init__(self, bench, tokens, learn):
        self.bench = bench
        self.child = bench.start(tokens, learn=learn)
        self._watched = pidfd_open(self.child)
        self.cookie, self.stamp = "", {}

    def ended(self, limit=0.0):
        """Whether the server has ended, waiting for that."""
        return bool(select.select([self._watched], [], [], limit)[0])

    def open(self):
        """Sign in; False if the server has ended before."""
        deadline = time.monotonic() + LIMIT
        told = self.bench.folder / "stderr"
        while not (found := re.search(r"http://([\d.]+):(\d+)/(\?token=\S+)", told.read_text())):
            if self.ended(0.01):
                return False
            if time.monotonic() > deadline:
                raise AssertionError(f"no page: {told.read_text()}")
        self.host = f"{found[1]}:{found[2]}"
        _, headers, _ = self._request("GET", f"/{found[3]}")
        self.cookie = headers.get("set-cookie", "").partition(";")[0]
        _, _, page = self._request("GET", "/?as=ann")
        given = dict(re.findall(r'data-(run|listing)="([^"]*)"', page))
        self.stamp = given
        return True

    def order(self):
        """The pictures of the round, as the page names them."""
        query = urlencode({"as": "ann", **self.stamp})
        return json.loads(self._request("GET", f"/api/state?{query}")[2])["order"]

    def send(self, operation):
        """Whether an operation was acknowledged."""
        body = {"as": "ann", "mode": "label", "since": 0, "operations": [operation], **self.stamp}
        try:
            status, _, content = self._request("POST", "/api/operations", json.dumps(body))
        except (OSError, HTTPException):
            return False
        if status == 200 and (refused := json.loads(content)["refused"]):
            raise AssertionError(f"refused for good: {refused}")
        return status == 200 and operation["key"] in json.loads(content)["done"]

    def end(self):
        """Ctrl-C, as a person stops it; how it ended."""
        with suppress(ProcessLookupError):
            kill(self.child, signal.SIGINT)
        ended = self.bench.wait(self.child)
        self.bench.stop(self.child)
        close_file(self._watched)
        return ended

    def _request(self, method, path, body=None):
        with closing(HTTPConnection(self.host, timeout=LIMIT)) as connection:
            headers = {"cookie": self.cookie, "connection": "close"}
            if body is not None:
                headers |= {"content-type": "application/json", "origin": f"http://{self.host}"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read().decode()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, names, content


def session(bench, tokens, done=(), *, learn=False):
    """One life of the server: what is acknowledged by then, and how it ended."""
    page, said = Page(bench, tokens, learn), list(done)
    try:
        if page.open():
            for operation in work(page.order()):
                if operation["key"] in said[:-1]:  # the last one again: it is done once
                    continue
                if not page.send(operation) and not page.send(operation):
                    break
                said.append(operation["key"])
    except (OSError, HTTPException, KeyError, ValueError):
        pass  # it died, or refuses to work; what it says then is looked at
    return list(dict.fromkeys(said)), page.end()


def kept(run, folder):
    """Keys of the operations whose answers are in the store, read from a copy."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in run.glob("labels.sqlite*"):
        shutil.copy(path, folder)
    if not (folder / "labels.sqlite").exists():
        return set()
    with closing(sqlite3.connect(folder / "labels.sqlite")) as connection:
        try:
            keys = [key for (key,) in connection.execute("SELECT key FROM entries WHERE key != ''")]
            classes = [name for (name,) in connection.execute("SELECT name FROM classes")]
        except sqlite3.OperationalError:  # killed before there were tables
            return set()
    return {key.partition(".")[0] for key in keys} | ({"newclass01"} if "dog" in classes else set())
