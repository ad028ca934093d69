"""A real S3 server and a web server on this machine, for tests of sources that lie at addresses."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit


class Bucket:
    """One bucket of an S3 server, by boto3, which nothing of ours uses."""

    def __init__(self, client, name):
        self.client, self.name = client, name
        self.address = f"s3://{name}"

    def put(self, key, content):
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def put_folder(self, folder: Path, prefix=""):
        """All files of a folder."""
        for file in folder.rglob("*"):
            if file.is_file():
                self.put(f"{prefix}{file.relative_to(folder).as_posix()}", file.read_bytes())

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def listed(self):
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=self.name)["Contents"]]

    def delete(self, key):
        self.client.delete_object(Bucket=self.name, Key=key)


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of an S3 server, moto's, that knows one user: testing."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def requests_seen() -> Iterator[list[tuple[str, str]]]:
    """Within, what S3 servers here are asked for: method, and path below the bucket."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication as Application

    seen, answer = [], Application.__call__

    def listening(self, environ, start):
        path = environ["PATH_INFO"].removeprefix("/").partition("/")[2]
        seen.append((environ["REQUEST_METHOD"], path))
        return answer(self, environ, start)

    Application.__call__ = listening
    try:
        yield seen
    finally:
        Application.__call__ = answer


@contextmanager
def nobody_may():
    """Within, the S3 server refuses whoever is not known to it."""
    import moto.core.authorization as authorization

    before = authorization.settings.INITIAL_NO_AUTH_ACTION_COUNT
    authorization.settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    try:
        yield
    finally:
        authorization.settings.INITIAL_NO_AUTH_ACTION_COUNT = before


class Web:
    """A web server that lists no folders; ``asked`` are the paths that it was asked for.

    Files below ``signed/`` want the query ``signature=secret``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, []
        web = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def send_head(self):
                parts = urlsplit(self.path)
                web.asked.append(parts.path)
                if parts.path.startswith("/signed/") and "signature=secret" not in parts.query:
                    return self.send_error(403)
                return super().send_head()

            def list_directory(self, path):
                return self.send_error(404)

            def log_message(self, *_):
                pass

        http.server.ThreadingHTTPServer.request_queue_size = 64  # by default 5 may call at once
        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
