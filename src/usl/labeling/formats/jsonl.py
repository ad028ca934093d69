"""JSONL: one object a line, ``{"image_id": "cats/007.jpg", "label": null, "rank": 1}``."""

from __future__ import annotations

import json
from pathlib import Path

from usl.data.tables import JSON_SUFFIXES, read_jsonl
from usl.labeling.exchange.contract import Export, Given
from usl.labeling.exchange.rows import columns_of, given_rows, is_table, next_steps

PICTURES = False
SUFFIX = ".jsonl"


def write(export: Export, out: Path) -> list[str]:
    """Write one line per image; what is not known is null."""
    columns = columns_of(export.items)
    with open(out, "w", encoding="utf-8", newline="") as handle:
        for values in zip(*columns.values(), strict=True):
            record = dict(zip(columns, values, strict=True))
            handle.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    return next_steps(export)


def read(path: Path) -> list[Given]:
    """Read the keys image_id (or path) and label of every line."""
    return given_rows(read_jsonl(path))


def recognizes(path: Path) -> bool:
    """Tell lines of JSON with labels."""
    return is_table(path, JSON_SUFFIXES)
