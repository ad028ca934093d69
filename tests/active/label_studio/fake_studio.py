"""As much of Label Studio's API as a backend asks for, in memory; written from its own sources."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, urlsplit

CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="ant"/><Choice value="bee"/><Choice value="cow"/></Choices></View>'
)
CREATED = "2026-01-02T03:04:05.678901Z"
UID = "3.1767323045"  # of project 3, made then
TOKEN = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "head.refresh.tail"  # of the form of a JSON Web Token


def task(number, name):
    """A task as usl export writes it."""
    return {"id": number, "data": {"image": f"/data/local-files/?d={name}.jpg", "image_id": name}}


def annotation(number, of, label, *, time="2026-01-02T04:00:00Z", who=1, **more):
    """An annotation as Label Studio tells it; without a label it was skipped."""
    region = {"from_name": "label", "to_name": "image", "type": "choices"}
    result = [] if label is None else [{**region, "value": {"choices": [label]}}]
    about = {"id": number, "task": of, "completed_by": who, "lead_time": 2.5, "updated_at": time}
    return {**about, "was_cancelled": label is None, "result": result, **more}


class FakeStudio:
    """A server with one project, 3; ``requests`` keeps what was asked, as (method, path, body)."""

    def __init__(self, names=()):
        self.config, self.settings = CONFIG, {}
        self.tasks = {number: task(number, name) for number, name in enumerate(names, 100)}
        self.annotations, self.predictions = {}, {}
        self.backends, self.webhooks, self.requests = {}, {}, []
        self.refuses_backends, self.broken, self.redirect = "", False, ""
        self.numbers = count(1)
        self.server = None
        self.start(0)

    def start(self, port):
        """Serve."""
        studio = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                """Say nothing."""

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                status, said, headers = studio.answer(
                    self.command, self.path, self.headers, json.loads(body) if body else None
                )
                content = b"" if said is None else json.dumps(said).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """Go away."""
        self.server.shutdown()
        self.server.server_close()

    def add_predictions(self, given):
        for one in given:
            number = next(self.numbers)
            self.predictions[number] = {"id": number, **one}

    def labels(self):
        """The suggested label and the score by image."""
        found = {}
        for one in self.predictions.values():
            name = self.tasks[one["task"]]["data"]["image_id"]
            result = one["result"]
            found[name] = (result[0]["value"]["choices"][0] if result else None, one["score"])
        return found

    def in_order(self):
        """Names of the tasks without annotations, the lowest score first."""
        done = {one["task"] for one in self.annotations.values()}
        open_ones = [one for one in self.predictions.values() if one["task"] not in done]
        ranked = sorted(open_ones, key=lambda one: one["score"])
        return [self.tasks[one["task"]]["data"]["image_id"] for one in ranked]

    def answer(self, method, path, headers, body):
        """Status, content and headers of an answer."""
        self.requests.append((method, path, body))
        if self.redirect:
            return 302, None, {"Location": self.redirect}
        if self.broken:
            return 503, None, {}
        if path == "/api/token/refresh/":
            good = body == {"refresh": PERSONAL}
            return (200, {"access": "fresh"}, {}) if good else (401, {"detail": "Unknown."}, {})
        if headers.get("authorization") not in (f"Token {TOKEN}", "Bearer fresh"):
            return 401, {"detail": "Invalid token."}, {}
        parts = urlsplit(path)
        for pattern, reply in self.routes().items():
            if found := re.fullmatch(pattern, f"{method} {parts.path}"):
                return (*reply(*map(int, found.groups()), parse_qs(parts.query), body), {})
        return 404, {"detail": "Not found."}, {}

    def routes(self):
        missing = (404, {"detail": "No such thing matches the given query."})
        about = {"id": 3, "title": "Pets", "created_at": CREATED, "label_config": self.config}

        def change(table):
            def reply(number, _, body):
                if number not in table:
                    return missing
                table[number] |= body
                return 200, table[number]

            return reply

        def add(table):
            def reply(_, body):
                number = next(self.numbers)
                table[number] = {"id": number, **body}
                return 201, table[number]

            return reply

        def connect(_, body):
            if self.refuses_backends:
                return 400, {"validation_errors": {"non_field_errors": [self.refuses_backends]}}
            hook = {"url": f"{body['url']}/webhook", "headers": {}, "project": 3}
            add(self.webhooks)(None, hook)
            return add(self.backends)(None, body)

        def export(*_):
            of = {}
            for one in self.annotations.values():
                of.setdefault(one["task"], []).append(one)
            return 200, [{**self.tasks[number], "annotations": a} for number, a in of.items()]

        def remove_all(_, body):
            gone = set(body["selectedItems"]["included"])
            kept = {n: one for n, one in self.predictions.items() if one["task"] not in gone}
            self.predictions = kept
            return 200, {}

        def there(table):
            return lambda number, *_: (200, table[number]) if number in table else missing

        def listed(*found):
            return lambda *_: (200, list(found))

        return {
            "GET /api/projects/": lambda *_: (200, {"results": [about]}),
            "GET /api/projects/3/": lambda *_: (200, about),
            "PATCH /api/projects/3/": lambda _, body: (200, self.settings.update(body)),
            "GET /api/projects/3/export": export,
            "POST /api/projects/3/import/predictions": lambda _, body: (
                201,
                self.add_predictions(body),
            ),
            "GET /api/tasks": lambda *_: (
                200,
                {"tasks": list(self.tasks.values()), "total": len(self.tasks)},
            ),
            r"GET /api/tasks/(\d+)/": there(self.tasks),
            r"GET /api/annotations/(\d+)/": there(self.annotations),
            "GET /api/predictions/": listed(*self.predictions.values()),
            r"PATCH /api/predictions/(\d+)/": change(self.predictions),
            r"DELETE /api/predictions/(\d+)/": lambda number, *_: (
                204,
                self.predictions.pop(number, None) and None,
            ),
            "POST /api/dm/actions": remove_all,
            "GET /api/ml/": listed(*self.backends.values()),
            "POST /api/ml/": connect,
            r"PATCH /api/ml/(\d+)": change(self.backends),
            "GET /api/webhooks/": listed(*self.webhooks.values()),
            "POST /api/webhooks/": add(self.webhooks),
            r"PATCH /api/webhooks/(\d+)/": change(self.webhooks),
            r"DELETE /api/webhooks/(\d+)/": lambda number, *_: (
                204,
                self.webhooks.pop(number) and None,
            ),
        }
