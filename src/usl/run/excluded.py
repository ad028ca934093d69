"""``excluded.parquet``: the images that a person wants never to be picked, by ``image_id``.

Those of ``usl select --exclude`` and ``--exclude-quality``; later rounds keep to them, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from usl.run.tables import ID, read_table, write_table

EXCLUDED = "excluded.parquet"


def write_excluded(folder: Path, ids: Sequence[str]) -> None:
    """Write the table of a run; no file where there are none."""
    import pyarrow as pa

    if ids:
        write_table(folder / EXCLUDED, pa.table({ID: pa.array(ids, pa.string())}))


def read_excluded(folder: Path) -> set[str]:
    """The images; DataError naming a file that is damaged."""
    path = folder / EXCLUDED
    if not path.is_file():
        return set()
    fix = "Restore it; or delete it, and those images may be asked for."
    return set(read_table(path, [ID], fix=fix)[ID].to_pylist())
