"""Safetensors files with a checksum of all they hold, so that a flipped bit is never trained on.

The checksum stands in the metadata, under ``checksum``: a hash of the header without it and of the
tensors' bytes. A file without one is of an older version, or of somebody else, and not checked.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.core.hashing import DIGEST_BYTES

KEY, METADATA = "checksum", "__metadata__"
ALIGNED = 8  # bytes: the header ends at a multiple, as the format asks


def sealed(content: bytes) -> bytes:
    """The bytes of a safetensors file with a checksum in its metadata."""
    header, start = _header(content)
    header.setdefault(METADATA, {})[KEY] = _checksum(header, content[start:])
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    return len(text).to_bytes(8, "little") + text + content[start:]


def check_seal(content: bytes, path: Path, fix: str) -> None:
    """Compare the checksum of a file's ``content``, if it has one.

    Raises :class:`DataError` naming the ``path`` where it is another; ends with the ``fix``.
    """
    try:
        header, start = _header(content)
        told = dict(header.get(METADATA, {}))
    except (ValueError, AttributeError, TypeError):
        return  # whoever reads it says what is wrong
    tensors = memoryview(content)[start:]
    if KEY in told:
        damaged = told[KEY] != _checksum(header, tensors)
    else:  # a flipped bit in the word "checksum" itself leaves the sum under another name
        likely = [name for name in told if _looks_like_one(told[name])]
        damaged = any(told[name] == _checksum(header, tensors, name) for name in likely)
    if damaged:
        raise DataError(f"{path} is damaged (its checksum is another). {fix}")


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors begin."""
    start = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:start])
    return header, start


def _looks_like_one(text: Any) -> bool:
    return isinstance(text, str) and bool(re.fullmatch(f"[0-9a-f]{{{2 * DIGEST_BYTES}}}", text))


def _checksum(header: dict[str, Any], tensors: bytes | memoryview, key: str = KEY) -> str:
    """Of all but the entry ``key``."""
    told = {name: text for name, text in header.get(METADATA, {}).items() if name != key}
    plain = json.dumps({**header, METADATA: told}, sort_keys=True, ensure_ascii=True)
    state = hashlib.blake2b(plain.encode(), digest_size=DIGEST_BYTES)
    state.update(tensors)
    return state.hexdigest()
