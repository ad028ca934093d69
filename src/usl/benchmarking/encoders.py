"""Encoders that a plan trains: on the train pictures of a data set, once, without their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from usl.benchmarking.entries import Entry
from usl.benchmarking.keys import entry_key
from usl.core.files import cache_dir, release, take
from usl.core.hashing import json_digest
from usl.core.progress import Progress, silent
from usl.data.collection import Collection
from usl.features.pipeline import hash_images


def trained_encoders(
    wanted: Mapping[str, Entry], collection: Collection, progress: Progress = silent
) -> dict[str, Path]:
    """The folder of every encoder, trained on this collection unless it is in the cache.

    It is kept under a hash of the pictures and of all options. A training that was stopped goes on.
    """
    if not wanted:
        return {}
    train = replace(collection.take(collection.rows_in("train")), labels=None)
    assert train.images is not None
    digests = hash_images(train.images, None, "skip", progress, every=True).digests
    pictures = json_digest([digest.decode() for digest in digests.tolist()])
    return {name: _trained(entry, train, pictures, progress) for name, entry in wanted.items()}


def _trained(entry: Entry, train: Collection, pictures: str, progress: Progress) -> Path:
    from usl.pretraining.pretrain import ENCODER, INFO, pretrain

    folder = cache_dir() / "benchmark" / "encoders" / json_digest([pictures, entry_key(entry)])
    folder.parent.mkdir(parents=True, exist_ok=True)
    (door := folder.with_suffix(".lock")).touch()
    lock = take(door)  # two plans at a time may want it
    try:
        if not (folder / ENCODER).is_file():
            resume = (folder / INFO).is_file()
            pretrain(
                train, folder, method=entry.method, resume=resume, progress=progress, **entry.params
            )
    finally:
        release(lock)
    return folder
