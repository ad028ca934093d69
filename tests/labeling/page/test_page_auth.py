from __future__ import annotations

import os

from usl.labeling.page.auth import Auth, Keyring, Throttle


def test_a_restart_keeps_pages_signed_in(tmp_path):
    first = Auth(Keyring.of_run(tmp_path))
    first.keyring.keep(4321)
    second = Auth(Keyring.of_run(tmp_path))
    assert second.keyring.port == 4321
    assert second.knows(first.cookie)
    assert first.token != second.token
    assert not second.opens(first.token)
    other = Auth(Keyring.of_run(tmp_path / "other"))
    assert not other.knows(first.cookie)
    assert other.cookie_name != first.cookie_name


def test_only_the_owner_can_read_the_key(tmp_path):
    keyring = Keyring.of_run(tmp_path)
    keyring.keep(1)
    assert os.stat(keyring.path).st_mode & 0o077 == 0
    assert Keyring.of_run(tmp_path).secret == keyring.secret
    keyring.path.write_text("{nonsense")
    assert len(Keyring.of_run(tmp_path).secret) == 32


def test_tokens_and_cookies_are_of_one_piece():
    door = Auth(Keyring(None, "name", b"k" * 32))
    assert not door.opens("")
    assert not door.opens(door.token[:-1])
    assert not door.opens(door.token + "x")
    assert door.opens(door.token)
    assert not door.knows("")
    assert not door.unlocks("")
    assert not door.unlocks("None")
    assert Auth(Keyring(None, "name", b"k" * 32), "pässword").unlocks("pässword")


def test_guessing_takes_longer_and_longer():
    now = [0.0]
    throttle = Throttle(clock=lambda: now[0])
    waits = []
    for _ in range(16):
        now[0] += throttle.wait("192.0.2.1")
        throttle.failed("192.0.2.1")
        waits.append(throttle.wait("192.0.2.1"))
    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:8] == [1, 2, 4, 8]
    assert waits[-1] == 300
    assert throttle.wait("192.0.2.2") == 0
    throttle.succeeded("192.0.2.1")
    assert throttle.wait("192.0.2.1") == 0


def test_all_addresses_of_one_machine_are_one():
    throttle = Throttle(clock=lambda: 0.0)
    for number in range(5):
        throttle.failed(f"2001:db8::{number}")
    assert throttle.wait("2001:db8::ffff") > 0
    assert throttle.wait("2001:db8:0:1::1") == 0


def test_remembered_addresses_are_bounded():
    throttle = Throttle(clock=lambda: 0.0)
    for number in range(10_050):
        throttle.failed(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(throttle._failed) == 10_000
