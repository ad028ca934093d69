"""Addresses beyond the disk: ``s3://``, ``gs://``, ``az://``, ``hf://``, ``http://``, ``https://``.

``s3://`` and ``gs://`` are read by pyarrow, the others by fsspec (``pip install 'usl[cloud]'``).
Credentials are found by these libraries in their own ways, in the environment or in profiles, and
are no part of an address. A store that is not Amazon's is named as in Amazon's own tools:
``AWS_ENDPOINT_URL``. The query of a web address may be a signature: it is used, and neither shown
nor written anywhere.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from usl.core.errors import (
    DataError,
    StoreError,
    UsageError,
    UslError,
    did_you_mean,
    missing_extra,
)
from usl.core.hashing import bytes_digest

STORES = ("s3", "gs", "az", "hf")
WEB = ("http", "https")
SCHEMES = (*STORES, *WEB)
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
BENT = re.compile(rf"({'|'.join(SCHEMES)}):/+(?=[^/])", re.I)  # what pathlib makes of an address
PACKAGES = {"az": "adlfs", "hf": "huggingface_hub", "http": "aiohttp", "https": "aiohttp"}
SECONDS, TRIES = 60, 4  # of a request
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of this machine, not of a store

# How libraries call what is wrong: a status of the web, or a word.
MISSING, DENIED = (404, 410, 416), (401, 403, 407)  # 416: bytes that are not there
WORD = re.compile(r"AWS Error (\w+)|Status\((\w+)")
STATUS = re.compile(r"HTTP status (\d{3})")
MISSING_WORD = re.compile(r"NO_SUCH_\w+|\w*NOT_?FOUND\w*", re.I)
DENIED_WORD = re.compile(
    r"\w*(DENIED|ACCESS_KEY|SIGNATURE|TOKEN|CREDENTIAL|AUTHENTICATI|UNAUTHENTI|UNRECOGNIZED_CLIENT"
    r"|EXPIRED)\w*",
    re.I,
)
NOISE = re.compile(r"When .*?: (?=AWS Error)| \(Request ID: .*?\)|\[errno \d+\] ", re.I | re.S)


def is_address(given: object) -> bool:
    """Whether a source, or a place to write to, is named by an address, and not by a path."""
    return address_of(given) is not None


def address_of(given: object) -> str | None:
    """The address that a text, or what ``pathlib`` has made of one, stands for; else None."""
    if not isinstance(given, str | os.PathLike):
        return None
    text = os.fspath(given)
    if isinstance(text, str) and (found := ADDRESS.match(text)):
        return None if found[1].lower() == "file" else text
    if isinstance(given, os.PathLike) and isinstance(text, str):
        text = text.replace("\\", "/")
        if BENT.match(text) and not os.path.exists(given):
            return BENT.sub(r"\1://", text, count=1)
    return None


def check_address(address: str) -> str:
    """The scheme of an address that can be opened.

    Raises :class:`UsageError` for an unknown scheme, one without a name behind it, and for one
    with a password in it, which is not repeated.
    """
    found = ADDRESS.match(address)
    scheme = found[1].lower() if found else ""
    if scheme not in SCHEMES:
        raise UsageError(
            f"{shown(address)}: no address that can be opened. They begin with "
            f"{', '.join(f'{s}://' for s in SCHEMES)}.{did_you_mean(scheme, SCHEMES)}"
        )
    host = re.split(r"[/?#]", address.partition("://")[2], maxsplit=1)[0]
    if _has_password(scheme, host):
        raise UsageError(
            f"{shown(address)}: a password is no part of an address. Leave it out, and give it to "
            "the library: by its variables (AWS_ACCESS_KEY_ID, ...), its profile or ~/.netrc."
        )
    if not host:
        raise UsageError(f"{shown(address)}: names no {'host' if scheme in WEB else 'bucket'}.")
    return scheme


def shown(address: object) -> str:
    """An address as it is shown and written down: without a password and without a query."""
    text = address_of(address) or str(address)
    found = ADDRESS.match(text)
    if not found:
        return text
    scheme = found[1].lower()
    if scheme in WEB:
        text = re.split(r"[?#]", text, maxsplit=1)[0]
    host, slash, rest = text[found.end() :].partition("/")
    if _has_password(scheme, host):
        host = host.rpartition("@")[2]
    return f"{text[: found.end()]}{host}{slash}{rest}"


def _has_password(scheme: str, host: str) -> bool:
    before, at, _ = host.rpartition("@")
    return bool(at) and (scheme in (*WEB, "s3", "gs") or ":" in before)


def open_filesystem(address: str | os.PathLike[str]) -> tuple[Any, str]:
    """The ``pyarrow.fs.FileSystem`` that an address lies in, and the path to it there.

    Plain paths and ``file://`` give the local one. Nothing is contacted, but for a bucket of
    Amazon's whose region nobody has said.

    Raises
    ------
    UsageError
        an unknown scheme, or a password in the address.
    MissingDependencyError
        a library that is not installed.
    StoreError
        the store cannot be reached, or refuses.
    """
    from pyarrow import fs

    text = address_of(address)
    if text is None:
        return fs.LocalFileSystem(), str(local_path(address).absolute())
    scheme = check_address(text)
    path = text.partition("://")[2].rstrip("/")
    with reaching(text):
        if scheme == "s3":
            return _s3(fs, path.partition("/")[0]), path
        if scheme == "gs":
            return fs.GcsFileSystem(retry_time_limit=_limit()), path
        return fs.PyFileSystem(fs.FSSpecHandler(_by_fsspec(scheme))), (
            text if scheme in WEB else path
        )


def check_on_disk(given: object, what: str) -> None:
    """Refuse an address for ``what``, which needs locks and renaming, as a disk alone has them."""
    if is_address(given):
        raise UsageError(f"{shown(given)}: {what} lies on the disk. Name a folder there.")


def local_path(text: str | os.PathLike[str]) -> Path:
    """The path that is meant by a text: of ``file:///...``, or as it stands."""
    name = os.fspath(text)
    if name[:7].lower() == "file://":
        return Path(unquote(urlsplit(name).path))
    return Path(name).expanduser()


