"""What the address of a picture in another tool's file may mean as the path of a file.

Label Studio shows a picture by ``/data/local-files/?d=photos/1.jpg``, by an upload
``/data/upload/3/1a2b3c4d-1.jpg``, by ``s3://bucket/photos/1.jpg``, or by a web address with a
signature behind ``?``; other tables hold ``C:\\photos\\1.jpg`` of another machine.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote

from usl.data.decode import EXTENSIONS

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
IN_QUERY = re.compile(r"(?:^|&)(d|filepath|fileuri)=(.*)", re.DOTALL)
UPLOAD = re.compile(r"(?:^|/)upload/(?:\d+/)?([^/]+)$")
HASHED = re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL)  # an upload with the mark it gets


def spellings(address: str) -> list[str]:
    """Paths with ``/`` that the address may stand for, the likeliest first."""
    base, mark, query = address.partition("?")
    found = [address]
    if mark and (inside := IN_QUERY.search(query)):
        whole, first = inside[2], inside[2].partition("&")[0]
        if inside[1] == "fileuri":
            whole = first = _decoded(unquote(first))
        found = [unquote(whole), unquote(first), whole, address, unquote(base), base]
    elif SCHEME.match(address):
        bare = base.partition("#")[0]
        plain, quoted = _path(bare), unquote(_path(bare))
        web = address.lower().startswith(("http", "file"))
        found = [address, *([quoted, plain] if web else [_path(address), plain, quoted])]
    else:
        found += [unquote(address), base, unquote(base)] if mark else [unquote(address)]
    plain_paths = [_path(one).replace("\\", "/").removeprefix("./") for one in found]
    return [one for one in dict.fromkeys(plain_paths) if one]


def upload_names(path: str) -> list[str]:
    """The file names that an upload to Label Studio may have had; none for any other path."""
    found = UPLOAD.search(path)
    if not found:
        return []
    hashed = HASHED.fullmatch(found[1])
    return [found[1], hashed[1]] if hashed else [found[1]]


def uploaded(name: str) -> str:
    """The name that Label Studio's server (Django) gives to an upload of a file of that name."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def is_picture(value: object) -> bool:
    """Whether a value looks like the address or path of a picture."""
    if not isinstance(value, str) or "\n" in value:
        return False
    if SCHEME.match(value) or "/data/local-files/" in value or "/data/upload/" in value:
        return True
    return value.partition("?")[0].lower().endswith(EXTENSIONS)


def _path(address: str) -> str:
    """The path in an address with a scheme, behind the host or bucket; else the same."""
    found = SCHEME.match(address)
    if not found:
        return address
    return address[found.end() :].partition("/")[2]


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_").decode()
    except ValueError:
        return text
