"""A folder of images, flat or nested; or a glob such as ``photos/**/*.jpg``.

On disk: files ending in .jpg .jpeg .jfif .png .webp .bmp .tif .tiff .gif (and .heic .avif .jp2 .dng
where these can be read; see :mod:`usl.data.endings`), in any case, at any depth.

- ids are paths relative to the folder, with ``/``, in Unicode NFC, so that they are equal on every
  machine. Their order is by folder, then name (as torchvision's ``ImageFolder`` sorts), so that
  published index lists apply. A glob's ids start at its last folder without a wildcard.
- If every image lies below ``train``, ``val`` (``valid``, ``validation``) or ``test``, and some
  below ``train``, these are the subsets; else all is ``train``. ``unlabeled`` beside ``train``
  belongs to it.
- Labels are known answers for evaluation, never used to select. A subset whose images all lie as
  ``class/name`` below its root, with at least two classes (or one of train's), is labelled so
  (``labels="auto"``); ``"folders"`` takes the first folder at any depth; ``"none"`` knows nothing.
- Images below a folder ``unlabeled`` have no label. A folder that wraps all others is looked
  through; it stays part of the ids.
- Hidden files, recycle bins and thumbnails, and our own run and export folders inside are no part
  of the collection. Links are followed, but not in a circle, and a linked folder counts once.
- Files with other endings are counted, by ending.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.data.address_listing import Place
from usl.data.collection import SUBSETS, Collection
from usl.data.columns import (
    UNLABELED,
    check_told_apart,
    subsets_of_paths,
    tidy_id,
    wrapping,
)
from usl.data.digests import DigestMemo
from usl.data.endings import readable_endings
from usl.data.image_source import Images
from usl.data.images import FileImages
from usl.data.listing import Listing, is_glob, list_images

PRIORITY = 90
LABEL_RULES = ("auto", "folders", "none")
LabelRule = Literal["auto", "folders", "none"]


def matches(path: Path) -> bool:
    """Tell whether the path is a folder or a glob: the last resort among folders."""
    return path.is_dir() or is_glob(path)


def read(path: Path, *, labels: LabelRule = "auto", max_pixels: int | None = None) -> Collection:
    """List the images; none is opened.

    Parameters
    ----------
    labels : ``auto``, ``folders`` or ``none``; see above.
    max_pixels : of an image that is still decoded; None for Pillow's limit.

    Raises
    ------
    DataError
        if there is no image: says which endings were looked for and what is there instead.
    """
    _check_rule(labels)
    listing = list_images(path)
    memo = DigestMemo.for_folder(listing.root)
    images = FileImages(listing.root, listing.names, memo=memo, max_pixels=max_pixels)
    return from_listing(listing, images, str(path), labels=labels)


def from_address(
    place: Place, *, labels: LabelRule = "auto", max_pixels: int | None = None
) -> Collection:
    """The images below an address, as :func:`read` takes those of a folder."""
    _check_rule(labels)
    images = place.images(place.listing.names, max_pixels)
    return from_listing(place.listing, images, place.source, labels=labels)


def _check_rule(labels: LabelRule) -> None:
    if labels not in LABEL_RULES:
        raise UsageError(
            f"labels={labels!r}: use one of {', '.join(LABEL_RULES)}."
            + did_you_mean(str(labels), LABEL_RULES)
        )


def from_listing(
    listing: Listing, images: Images, source: str, *, labels: LabelRule = "auto"
) -> Collection:
    """A collection of images that were listed; ``images`` are those of its names."""
    if not listing.names:
        raise DataError(_no_images(source, listing))
    ids = [tidy_id(name) for name in listing.names]
    check_told_apart(source, ids, listing.names)
    subsets = subsets_of_paths(ids)
    return Collection(
        ids=np.array(ids),
        subsets=np.repeat("train", len(ids)) if subsets is None else subsets,
        images=images,
        labels=_folder_labels(ids, subsets, labels),
        source=source,
        kind="folder",
        skipped=tuple(listing.skipped),
        passed_over=dict(listing.others.most_common()),
        notes=listing.notes(source),
    )


def _folder_labels(
    ids: list[str], subsets: NDArray[np.str_] | None, rule: LabelRule
) -> NDArray[np.object_] | None:
    """Class names told by folders, object array [n]; None if they tell none."""
    if rule == "none":
        return None
    depth = wrapping(ids)
    below = [i.split("/")[depth if subsets is None else depth + 1 :] for i in ids]
    labels = np.array([parts[0] if len(parts) > 1 else None for parts in below], dtype=object)
    if rule == "auto":
        at_class_depth = np.array([len(parts) == 2 for parts in below])
        subset_of = np.repeat("train", len(ids)) if subsets is None else subsets
        trained: set[str | None] = set()  # classes of train, of which one alone will do elsewhere
        for subset in sorted(set(subset_of.tolist()), key=SUBSETS.index):
            members = subset_of == subset
            spare = np.array([_is_unlabeled(i, depth) for i in np.array(ids)[members]])
            classes = at_class_depth[members] | spare
            found = set(labels[members].tolist())
            if not classes.all() or (len(found) < 2 and not found <= trained):
                labels[members] = None
            elif subset == "train":
                trained = found
    labels[[_is_unlabeled(i, depth) for i in ids]] = None
    return labels if any(label is not None for label in labels) else None


def _is_unlabeled(name: str, depth: int) -> bool:
    """Whether an image lies in a folder ``unlabeled``, at the top or in a subset's folder."""
    folders = name.split("/")[depth:-1]
    return any(folder.lower() in UNLABELED for folder in folders[:2])


def _no_images(source: str, listing: Listing) -> str:
    """Say what was looked for and what was there instead."""
    endings = ", ".join(readable_endings())
    text = f"{source}: no images found. Looked for files ending in {endings}; "
    if listing.skipped:
        name, fault = listing.skipped[0]
        return text + f"{len(listing.skipped)} cannot be used, the first is {name!r}: {fault}."
    if not listing.others:
        return text + "there are no files at all."
    kinds = ", ".join(f"{count} x {ending}" for ending, count in listing.others.most_common(3))
    return text + f"there are only others ({kinds}). Convert the images, or name another folder."
