"""Open any source: a path, a glob, an address, ``builtin:...``, an array, or a data set object."""

from __future__ import annotations

import difflib
import inspect
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from usl.core.errors import DataError, UsageError, UslWarning, did_you_mean
from usl.core.methods import KEYWORD, Methods
from usl.data.addresses import address_of, local_path
from usl.data.collection import Collection
from usl.data.decode import EXTENSIONS
from usl.data.several import check_one
from usl.data.tables import SOURCE_SUFFIXES, TABLE_SUFFIXES, column_names
from usl.data.verdict import KINDS

READERS = Methods("usl.data.readers", "read")
GIVEN = (
    "path",
    "place",
    "shards",
    "names",
    "source",
    "memo",
    "called",
    "dataset",
)  # no options of a reader
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")


def open_collection(source: Any, **options: Any) -> Collection:
    """Open what the user named as one table of images or features.

    Parameters
    ----------
    source : a path, glob or address (see :mod:`usl.data.addresses`) of any format in
        :mod:`usl.data.readers`; ``builtin:fashion_mnist``; an
        array of features [n, d] or of uint8 images [n, h, w(, 1 or 3)]; a torchvision or Hugging
        Face data set; or a ``Collection``, which is returned as it is.
    options : keyword parameters of the reader's ``read``, as ``labels="none"`` for folders; of
        :mod:`usl.data.objects` for objects.

    Raises
    ------
    DataError
        if the source is missing, empty, broken or of no known format.
    UsageError
        for an option that this kind of source does not have.
    """
    if isinstance(source, Collection):
        return source
    options = {name: value for name, value in options.items() if value is not None}
    if not isinstance(source, (str, os.PathLike)):
        from usl.data.objects import opener

        read = opener(source)
        return _call(read, source, options, read.__name__.removeprefix("from_"))
    if (address := address_of(source)) is not None:
        from usl.data.open_address import open_address

        found = open_address(address, options, call=_call, open_local=open_collection)
        return replace(found, options=options)
    path = local_path(source)
    _check_name(path)
    reader = _reader_as(options["as_"], path) if "as_" in options else None
    reader = reader or _reader_for(str(source), path)
    found = _call(reader.read, path, options, reader.__name__.rpartition(".")[2])
    return replace(found, options=options)


def tell(collection: Collection, depth: int = 1) -> None:
    """Say how a source was taken, where that should be known: a :class:`UslWarning` each.

    They name the place that called the function so many calls above this one.
    """
    for note in collection.notes:
        warnings.warn(note, UslWarning, stacklevel=depth + 2)


def open_features(source: Any) -> Any:
    """The features of a source, as an array or a :class:`LazyTable`, without ids.

    Raises
    ------
    UsageError
        for a source of images, or one of several subsets, whose rows mean different things.
    """
    collection = open_collection(source)
    if collection.features is None:
        raise UsageError(
            f"{source}: holds images, no features. usl.start_run selects from images; or encode "
            "them first: usl.embed(usl.open_collection(...)).rows."
        )
    if (collection.subsets != "train").any():
        raise UsageError(
            f"{source}: holds a val or test subset beside train. usl.start_run leaves it out; or "
            "give the rows: usl.open_collection(...).take(rows).features."
        )
    return collection.features


def all_readers() -> list[ModuleType]:
    """The reader modules, in the order in which they are asked."""
    modules = [READERS.load(name) for name in READERS.names()]
    return sorted(modules, key=lambda module: (module.PRIORITY, module.__name__))


def _check_name(path: Path) -> None:
    """Refuse a place whose name cannot be written down, before any work is done."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        shown = str(path.absolute()).encode("utf-8", "backslashreplace").decode()
        raise DataError(
            f"{shown}: the name is not valid UTF-8, so no run could note where its images are. "
            "Rename the folder."
        ) from None


def _reader_as(as_: str, path: Path) -> ModuleType:
    """The reader that a person asks for, for a table."""
    if as_ not in KINDS:
        raise UsageError(
            f"as: {as_!r} given; use {' or '.join(KINDS)}." + did_you_mean(str(as_), KINDS)
        )
    if path.exists() and not (path.is_file() and path.suffix.lower() in SOURCE_SUFFIXES):
        raise UsageError(
            f"as: {path} is no table, so there is nothing to decide. Leave the option out."
        )
    return READERS.load(as_)


def _reader_for(source: str, path: Path) -> ModuleType:
    """The first reader that knows the source; else a DataError that says what is wrong."""
    if not source.strip():
        raise UsageError("The source is empty; name a folder, a file or builtin:fashion_mnist.")
    check_one(path)
    for reader in all_readers():
        if reader.matches(path):
            return reader
    if not path.exists():
        raise DataError(f"{source}: no such file or folder.{_near(path)}")
    if path.suffix.lower() in ARCHIVES:
        raise DataError(f"{source}: archives are not opened. Unpack it and name the folder.")
    if path.suffix.lower() in EXTENSIONS:
        raise DataError(f"{source}: one image is no collection. Name its folder.")
    if path.suffix.lower() in SOURCE_SUFFIXES:
        columns = [name[:40] for name in column_names(path)]
        names = (", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")) or "no header"
        raise DataError(
            f"{source}: no column of paths or numbers. A list of images needs a column called path "
            f"(or image, file, file_name), a table of features an image_id and numbers; it has: "
            f"{names}."
        )
    kinds = f"a folder or glob of images; {' '.join(TABLE_SUFFIXES)} tables; .npy .npz arrays"
    raise DataError(f"{source}: unknown format. Understood are: {kinds}.")


def _near(path: Path) -> str:
    """A hint at the most similar name that exists."""
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    # stricter than for words: an extension in common already makes short names half alike
    near = difflib.get_close_matches(path.name, os.listdir(parent), n=1, cutoff=0.6)
    return f" Did you mean {str(parent / near[0])!r}?" if near else ""


def _call(
    read: Callable[..., Collection], source: Any, options: dict[str, Any], kind: str
) -> Collection:
    """Call a reader, refusing options that it does not have."""
    parameters = inspect.signature(read).parameters.values()
    known = [one.name for one in parameters if one.kind is KEYWORD]
    for name in options:
        if name not in known:
            has = f"its options: {', '.join(known)}" if known else "it has none"
            raise UsageError(
                f"A source of kind {kind!r} has no option {name!r}; {has}."
                + did_you_mean(name, known)
            )
    return read(source, **options)
