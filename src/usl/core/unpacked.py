"""How large a packed file becomes, judged by what its headers say before anything is unpacked."""

from __future__ import annotations

import os

from usl.core.errors import DataError

SMALL = 64 << 20  # bytes that any file may unpack to
MOST_TIMES = 100  # its size, beyond that: pictures, features and tables shrink to a tenth
ROW = 64  # bytes that a row takes in memory at least, whatever is in it


def most_unpacked(packed: int) -> int:
    """The most bytes that a file of ``packed`` bytes may unpack to."""
    return max(SMALL, MOST_TIMES * packed)


def check_unpacked(where: str | os.PathLike[str], packed: int, unpacked: int, fix: str) -> None:
    """Refuse a file of ``packed`` bytes whose headers promise ``unpacked`` bytes, a bomb perhaps.

    Raises :class:`DataError` naming the file, the sizes and the ``fix``.
    """
    if unpacked > most_unpacked(packed):
        raise DataError(
            f"{where}: {packed:,} bytes that would take {unpacked:,} when unpacked, more than "
            f"{MOST_TIMES} times as many. It is damaged, or made to fill the memory. {fix}"
        )
