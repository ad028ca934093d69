"""Pictures that are slow to decode, or never end, hold up neither the page nor its end."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

from page_run import answer, record_anew
from test_page_server import ask, ask_state, operate, sign_in, signed

sys.path.append(str(Path(__file__).parents[2] / "data"))
from hostile_pictures import repeated_scans

LATE = 8  # seconds; 3 on a machine that is not busy

HANGS = """
import threading
import usl.labeling.page.pictures as pictures
decode = pictures.decode_windowed
def decode_windowed(path, name, side, **options):
    if name == {name!r}:
        threading.Event().wait()
    return decode(path, name, side, **options)
pictures.decode_windowed = decode_windowed
"""


def picture(server, cookie, ref):
    """The address of a picture."""
    return f"/image/640?{urlencode({**signed(server, cookie), 'image': ref})}"


def shown(server, cookie):
    """The references of the images by their ids."""
    order = json.loads(ask_state(server, cookie)[1])["order"]
    return {ref.partition("/")[2]: ref for ref in order}


@contextlib.contextmanager
def asked_for(server, cookie, refs):
    """Requests for pictures that nobody waits for."""
    with contextlib.ExitStack() as stack:
        for ref in refs:
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            address = picture(server, cookie, ref)
            text = f"GET {address} HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {cookie}\r\n\r\n"
            one.sendall(text.encode())
        yield


def stopped_in(server):
    """Seconds from Ctrl-C to the end of the process, and what was said."""
    began = time.monotonic()
    said = server.stop()
    return time.monotonic() - began, said


def test_hostile_pictures_hold_up_nothing(path, served):
    hostile = repeated_scans(100_000)
    server = served(classes=["cat", "dog"])
    cookie = sign_in(server)
    names = list(shown(server, cookie))
    server.stop()
    for name in names[:6]:
        (path.parent / "photos" / name).write_bytes(hostile)
    record_anew(path, *names[:6])
    server.start()
    cookie = sign_in(server)
    refs = list(shown(server, cookie).values())
    with asked_for(server, cookie, refs[:6]):
        began = time.monotonic()
        for ref in refs[6:]:
            response, content = ask(server, "GET", picture(server, cookie, ref), cookie=cookie)
            assert response.status == 200
            assert content.startswith(b"\x89PNG")
        response, content = operate(server, cookie, [answer("answer-01", refs[-1:], "cat")])
        assert json.loads(content)["done"] == ["answer-01"]
        assert time.monotonic() - began < LATE
        seconds, said = stopped_in(server)
    assert seconds < LATE
    assert "1 of 40 images answered" in said
    assert "Traceback" not in said
    assert "Exception" not in said


def test_a_decoder_that_never_ends_does_not_hold_up_the_end(served):
    server = served()
    name, *_ = shown(server, sign_in(server))
    server.stop()
    server.prelude = HANGS.format(name=name)
    server.start()
    cookie = sign_in(server)
    hanging, second, *_ = shown(server, cookie).values()
    other = picture(server, cookie, second)
    with asked_for(server, cookie, [hanging] * 3):
        assert ask(server, "GET", other, cookie=cookie)[0].status == 200
        seconds, said = stopped_in(server)
    assert seconds < LATE
    assert "Traceback" not in said
