"""Open a source that lies at an address: images where they are, tables by a copy in the cache.

- a folder of images (or a glob): listed once, the pictures read as they are needed;
- tars: see :mod:`usl.data.readers.webdataset`;
- a table that lists images: they are looked for below the folder that it lies in;
- all else, arrays, tables of features, Parquet files of images, is copied to the cache, and read
  as if it lay there (:mod:`usl.data.local_copy`).

On the web nothing is listed: there, a source is a file, or a range of tars.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.data.address_listing import Place, is_file, is_plain, list_address, split_glob
from usl.data.addresses import WEB, check_address, shown
from usl.data.collection import Collection
from usl.data.digests import DigestMemo
from usl.data.endings import EXTENSIONS
from usl.data.local_copy import local_file, local_folder, named_by
from usl.data.parquet_images import ParquetImages
from usl.data.readers import folder, hub, manifest, webdataset
from usl.data.tables import SOURCE_SUFFIXES, column_names, read_table
from usl.data.verdict import kind_of

# Files of a folder without images that a reader may take: by their ending; idx and CIFAR by name.
COPIED = (*SOURCE_SUFFIXES, ".npy", ".npz")
KNOWN = re.compile(r".*ubyte(\.gz)?|data_batch_\d|test_batch|batches\.meta|train|test|meta")
Reader = Callable[..., Collection]
Call = Callable[[Reader, Any, dict[str, Any], str], Collection]


def open_address(
    address: str, options: dict[str, Any], *, call: Call, open_local: Callable[..., Collection]
) -> Collection:
    """Open what lies at an address.

    Parameters
    ----------
    options : keyword parameters of the reader.
    call : calls a reader with options, refusing those that it does not have.
    open_local : opens what lies on the disk.

    Raises
    ------
    DataError
        nothing is there, or nothing that can be read.
    StoreError
        the store refuses, or cannot be reached.
    """
    check_address(address)
    if _ending(address) == webdataset.ENDING and webdataset.RANGE.search(address):
        return _open_tars(webdataset.expanded(address), shown(address), options, call)
    _check_web(address)
    if is_file(address):
        if _ending(address) == webdataset.ENDING:
            return _open_tars([address], shown(address), options, call)
        return _open_file(address, options, call, open_local)
    place = list_address(address)
    names = list(place.entries or {})
    if place.listing.names:
        return _open_folder(place, options, call)
    if tars := [name for name in names if name.lower().endswith(webdataset.ENDING)]:
        shards = [f"{place.address}/{name}" for name in tars]
        return _open_tars(shards, place.source, options, call)
    copied = [name for name in names if _is_copied(name)]
    if not copied:
        return call(folder.from_address, place, options, "folder")  # says what there is instead
    home = local_folder(place, copied)
    with named_by(place.address, home):
        found = open_local(home / place.pattern if place.pattern else home, **options)
    return _moved(found, place.source, home, place.address)


def _check_web(address: str) -> None:
    """Refuse what can only be a folder on the web."""
    plain = shown(address)
    if check_address(address) in WEB and (plain.endswith("/") or not _ending(address)):
        raise DataError(
            f"{plain}: folders on the web cannot be listed. Name a file: a table that lists "
            "images, features, or tars (photos-{0000..0009}.tar)."
        )


def _open_folder(place: Place, options: dict[str, Any], call: Call) -> Collection:
    """Open a folder of images, by Hugging Face's metadata where there are any."""
    if names := manifest.metadata_names(place.entries or {}):
        home = local_folder(Place(place.address, place.entries, "metadata"), names)
        with named_by(place.address, home):
            tables = {
                posixpath.dirname(name): read_table(home / name)
                for name in names
                if "file_name" in column_names(home / name)
            }
            if tables:
                return call(partial(manifest.from_metadata, tables), place, options, manifest.KIND)
    return call(folder.from_address, place, options, "folder")


def _open_file(
    address: str, options: dict[str, Any], call: Call, open_local: Callable[..., Collection]
) -> Collection:
    """Open a table or an array, by a copy of it."""
    ending = _ending(address)
    if ending in EXTENSIONS:
        raise DataError(f"{shown(address)}: one image is no collection. Name its folder.")
    if ending not in (*SOURCE_SUFFIXES, ".npy", ".npz"):
        raise DataError(
            f"{shown(address)}: unknown format. Understood are a folder of images; .tar; "
            f"{' '.join(SOURCE_SUFFIXES)} tables; .npy .npz arrays."
        )
    copy = local_file(address)
    above = address.partition("?")[0] if check_address(address) in WEB else address
    above = above.rpartition("/")[0]
    with named_by(above, copy.parent):
        if _lists_images(copy, options.get("as_")):
            on_web = check_address(address) in WEB
            place = Place(above) if on_web else list_address(above)
            read = partial(manifest.from_address, read_table(copy))
            found = call(read, place, options, manifest.KIND)
        else:
            found = open_local(copy, **options)
    return _moved(found, shown(address), copy.parent, above)


def _lists_images(copy: Path, as_: str | None) -> bool:
    """Whether a file is a table of paths, and not of features or of pictures themselves."""
    if copy.suffix.lower() not in SOURCE_SUFFIXES or hub.matches(copy):
        return False
    return (as_ or kind_of(copy)) == manifest.KIND


def _open_tars(
    addresses: list[str], source: str, options: dict[str, Any], call: Call
) -> Collection:
    """Open tars; those on the web are copied, for many a server sends whole files alone."""
    places = [shown(one) for one in addresses]
    scheme = check_address(places[0])
    folders = [posixpath.dirname(place.partition("://")[2]) for place in places]
    above = f"{scheme}://{posixpath.commonpath(folders)}"
    shards = [str(local_file(one)) for one in addresses] if scheme in WEB else addresses
    names = [place[len(above) + 1 :] for place in places]
    memo = DigestMemo.called(above.encode())

    def read(shards: list[str], *, max_pixels: int | None = None) -> Collection:
        return webdataset.from_shards(
            shards, names, source=source, memo=memo, called=places, max_pixels=max_pixels
        )

    return call(read, shards, options, webdataset.KIND)


def _is_copied(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith(".") for part in parts) or not is_plain(name)
    return not hidden and (name.lower().endswith(COPIED) or KNOWN.fullmatch(parts[-1]) is not None)


def _moved(found: Collection, source: str, home: Path, address: str) -> Collection:
    """A collection that was read from copies, by the name of what they were made of."""
    notes = tuple(note.replace(str(home), shown(address)) for note in found.notes)
    images = found.images
    if isinstance(images, ParquetImages):
        images.called = [name.replace(str(home), shown(address)) for name in images.called]
    return replace(found, source=source, notes=notes)


def _ending(address: str) -> str:
    """The ending of the file that an address names, in lower case."""
    return posixpath.splitext(split_glob(shown(address))[1] or shown(address))[1].lower()
