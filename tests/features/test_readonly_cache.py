"""A cache that cannot be written only slows down: one note, and the same results."""

from __future__ import annotations

import errno
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import UslWarning
from usl.data.open import open_collection
from usl.features.embed import embed
from usl.labeling.page.auth import Keyring

CODES = [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        path = folder / f"{number}.png"
        Image.new("RGB", (9, 9), (60 * number, 0, 9)).save(path)
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return folder


@pytest.fixture(params=CODES, ids=[errno.errorcode[code] for code in CODES])
def unwritable(request, monkeypatch):
    """No file of the cache can be put in place, nor its rest be removed."""

    def failing(*_, **__):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr("usl.core.files.os.replace", failing)
    monkeypatch.setattr("pathlib.Path.unlink", failing)


@pytest.fixture
def expected(photos, tmp_path, monkeypatch):
    """The features, before the cache cannot be written any more."""
    monkeypatch.setenv("USL_CACHE", str(tmp_path / "former"))
    rows = embed(open_collection(photos), "pixels").rows[:]
    monkeypatch.setenv("USL_CACHE", str(tmp_path / "cache"))
    return rows


def test_features_are_the_same_with_one_note(photos, expected, unwritable):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        collection = open_collection(photos)
        found = embed(collection, "pixels").rows[:]
        collection.images.memo.flush()
    notes = [str(one.message) for one in caught if issubclass(one.category, UslWarning)]
    assert len(notes) == 1
    assert "cannot be written" in notes[0]
    assert np.array_equal(found, expected)


def test_the_page_starts_without_its_keyring(tmp_path, unwritable):
    with pytest.warns(UslWarning, match="cannot be written"):
        Keyring.of_run(tmp_path).keep(8000)
