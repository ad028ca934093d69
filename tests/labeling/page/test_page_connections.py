"""Connections that are silent, slow or too many do not keep out who is signed in."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest
from page_run import answer

from usl.labeling.page import connections
from usl.labeling.page.auth import Auth, Throttle
from usl.labeling.page.connections import Strangers
from usl.labeling.page.server import Server, listen

SILENT = """
import resource, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
port, n = map(int, sys.argv[1:])
kept = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(n)]
print("READY", flush=True)
sys.stdin.read()
"""
WAITS = 60  # seconds, where only a fault or a very busy machine lets one wait


class Person:
    """Somebody at a browser: one connection, and the cookie."""

    def __init__(self, address):
        self.base, _, self.token = address.partition("?token=")
        self.host = self.base.removeprefix("http://").strip("/")
        self.http = http.client.HTTPConnection(self.host, timeout=WAITS)
        self.cookie = ""

    def __call__(self, method, path, body=None):
        headers = {"origin": self.base.strip("/"), "content-type": "application/json"}
        headers |= {"cookie": self.cookie} if self.cookie else {}
        self.http.request(method, path, body and json.dumps(body), headers)
        response = self.http.getresponse()
        return response, response.read()

    def sign_in(self):
        response, _ = self("GET", f"/?token={self.token}")
        self.cookie = response.getheader("set-cookie").partition(";")[0]
        page = self("GET", "/")[1].decode()
        run, listing = re.search(r'data-run="(\w+)" data-listing="(\w+)"', page).groups()
        self.stamp = {"run": run, "listing": listing}  # what every exchange carries
        assert self.state()[0].status == 200
        return self

    def state(self):
        return self("GET", f"/api/state?{urlencode(self.stamp)}")


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=WAITS)


def closed(one):
    """Whether the other side has closed a connection; waits for it."""
    try:
        while one.recv(1 << 16):
            pass
    except (ConnectionError, BrokenPipeError):
        return True
    except TimeoutError:
        return False
    return True


@pytest.fixture
def quick(site, monkeypatch):
    """A server in this process that waits for a third of a second."""
    monkeypatch.setattr(connections, "PATIENCE", 0.3)

    def start(**options):
        server = site(**options)
        server.port = server.socket.getsockname()[1]
        return server

    return start


@pytest.mark.slow
def test_a_thousand_silent_connections_keep_nobody_from_answering(served):
    pytest.importorskip("resource")
    server = served(classes=["cat", "dog"])
    person = Person(server.address).sign_in()
    refs = json.loads(person.state()[1])["order"]
    command = [sys.executable, "-c", SILENT, str(server.port), "1000"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
        assert crowd.stdout.readline() == b"READY\n"
        times = []
        for number in range(100):
            if number % 10 == 0:  # a browser opens new connections now and then
                person.http.close()
            given = [answer(f"answer-{number:03d}", [refs[number % len(refs)]], "cat")]
            began = time.perf_counter()
            response, content = person(
                "POST", "/api/operations", {**person.stamp, "operations": given}
            )
            times.append(time.perf_counter() - began)
            assert response.status == 200, content
            assert json.loads(content)["done"] == [f"answer-{number:03d}"]
        crowd.stdin.close()
    print(f"median {1000 * statistics.median(times):.1f} ms")
    assert statistics.median(times) < 0.5  # 0.7 ms on an idle machine
    assert "Traceback" not in server.stop()


def test_a_silent_connection_is_closed(quick):
    assert closed(connect(quick()))


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"\r\n",
        b"GET /login HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ",
        b"POST /login HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: http://127.0.0.1\r\n"
        b"content-type: application/x-www-form-urlencoded\r\ncontent-length: 900000\r\n\r\n",
        # refused before its body has come
        b"POST /api/operations HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 900000\r\n\r\n",
    ],
)
def test_a_trickle_is_closed(quick, beginning, capfd):
    server = quick(password="correct horse")
    one = connect(server)
    one.sendall(beginning)
    began, more = time.monotonic(), b"\r\n" if len(beginning) < 3 else b"x"
    try:
        while time.monotonic() - began < WAITS:
            one.sendall(more)
            time.sleep(0.02)  # the trickle itself
    except OSError:
        pass
    assert time.monotonic() - began < WAITS
    server.stop()
    assert "Traceback" not in capfd.readouterr().err


def test_idle_strangers_go_and_who_is_signed_in_stays(quick):
    server = quick(password="correct horse")
    person = Person(server.address).sign_in()
    before = person.http.sock
    stranger = connect(server)
    for _ in range(2):  # both pipelined, then silence
        stranger.sendall(b"GET /login HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    assert closed(stranger)
    assert person.state()[0].status == 200
    assert person.http.sock is before


def test_the_body_of_somebody_signed_in_may_take_longer(quick):
    server = quick()
    person = Person(server.address).sign_in()
    person.http.close()
    body = json.dumps({**person.stamp, "operations": []}).encode()
    head = (
        f"POST /api/operations HTTP/1.1\r\nhost: {person.host}\r\ncookie: {person.cookie}\r\n"
        f"origin: http://{person.host}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    slow = connect(server)
    slow.sendall(head.encode())
    assert closed(connect(server))  # as long as a stranger may take, and longer
    slow.sendall(body)
    assert slow.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_the_busiest_network_makes_room():
    class One:
        def drop(self):
            gone.append(self)

    gone, strangers = [], Strangers(4)
    few, *many = [One() for _ in range(6)]
    strangers.enter(few, "192.0.2.1")
    for number, one in enumerate(many):
        strangers.enter(one, f"2001:db8::{number}")
    assert gone == many[:2]
    strangers.leave(many[4])
    strangers.enter(One(), "::ffff:192.0.2.1")
    assert gone == many[:2]
    strangers.enter(One(), "192.0.2.1")
    assert gone == [*many[:2], few]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="prlimit is of Linux")
@pytest.mark.parametrize("known", [False, True])
def test_without_file_descriptors_it_waits_and_says_so_once(served, known):
    import resource

    server = served()
    person = Person(server.address).sign_in()
    used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 8, hard))
    request = (
        f"GET /api/people?{urlencode(person.stamp)} HTTP/1.1\r\n"
        f"host: {person.host}\r\ncookie: {person.cookie}\r\n\r\n"
    )
    with ExitStack() as stack:
        crowd = [stack.enter_context(connect(server)) for _ in range(60)]
        if known:
            for one in crowd:
                one.sendall(request.encode())
            began, before = time.monotonic(), _seconds(server.process.pid)
            while time.monotonic() - began < 2:  # what is measured, not a wait for something
                time.sleep(0.2)
            assert _seconds(server.process.pid) - before < 1
        person.state()
    person.http.close()
    assert person.state()[0].status in (200, 503)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (hard, hard))
    assert person.state()[0].status == 200
    said = server.stop()
    assert said.count("no further connections") == 1
    assert "Traceback" not in said
    assert len(said) < 2000


def _seconds(pid):
    """Processor time of a process."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_many_guesses_at_once_are_no_more_than_in_turn(site, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", WAITS)
    looked_at = []
    monkeypatch.setattr(Auth, "unlocks", lambda self, given: looked_at.append(given) or False)
    server = site(password="correct horse")
    server.port = server.socket.getsockname()[1]
    server.server._strangers.most = 300
    server.door.throttle = Throttle(clock=lambda: 0.0)
    body = b"password=guess-of-some-length"
    head = (
        f"POST /login HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n"
        f"origin: http://127.0.0.1:{server.port}\r\n"
        f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    with ExitStack() as stack:
        crowd = [stack.enter_context(connect(server)) for _ in range(200)]
        for one in crowd:
            one.sendall(head + body[:-1])
        for one in crowd:
            one.sendall(body[-1:])
        codes = [one.recv(1 << 16).split()[1] for one in crowd]
    assert len(looked_at) == 5
    assert sorted(codes) == [b"403"] * 5 + [b"429"] * 195


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_ipv4_visitors_of_an_ipv6_server_are_told_apart():
    seen = []

    async def page(scope, receive, send):
        seen.append(scope["client"][0])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    opened = listen("::", 0)
    ready = threading.Event()
    server = Server(page, ready.set)
    thread = threading.Thread(target=server.run, args=([opened],))
    thread.start()
    assert ready.wait(WAITS)
    one = http.client.HTTPConnection("127.0.0.1", opened.getsockname()[1], timeout=WAITS)
    one.request("GET", "/")
    assert one.getresponse().status == 200
    server.should_exit = True
    thread.join()
    throttle = Throttle(clock=lambda: 0.0)
    while throttle.reserve(seen[0]) == 0:
        pass
    assert throttle.reserve("127.0.0.1") > 0
    assert throttle.reserve("::ffff:192.0.2.1") == 0
