"""The images of a server, as the page names them: by content and id, never by a row.

A *reference* is ``CONTENT/ID``: the first digits of an image's content hash, and its id. It means
the same image after a restart of the server, whatever was added, removed or renamed meanwhile, or
no image at all. What an image should hold is what the run recorded of it; of one that is newer than
the run, what it held when this server first named it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from usl.core.errors import DataError, UsageError
from usl.core.hashing import json_digest
from usl.data.collection import Collection
from usl.labeling.page.pictures import Pictures

CONTENT = 16  # hexadecimal digits: 64 bits
UNREADABLE = "-"  # the content of a new image that cannot be read


class UnboundError(UsageError):
    """An image that is not here any more, or not the one that the page has shown."""


class Listing:
    """The images that can be shown and answered.

    Parameters
    ----------
    collection : all images.
    recorded : content hashes by id, as the run recorded them.
    pictures : tells what they hold now.
    """

    def __init__(
        self, collection: Collection, recorded: Mapping[str, str], pictures: Pictures
    ) -> None:
        self.ids: list[str] = collection.ids.tolist()
        self.rows = {name: row for row, name in enumerate(self.ids)}
        self._pictures, self._recorded = pictures, recorded
        self._named: dict[int, str] = {}  # contents of images newer than the run

    def stamp(self, round_name: str, asked: Sequence[str]) -> str:
        """What tells this listing, and the round of it that is asked for, from any other."""
        return json_digest([round_name, self.ids, list(asked)])

    def ref(self, image_id: str) -> str:
        """How an image is named."""
        return f"{self._content(self.rows[image_id])}/{image_id}"

    def row(self, ref: object) -> int:
        """The row of an image in this server's own listing.

        Raises
        ------
        UnboundError : there is no such image any more, or the name is of another content.
        UsageError : this is no name of an image.
        """
        content, slash, image_id = ref.partition("/") if isinstance(ref, str) else ("", "", "")
        if not slash:
            raise UsageError("images: name them as the page does, by content and id.")
        row = self.rows.get(image_id)
        if row is None:
            raise UnboundError(f"{image_id[:200]!r} is not among the images any more.")
        if content != self._content(row):
            raise UnboundError(f"{image_id} is another picture than the one that was shown.")
        return row

    def check_content(self, row: int) -> None:
        """UnboundError for an image whose file is gone, or holds something else by now."""
        try:
            found = self._pictures.digest(row)[:CONTENT]
        except DataError as error:
            raise UnboundError(str(error)) from error
        if found != self._content(row):
            name = self.ids[row]
            when = "the run was made" if name in self._recorded else "this server named it"
            raise UnboundError(
                f"{name} has changed since {when}. Restore the file, or select anew; until then "
                "it takes no answers."
            )

    def _content(self, row: int) -> str:
        recorded = self._recorded.get(self.ids[row])
        if recorded is not None:
            return recorded[:CONTENT]
        if (known := self._named.get(row)) is not None:
            return known
        try:
            found = self._pictures.images.digest(row)[:CONTENT]  # remembered between runs
        except DataError:
            return UNREADABLE
        return self._named.setdefault(row, found)
