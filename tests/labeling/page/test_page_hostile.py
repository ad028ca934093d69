"""Pictures that are slow to decode, or never end, hold up neither the page nor its end."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path

from page_run import answer
from test_page_server import ask, sign_in

sys.path.append(str(Path(__file__).parents[2] / "data"))
from hostile_pictures import repeated_scans

LATE = 8  # seconds; 3 on a machine that is not busy

HANGS = """
import threading
import usl.labeling.page.pictures as pictures
decode = pictures.decode_file
def decode_file(path, name, **options):
    if name == "p000.jpg":
        threading.Event().wait()
    return decode(path, name, **options)
pictures.decode_file = decode_file
"""


@contextlib.contextmanager
def asked_for(server, cookie, rows):
    """Requests for pictures that nobody waits for."""
    with contextlib.ExitStack() as stack:
        for row in rows:
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            text = f"GET /image/{row}/640 HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {cookie}\r\n\r\n"
            one.sendall(text.encode())
        yield


def stopped_in(server):
    """Seconds from Ctrl-C to the end of the process, and what was said."""
    began = time.monotonic()
    said = server.stop()
    return time.monotonic() - began, said


def test_hostile_pictures_hold_up_nothing(path, served):
    hostile = repeated_scans(100_000)
    names = sorted(os.listdir(path.parent / "photos"))
    for name in names[:6]:
        (path.parent / "photos" / name).write_bytes(hostile)
    server = served(classes=["cat", "dog"])
    cookie = sign_in(server)
    with asked_for(server, cookie, range(6)):
        began = time.monotonic()
        for row in range(10, 20):
            response, content = ask(server, "GET", f"/image/{row}/640", cookie=cookie)
            assert response.status == 200
            assert content.startswith(b"\x89PNG")
        body = {"operations": [answer("answer-01", [12], "cat")]}
        response, content = ask(server, "POST", "/api/operations", body, cookie)
        assert json.loads(content)["done"] == ["answer-01"]
        assert time.monotonic() - began < LATE
        seconds, said = stopped_in(server)
    assert seconds < LATE
    assert "1 of 40 images answered" in said
    assert "Traceback" not in said
    assert "Exception" not in said


def test_a_decoder_that_never_ends_does_not_hold_up_the_end(served):
    server = served(prelude=HANGS)
    cookie = sign_in(server)
    with asked_for(server, cookie, [0] * 3):
        assert ask(server, "GET", "/image/5/640", cookie=cookie)[0].status == 200
        seconds, said = stopped_in(server)
    assert seconds < LATE
    assert "Traceback" not in said
