"""Hash arrays, files and JSON: keys of caches, and the proof that an image is still the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16  # 128 bits: a collision among 10^9 images has a probability of about 10^-21


def bytes_digest(content: bytes | memoryview) -> str:
    """Hex BLAKE2b-128 of raw bytes, as for an image file."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


def array_digest(array: NDArray[Any]) -> str:
    """Hex BLAKE2b-128 of an array's dtype, shape and values, whatever its memory order."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    state.update(f"{array.dtype.str}{array.shape}".encode())
    state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


def json_digest(value: Any) -> str:
    """Hex BLAKE2b-128 of a JSON-serialisable value, whatever the order of its keys."""
    return bytes_digest(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())
