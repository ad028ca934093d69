"""Checkpoints by address: fetched once into the cache, whole or not at all.

Only an address that the user typed is fetched from; one that a file names, as somebody's
``run.json``, serves what was fetched before. ``#sha256=HEX`` at its end has the content checked.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import urllib.parse
import urllib.request
from http.client import HTTPException
from pathlib import Path

from usl.core.errors import DataError, UsageError
from usl.core.files import atomic_write, cache_dir
from usl.core.hashing import bytes_digest
from usl.core.progress import Progress, silent

SCHEMES = ("https", "http", "file")
TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 20  # bytes per read


class NotFetchedError(DataError):
    """Weights are not on this machine, and nobody has asked to fetch them."""

    def __init__(self, name: str) -> None:
        """Say what would be fetched, and how it is asked for."""
        super().__init__(
            f"the weights of the encoder {name!r} are not on this machine, and nothing is fetched "
            "because a run names it. If you trust it, fetch them: usl embed SOURCE --model "
            f"{shlex.quote(name)}, then the same command again (usl train takes --model itself)."
        )


def is_address(text: str) -> bool:
    """Whether a text is an address rather than a path."""
    return text.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def file_name(address: str) -> str:
    """The last part of an address's path, without query and fragment."""
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(address).path)).name


def local_copy(address: str, progress: Progress = silent, *, fetch: bool = True) -> Path:
    """The file at ``address``: of this machine as it is, else from the cache or the network.

    Without ``fetch``, the network is not used.

    Raises
    ------
    UsageError
        the fragment is no ``sha256=`` with 64 hexadecimal digits.
    DataError
        it cannot be fetched, is cut short, or has another SHA-256.
    NotFetchedError
        it is not on this machine, without ``fetch``.
    """
    plain, _, fragment = address.partition("#")
    wanted = _wanted_digest(address, fragment)
    parts = urllib.parse.urlsplit(plain)
    if parts.scheme.lower() == "file":
        path = Path(urllib.request.url2pathname(parts.path))
        if not path.is_file():
            raise DataError(f"{address}: no such checkpoint file.")
        _check(path, wanted, address)
        return path
    folder = cache_dir() / "checkpoints" / bytes_digest(plain.encode())[:16]
    path = folder / file_name(plain)
    here = path.is_file() and not (wanted and sha256(path) != wanted)
    if not here and not fetch:
        raise NotFetchedError(address)
    if not here and path.is_file():
        path.unlink()  # another version of the file: fetch it again
    if not here:
        _fetch(plain, path, progress)
        try:
            _check(path, wanted, address)
        except DataError:
            path.unlink()
            raise
    return path


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _wanted_digest(address: str, fragment: str) -> str:
    if not fragment:
        return ""
    if not re.fullmatch(r"sha256=[0-9a-fA-F]{64}", fragment):
        raise UsageError(
            f"{address}: after # only sha256= with 64 hexadecimal digits is understood."
        )
    return fragment.removeprefix("sha256=").lower()


def _check(path: Path, wanted: str, address: str) -> None:
    if wanted and (found := sha256(path)) != wanted:
        raise DataError(
            f"{address}: the file's SHA-256 is {found}. It is damaged or was changed: ask its "
            "publisher for the right digest before you use it."
        )


def _fetch(address: str, path: Path, progress: Progress) -> None:
    """Download to ``path``; nothing is left behind on failure."""
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as reply:
            total = int(reply.headers.get("Content-Length") or 0)
            done = 0
            with atomic_write(path) as handle:
                while block := reply.read(BLOCK):
                    handle.write(block)
                    done += len(block)
                    progress(done, max(total, done), f"fetching {path.name}")
                if done < total:
                    raise EOFError(f"cut short: {done} of {total} bytes")
    except (OSError, HTTPException, EOFError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        code = f"{error.code} " if hasattr(error, "code") else ""
        raise DataError(
            f"{address} cannot be fetched ({code}{reason}). Check the address and the network, or "
            "fetch the file yourself and write ARCH@PATH."
        ) from error