def _s3(fs: Any, bucket: str) -> Any:
    """Amazon's S3, or the store that ``AWS_ENDPOINT_URL`` names."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        region = "us-east-1" if endpoint else _region_of(bucket)
    options = {
        "region": region,
        "endpoint_override": endpoint,
        "connect_timeout": SECONDS / 4,
        "request_timeout": SECONDS,
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
    }
    try:  # a file below 5 MB is written by one request, and not by three
        return fs.S3FileSystem(**options, allow_delayed_open=True)
    except TypeError:  # pyarrow before 18
        return fs.S3FileSystem(**options)


@lru_cache(256)
def _region_of(bucket: str) -> str:
    """Where a bucket of Amazon's lies, which does not change."""
    from pyarrow.fs import resolve_s3_region

    return str(resolve_s3_region(bucket))


def _limit() -> Any:
    from datetime import timedelta

    return timedelta(seconds=SECONDS)


def _by_fsspec(scheme: str) -> Any:
    """The file system that fsspec has for a scheme."""
    try:
        import fsspec

        options = {"client_kwargs": {"trust_env": True}} if scheme in WEB else {}
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise missing_extra(f"fsspec and {PACKAGES[scheme]}", "cloud", f"{scheme}://") from error


@contextmanager
def reaching(address: str) -> Iterator[None]:
    """Within, whatever a library raises about an address becomes one line that names it.

    Raises
    ------
    DataError
        nothing is there.
    StoreError
        the store refuses, or cannot be reached.
    """
    try:
        yield
    except (UslError, ImportError):
        raise
    except Exception as error:  # every library has its own
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise _refusal(address, error) from error


