"""Names of a server, as Host headers and addresses write them (RFC 3986, section 3.2.2)."""

from __future__ import annotations

import pytest

from usl.labeling.page.hosts import allowed_hosts, host_name, ip_address, is_loopback


def test_hosts_beyond_this_machine():
    assert is_loopback("127.0.0.1")
    assert is_loopback("127.1.2.3")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.5", "example.org", "")))
    allowed = allowed_hosts("0.0.0.0")
    assert allowed("192.168.1.5")
    assert allowed("localhost")
    assert not allowed("evil.example")
    assert not allowed_hosts("127.0.0.1")("192.168.1.5")
    assert allowed_hosts("lab.example")("lab.example")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("example.org", "example.org"),
        ("Example.ORG:8000", "example.org"),
        (" 127.0.0.1:1 ", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[2001:DB8::1]:8000", "2001:db8::1"),
        ("user@127.0.0.1", "user@127.0.0.1"),  # no trick with a name before the address
        ("", ""),
        (":8000", ""),
        ("[", ""),
    ],
)
def test_the_name_in_a_host_header(header, name):
    assert host_name(header) == name


@pytest.mark.parametrize("name", ["", "localhost", "127.1", "1.2.3.4.5", "[::1]", "::1]", "0x7f.1"])
def test_what_is_no_address_in_digits(name):
    assert ip_address(name) is None
    assert not allowed_hosts("0.0.0.0")(name) or name == "localhost"


def test_a_loopback_server_goes_by_its_own_names_alone():
    allowed = allowed_hosts("127.0.0.1")
    assert all(map(allowed, ("127.0.0.1", "localhost", "::1")))
    assert not any(map(allowed, ("", "10.0.0.1", "::2", "localhost.evil.example")))
