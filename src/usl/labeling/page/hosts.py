"""Host names: which are this server's own, against DNS rebinding.

Starlette's ``TrustedHostMiddleware`` takes a list of names. It lets no address in digits through
that is not on the list, reads no IPv6 address in its older versions, and takes the first of two
Host headers.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def ip_address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text writes in digits; None if it is none."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def network_of(address: str) -> str:
    """What counts as one visitor: an IPv4 address, also inside IPv6, or an IPv6 /64 network.

    One machine has all addresses of a /64.
    """
    found = ip_address(address.partition("%")[0])  # without the interface of fe80::1%eth0
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    if found is None or found.version == 4:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is reached from this machine alone."""
    found = ip_address(host)
    return host == "localhost" or (found is not None and found.is_loopback)


def allowed_hosts(listening: str) -> Callable[[str], bool]:
    """The test of a Host header's name (without port) for a server listening on an address.

    On loopback: its three names. Beyond: also the name given, this machine's own names, and any
    address in digits, for rebinding needs a name.
    """
    names = {*LOOPBACK, listening.lower()}
    if is_loopback(listening):
        return names.__contains__
    names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return lambda name: name in names or ip_address(name) is not None


def host_name(header: str) -> str:
    """The name in a Host header: without the port, IPv6 without brackets."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]
