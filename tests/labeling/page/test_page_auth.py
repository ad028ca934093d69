from __future__ import annotations

import os

import pytest

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
    for _ in range(16):
        assert throttle.reserve("192.0.2.1") == 0
        throttle.succeeded("192.0.2.1")  # the right password is always heard
    waits = []
    for _ in range(16):
        waits.append(throttle.reserve("192.0.2.1"))
        now[0] += waits[-1]
    assert waits == [0, 0, 0, 0, 0, 1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32]
    assert throttle.reserve("192.0.2.2") == 0
    throttle.succeeded("192.0.2.1")
    assert throttle.reserve("192.0.2.1") == 0
    for _ in range(40):
        now[0] += (wait := throttle.reserve("192.0.2.1"))
        assert wait <= 300
    assert wait in (0, 300)


@pytest.mark.parametrize(
    ("addresses", "other"),
    [
        ([f"2001:db8::{number}" for number in range(5)], "2001:db8:0:1::1"),
        (["fe80::1%eth0", "fe80::2%eth0", "fe80::3", "fe80::4", "fe80::5"], "fe80:0:0:1::1%eth0"),
        (["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:C000:201"] * 2, "::ffff:192.0.2.2"),
    ],
)
def test_all_addresses_of_one_machine_are_one(addresses, other):
    throttle = Throttle(clock=lambda: 0.0)
    for address in addresses[:5]:
        assert throttle.reserve(address) == 0
    assert all(throttle.reserve(address) > 0 for address in addresses)
    assert throttle.reserve(other) == 0


def test_many_addresses_together_have_a_bound():
    now = [0.0]
    throttle = Throttle(clock=lambda: now[0])
    for number in range(100):
        assert throttle.reserve(f"10.0.0.{number}") == 0
        now[0] += 1
    assert throttle.reserve("10.0.1.1") == 200  # when the first of them is five minutes old
    now[0] += 200
    assert throttle.reserve("10.0.1.1") == 0
    assert throttle.reserve("10.0.1.2") == 1
    throttle.succeeded("10.0.1.1")
    assert throttle.reserve("10.0.1.2") == 0


def test_remembered_addresses_are_bounded():
    now = [0.0]
    throttle = Throttle(clock=lambda: now[0])
    for number in range(10_050):
        throttle.reserve(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
        now[0] += 300
    assert len(throttle._tries) == 10_000
