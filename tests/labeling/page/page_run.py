"""A run of real pictures to label, a server for it, and requests straight into the application."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from PIL import Image

from usl.data.digests import file_digest
from usl.labeling.answers.live import live_round
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.labeling.page.app import make_app
from usl.labeling.page.auth import Auth, Keyring
from usl.labeling.page.page_state import PageState
from usl.labeling.page.picture_cache import PictureCache
from usl.labeling.page.pictures import Pictures
from usl.labeling.page.queue import Queue
from usl.labeling.page.server import Server, address_of, listen
from usl.run.folder import Run
from usl.selection.start_run import start_run


def make_photos(folder, n, *, size=(96, 64)):
    """Write ``n`` pictures of four looks, every one different."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    for number in range(n):
        pixels = rng.integers(0, 60, (size[1], size[0], 3)) + 45 * (number % 4)
        pixels[:, : 8 + 20 * (number % 4)] += 30
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(folder / f"p{number:03d}.jpg", quality=90)


def make_run(place, n=60, budget=40):
    """A run on ``n`` pictures that asks for ``budget`` labels; the run's folder."""
    make_photos(place / "photos", n)
    start_run(place / "photos", budget, place / "run", method="usl", model="pixels", pca=16, k=5)
    return place / "run"


def copy_run(made, place):
    """A copy of what :func:`make_run` made, with its source beside it."""
    shutil.copytree(made.parent, place / "copy")
    path = place / "copy" / "run"
    info = json.loads((path / "run.json").read_text())
    info["source"]["path"] = str(place / "copy" / "photos")
    (path / "run.json").write_text(json.dumps(info))
    return path


class App:
    """The application of a run without any network."""

    def __init__(
        self, path, *, listening="127.0.0.1", password=None, queue=False, suggest=False, **options
    ):
        self.run = Run.open(path)
        self.store = Store.open(path)
        sync(self.run, self.store)
        collection = self.run.collection()
        if queue:
            one = live_round(self.store, {"suggest": suggest})
            options["queue"] = Queue(self.store, one, collection.ids.tolist(), suggest=suggest)
        pictures = Pictures(collection.images, PictureCache(None))
        self.work = PageState(self.run, collection, self.store, pictures, **options)
        self.door = Auth(Keyring.of_run(path), password)
        self.asgi = make_app(self.work, self.door, listening=listening)

    @property
    def cookie(self):
        """What a browser that was let in sends."""
        return {"cookie": f"{self.door.cookie_name}={self.door.cookie}"}

    def __call__(
        self, method, path, *, body=None, headers=(), client="127.0.0.1", leaves=False, **named
    ):
        """One request: status, headers, content. Header names take ``_`` for ``-``.

        A client that ``leaves`` does so after ``body``, before all of it was sent.
        """
        found = {"host": "127.0.0.1:8000", **dict(headers)}
        found |= {name.replace("_", "-"): value for name, value in named.items()}
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [
                (name.encode(), one.encode())
                for name, value in found.items()
                if value is not None
                for one in ([value] if isinstance(value, str) else value)
            ],
            "client": (client, 5000),
            "server": ("127.0.0.1", 8000),
            "root_path": "",
        }
        chunks = body if isinstance(body, list) else [body or b""]
        waiting = [
            {"type": "http.request", "body": chunk, "more_body": leaves or i + 1 < len(chunks)}
            for i, chunk in enumerate(chunks)
        ]
        sent = []

        async def receive():
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        # In a thread: this one may run the browser's own loop.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, self.asgi(scope, receive, send)).result()
        names = [name.decode() for name, _ in sent[0]["headers"]]
        values = [value.decode() for _, value in sent[0]["headers"]]
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], dict(zip(names, values, strict=True)), content

    @property
    def stamp(self):
        """What every exchange carries."""
        return {"run": self.work.run.identity, "listing": self.work.stamp}

    def ref(self, row):
        """How the page names the image of a row."""
        return self.work.listing.ref(self.work.listing.ids[row])

    def rows(self, refs):
        """The rows behind such names."""
        return [self.work.listing.row(ref) for ref in refs]

    def address(self, path, **named):
        """An address with what every exchange carries."""
        return f"{path}?{urlencode({**self.stamp, **named})}"

    def picture(self, row, side):
        """The address of a picture."""
        return self.address(f"/image/{side}", image=self.ref(row))

    def get(self, path, **named):
        """A GET of somebody who was let in, and its JSON."""
        status, _, content = self("GET", self.address(path, **named), headers=self.cookie)
        return status, json.loads(content)

    def send(self, path, content):
        """A POST of the page itself, as it is given; the status and the JSON."""
        own = {"origin": "http://127.0.0.1:8000", "content-type": "application/json"}
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        status, _, content = self("POST", path, body=body, headers={**self.cookie, **own})
        return status, json.loads(content)

    def post(self, operations, **named):
        """Send operations as the page does, images given by row; the status and the JSON."""
        named = {**self.stamp, "since": 0, "mode": "label", **named}
        given = [self._named(operation) for operation in operations]
        return self.send("/api/operations", {"operations": given, **named})

    def items(self, rows, **named):
        """What is shown beside the pictures of these rows, by row."""
        refs = [self.ref(row) for row in rows]
        _, found = self.send("/api/items", {**self.stamp, "images": refs, **named})
        return {row: found[ref] for row, ref in zip(rows, refs, strict=True)}

    def _named(self, operation):
        """An operation whose rows are replaced by what the page calls the images."""
        if not isinstance(operation, dict) or not isinstance(operation.get("images"), list):
            return operation
        known = range(len(self.work.listing.ids))
        images = [
            self.ref(one) if type(one) is int and one in known else one
            for one in operation["images"]
        ]
        return {**operation, "images": images}


def answer(key, images, label=None, kind="label"):
    """An operation."""
    return {"key": key, "type": "answer", "images": images, "kind": kind, "label": label}


def record_anew(path, *names):
    """Record that the run was made from what these images hold now."""
    table = pyarrow.parquet.read_table(path / "images.parquet")
    digests = dict(zip(table["image_id"].to_pylist(), table["digest"].to_pylist(), strict=True))
    folder = Path(json.loads((path / "run.json").read_text())["source"]["path"])
    digests |= {name: file_digest(folder / name) for name in names}
    place = table.schema.get_field_index("digest")
    table = table.set_column(place, "digest", pa.array(list(digests.values()), pa.string()))
    pyarrow.parquet.write_table(table, path / "images.parquet")


def write_bomb(path, width=100_000, height=100_000):
    """A PNG of a few kilobytes that claims to be 10,000 megapixels."""

    def chunk(name, content):
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [
        chunk(b"IHDR", head),
        chunk(b"IDAT", zlib.compress(bytes(10_000))),
        chunk(b"IEND", b""),
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


class Threaded(App):
    """The application behind a real socket, in a thread of this process."""

    def __init__(self, path, **options):
        super().__init__(path, **options)
        self.socket = listen("127.0.0.1", 0)
        self.base = address_of(self.socket, "127.0.0.1")
        self.address = f"{self.base}?token={self.door.token}"
        ready = threading.Event()
        self.server = Server(self.asgi, ready.set)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],))
        self.thread.start()
        assert ready.wait(30)

    def stop(self):
        """End the thread."""
        self.server.should_exit = True
        self.thread.join()
        self.store.close()

    def labels(self):
        """What counts now: label or kind by image id."""
        found = {}
        for one in self.store.history():
            if not one.undone:
                found[one.image_id] = one.label or one.kind
        return found
