"""Pictures whose files are handed over as bytes: from Parquet, from a tar, from a store."""

from __future__ import annotations

import io
import time
from collections import Counter
from typing import TYPE_CHECKING

from usl.core.hashing import bytes_digest
from usl.data.decode import Hold, decode_file, shown_size
from usl.data.digests import DigestMemo
from usl.data.image_source import Stored
from usl.data.images import decode_windowed, stored

if TYPE_CHECKING:
    from PIL import Image


class StoredBytes:
    """What :class:`usl.data.image_source.StoredImages` asks for, by way of the bytes of a file.

    A source of this kind says where the bytes of a row are, and what they are called; with a
    ``memo``, also by what a row is remembered in it.
    """

    scales = True
    far = False  # whether reading waits for a network
    max_pixels: int | None
    scaled: Counter[str]
    memo: DigestMemo | None = None

    def where(self, row: int) -> str:
        """What the picture of a row is called in messages; its ending is that of the file."""
        raise NotImplementedError

    def content(self, row: int) -> bytes:
        """The file of a row. DataError naming it if there is none."""
        raise NotImplementedError

    def remembered_as(self, row: int) -> tuple[str, tuple[int, int]]:
        """The name of a row in the memo; its size and version, 0 for one that is unknown."""
        raise NotImplementedError

    def read(self, row: int) -> Image.Image:
        """Decode a row's picture; see :func:`usl.data.decode.decode_file`."""
        return self.read_scaled(row, None)

    def read_scaled(self, row: int, least: int | None, hold: Hold | None = None) -> Image.Image:
        """Decode it at a scale at which its shorter side has ``least`` pixels."""
        return decode_file(
            io.BytesIO(self.content(row)),
            self.where(row),
            max_pixels=self.max_pixels,
            scaled=self.scaled,
            least=least,
            hold=hold,
        )

    def read_windowed(self, row: int, side: int, *, apart: bool = True) -> tuple[Image.Image, str]:
        """See :func:`usl.data.image_source.read_windowed`."""
        content = io.BytesIO(self.content(row))
        return decode_windowed(
            content, self.where(row), side, max_pixels=self.max_pixels, apart=apart
        )

    def size(self, row: int) -> tuple[int, int]:
        """See :func:`usl.data.image_source.size_of`."""
        return shown_size(io.BytesIO(self.content(row)), self.where(row))

    def digest(self, row: int) -> str:
        """Hash of the picture's bytes, as of a file with them."""
        return self.known_digest(row) or self.load(row).digest

    def known_digest(self, row: int) -> str | None:
        """The hash of a row's bytes, if the memo knows it and they are unchanged."""
        if self.memo is None:
            return None
        name, state = self.remembered_as(row)
        return self.memo.known_in(name, state) if state[1] else None

    def load(self, row: int) -> Stored:
        """Read a row's bytes, once for their hash and the pixels."""
        asked_at = time.time_ns()
        content = self.content(row)
        digest = bytes_digest(content)
        if self.memo is not None:
            name, state = self.remembered_as(row)
            self.memo.remember(name, state, digest, asked_at)
        return stored(content, digest, self.where(row), self.max_pixels, self.scaled)