def _refusal(address: str, error: BaseException) -> DataError:
    if isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # fsspec calls whatever a web server does a missing file
    where, said = shown(address), _said(address, error)
    status, word = _told(error)
    if word.upper() in ("NO_SUCH_BUCKET", "BUCKETNOTFOUND"):
        return DataError(f"{where}: there is no such bucket. Correct the address.")
    missing = status in MISSING or MISSING_WORD.fullmatch(word)
    if isinstance(error, FileNotFoundError) or missing:
        return DataError(f"{where}: not there, or gone. Correct the name, or put it back.")
    if not is_address(address):
        why = getattr(error, "strerror", None) or said
        return DataError(f"{where}: cannot be read or written ({why}).")
    denied = status in DENIED or DENIED_WORD.fullmatch(word)
    if isinstance(error, PermissionError) or denied:
        return StoreError(
            f"{where}: you may not read or write there ({said}). Ask for the permission, or check "
            "the credentials in the environment or the profile."
        )
    return StoreError(f"{where}: cannot be reached ({said}). Run the same command again.")


def _told(error: BaseException) -> tuple[int, str]:
    """The status of the web that an error tells, or 0; and the word by which a library calls it."""
    answer = getattr(error, "response", None)
    for one in (error, answer):
        for name in ("status", "status_code"):
            if isinstance(found := getattr(one, name, None), int):
                return found, type(error).__name__
    if (code := STATUS.search(str(error))) is not None:
        return int(code[1]), ""
    found = WORD.search(str(error))
    return 0, (found[1] or found[2]) if found else type(error).__name__


def _said(address: str, error: BaseException) -> str:
    """What a library says, in a line, without the query of an address."""
    text = NOISE.sub("", str(error)) or type(error).__name__
    query = urlsplit(address).query if ADDRESS.match(address) else ""
    for secret in {query, unquote(query)} - {""}:
        text = text.replace(f"?{secret}", "")
    return re.sub(r"(https?://[^\s'\"?]+)\?[^\s'\"]*", r"\1", " ".join(text.split()))[:300]


def read_bytes(filesystem: Any, path: str) -> bytes:
    """All that lies at a path, in as few requests as the library can.

    Of pyarrow at S3 those are two: it asks for the size first, and takes none that is known.
    """
    if filesystem.type_name.startswith("py"):
        return bytes(filesystem.handler.fs.cat_file(path))
    with filesystem.open_input_stream(path) as handle:
        return bytes(handle.read())


def read_range(filesystem: Any, path: str, start: int, size: int, handle: Any) -> bytes:
    """Some bytes of what lies at a path, fewer at its end; ``handle`` is open on it for pyarrow."""
    if handle is None:
        found = bytes(filesystem.handler.fs.cat_file(path, start=start, end=start + size))
        whole = len(found) > size  # as many a web server sends files
        return found[start : start + size] if whole else found
    if start > handle.size():  # of which S3 would make an error
        return b""
    return bytes(handle.read_at(size, start))


def version_of(filesystem: Any, path: str) -> tuple[int, int]:
    """Size in bytes of what lies at a path, and a number that changes when it does (0: unknown).

    Raises FileNotFoundError where nothing is.
    """
    if filesystem.type_name.startswith("py"):  # whose own word for a refusal is "not found"
        told = filesystem.handler.fs.info(path)
        return int(told.get("size") or 0), version_told(told)
    info = filesystem.get_file_info(path)
    if info.type.name == "NotFound":
        raise FileNotFoundError(path)
    return int(info.size or 0), int(info.mtime_ns or 0)


def version_told(told: dict[str, Any]) -> int:
    """A number for the version that fsspec tells of a file; 0 where it tells none."""
    for name in ("ETag", "etag", "blob_id", "Content-MD5", "Last-Modified", "last_modified"):
        if told.get(name):
            return int(bytes_digest(str(told[name]).encode())[:15], 16)
    return 0
