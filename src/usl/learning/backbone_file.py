"""The record of a backbone file, read without torch.

A backbone file is a safetensors file: 8 bytes (the header's length, little-endian), a JSON header
that names the tensors, and their bytes. Under ``__metadata__`` the header holds the record, JSON
again, under the key ``usl``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usl.core.errors import DataError

FORMAT = 1
KEY = "usl"
HEADER_LIMIT = 100_000_000  # bytes; the safetensors format allows no longer header


@dataclass(frozen=True)
class BackboneRecord:
    """What a backbone file tells besides its weights.

    ``network`` is a file of ``usl.learning.networks``, or ``timm:ARCH``; ``size`` the input side in
    px, ``dim`` the width of the features; ``mean`` and ``std`` normalise the channels, values 0..1;
    ``supervision`` is what the training was told; ``meta`` how it went, for people.
    """

    network: str
    size: int
    dim: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    supervision: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text stored in the file."""
        return json.dumps({"format": FORMAT, **vars(self)}, ensure_ascii=False)


def read_record(path: Path) -> BackboneRecord:
    """The record of a backbone file.

    Raises
    ------
    DataError
        the file is missing, damaged, of a newer format, or no backbone file.
    """
    record = find_record(path)
    if record is None:
        raise DataError(
            f"{path} holds weights, but does not tell of which network: usl did not write it. "
            f"For features of a timm architecture, write ARCH@{path}, as in resnet50@{path}."
        )
    return record


def find_record(path: Path) -> BackboneRecord | None:
    """The record, or None for a whole safetensors file of someone else.

    Raises
    ------
    DataError
        the file is missing, damaged, or of a newer format.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such weights file.")
    try:
        stored = (_header(path).get("__metadata__") or {}).get(KEY)
        return None if stored is None else _record(json.loads(stored), path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}). Copy it again, or train again."
        ) from error


def _header(path: Path) -> dict[str, Any]:
    """The header, checked against the length of the file: half a copy is refused."""
    with open(path, "rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if length > min(HEADER_LIMIT, path.stat().st_size):
            raise ValueError("its header is longer than the file")
        header: dict[str, Any] = json.loads(handle.read(length))
    ends = [about["data_offsets"][1] for name, about in header.items() if name != "__metadata__"]
    wanted = 8 + length + max(ends, default=0)
    if path.stat().st_size != wanted:
        raise ValueError(f"{path.stat().st_size} bytes long, {wanted} were written")
    return header


def _record(told: Any, path: Path) -> BackboneRecord:
    """A parsed record, checked."""
    version = int(told["format"])
    if version > FORMAT:
        raise DataError(
            f"{path}: format {version}; this usl reads up to {FORMAT}. Install a newer usl."
        )
    record = BackboneRecord(
        network=str(told["network"]),
        size=int(told["size"]),
        dim=int(told["dim"]),
        mean=tuple(float(value) for value in told["mean"]),
        std=tuple(float(value) for value in told["std"]),
        supervision=str(told["supervision"]),
        meta=dict(told["meta"]),
    )
    sound = record.size > 0 and record.dim > 0 and len(record.mean) == len(record.std) == 3
    if not (sound and all(value > 0 for value in record.std)):
        raise ValueError("its record makes no sense")
    return record
