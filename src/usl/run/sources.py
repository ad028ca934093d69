"""Where the images of a run come from: the source it was made from, and those added later.

``source`` in ``run.json`` is the one that the selection saw; ``added`` lists what ``usl add``
brought, each with ``new``, how many images of it the run had not, and with ``replaces``, places
that are gone where its images were before.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from usl.core.errors import DataError, StoreError
from usl.core.words import quoted
from usl.data.addresses import WEB, is_address, local_path, shown
from usl.data.collection import Collection
from usl.data.joined import join
from usl.data.open import open_collection

LISTED = "source.jsonl"  # the files of a source that was a list in memory
ADDED = "added"  # in run.json


def open_sources(folder: Path, info: dict[str, Any], source: str | None = None) -> Collection:
    """Open all sources of a run as one collection; ``source`` is where the first has moved to.

    With ``source``, an added one that is not where it was is taken to have moved there, too. Of
    several images with one id the first counts.

    Raises
    ------
    DataError : a source that cannot be opened; names its place, and the fix.
    """
    recorded = info["source"]
    listed = folder / LISTED
    given = source or (str(listed) if listed.is_file() else recorded.get("path"))
    if given is None:
        raise DataError(
            f"{folder}: the run was made from data in memory; pass that collection again."
        )
    moved = f"The run {folder} was made from it; if it has moved, name its new place with --source."
    found = [_opened(given, recorded, "" if source else moved)]
    places = {given, recorded.get("path"), *_replaced(info)}
    for one in added_sources(info):
        path = str(one.get("path"))
        if path in places or (source and not _may_be_there(path)):
            continue
        places.add(path)
        moved = f"usl add {quoted(folder)} ITS_NEW_PLACE"
        found.append(_opened(path, one, f"{folder} has images of it; if it has moved: {moved}"))
    return join(found)


def added_sources(info: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of what was added to a run, in order."""
    found = info.get(ADDED, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"run.json: {ADDED} is no list of sources. Restore the file.")
    return found


def gone_places(info: dict[str, Any]) -> list[str]:
    """Places of added sources that are gone, and that no later one has replaced."""
    paths = [str(one.get("path")) for one in added_sources(info)]
    known = _replaced(info)
    return [path for path in dict.fromkeys(paths) if path not in known and not _may_be_there(path)]


def _replaced(info: dict[str, Any]) -> set[str]:
    return {str(path) for one in added_sources(info) for path in one.get("replaces", ())}


def _may_be_there(place: str) -> bool:
    """Whether a place exists; what lies at an address is taken to."""
    return is_address(place) or Path(place).exists()


def _opened(given: str, recorded: dict[str, Any], moved: str) -> Collection:
    """A source as it was opened before; an error on one that has gone says what to do."""
    try:
        return open_collection(given, **recorded.get("options", {}))
    except StoreError as error:
        if not given.startswith(WEB) or "?" in given:
            raise
        raise DataError(
            f"{error} A signature is no part of what a run keeps of an address: if it needs one, "
            "give the whole address with --source."
        ) from error
    except DataError as error:
        if not moved or Path(given).exists():
            raise
        raise DataError(f"{error} {moved}") from error


def source_record(source: object, collection: Collection) -> dict[str, Any]:
    """The record of a source in ``run.json``: how to find the collection again."""
    path: str | None = None
    if isinstance(source, str | os.PathLike):
        given = os.fspath(source)
        path = given if given.startswith("builtin:") else str(local_path(given).absolute())
        path = shown(source) if is_address(source) else path
    return {
        "given": collection.source,
        "path": path,
        "kind": collection.kind,
        "options": dict(collection.options),
        "images": len(collection),
        "subsets": {
            name: int((collection.subsets == name).sum())
            for name in ("train", "val", "test")
            if (collection.subsets == name).any()
        },
        "unreadable": [list(pair) for pair in collection.skipped[:100]],
        **seen_and_not_used(collection),
    }


def seen_and_not_used(collection: Collection) -> dict[str, Any]:
    """What a source held and was not taken, how it was taken, and greys that were scaled."""
    found = {
        "unreadable_in_all": len(collection.skipped) if len(collection.skipped) > 100 else 0,
        "passed_over": dict(collection.passed_over),
        "notes": list(collection.notes),
        "scaled": dict(getattr(collection.images, "scaled", None) or {}),
    }
    return {name: value for name, value in found.items() if value}
