"""Several collections as one: what was there first counts, and every part keeps its own."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import DataError
from usl.data.images import ArrayImages
from usl.data.joined import JoinedImages, join
from usl.data.open import open_collection
from usl.labeling.page.picture_cache import PictureCache
from usl.labeling.page.pictures import Pictures


def photos(folder, names, grey):
    folder.mkdir()
    for name in names:
        Image.new("L", (4, 4), grey).save(folder / name)
    return folder


def test_of_one_id_the_first_counts_and_files_stay_files(tmp_path):
    first = open_collection(photos(tmp_path / "a", ["1.png", "2.png"], 10))
    later = open_collection(photos(tmp_path / "b", ["2.png", "3.png"], 200), max_pixels=10**9)
    found = join([first, later])
    assert found.ids.tolist() == ["1.png", "2.png", "3.png"]
    assert [found.images.read(row).getpixel((0, 0)) for row in range(3)] == [10, 10, 200]
    assert [found.images.path(row).parent.name for row in range(3)] == ["a", "a", "b"]
    assert found.digests().tolist() == [*first.digests().tolist(), later.digests()[1]]
    assert found.images.max_pixels == 10**9
    taken = found.take([2, 0]).images
    assert [taken.home(row).name for row in range(2)] == ["b", "a"]
    assert join([first]) is first


def test_a_link_from_one_folder_to_another_is_not_shown(tmp_path):
    """What lies between the folders is no part of either."""
    first = photos(tmp_path / "a", ["1.png"], 10)
    secret = photos(tmp_path / "private", ["secret.png"], 99) / "secret.png"
    later = photos(tmp_path / "b", ["2.png"], 200)
    (later / "link.png").symlink_to(secret)
    found = join([open_collection(first), open_collection(later)])
    pictures = Pictures(found.images, PictureCache(None))
    try:
        assert pictures.digest(found.ids.tolist().index("2.png"))
        with pytest.raises(DataError, match="a link out of the folder"):
            pictures.digest(found.ids.tolist().index("link.png"))
    finally:
        pictures.close()


def test_arrays_are_joined_and_what_does_not_go_together_is_refused(tmp_path):
    array = np.arange(2 * 9, dtype=np.uint8).reshape(2, 3, 3)
    images = JoinedImages([ArrayImages(array), ArrayImages(array + 100)])
    assert [images.read(row).getpixel((0, 0)) for row in range(4)] == [0, 9, 100, 109]
    assert images.take([3]).digest(0) == ArrayImages(array + 100).digest(1)
    for name, width in (("x", 3), ("y", 3), ("wide", 4)):
        table = np.full((2, width), float(len(name)), np.float32)
        np.savez(tmp_path / f"{name}.npz", features=table, ids=[f"{name}0", f"{name}1"])
    x, y, wide = (open_collection(tmp_path / f"{name}.npz") for name in ("x", "y", "wide"))
    found = join([x, y])
    assert found.ids.tolist() == ["x0", "x1", "y0", "y1"]
    assert np.asarray(found.features).shape == (4, 3)
    with pytest.raises(DataError, match=r"width 4, but those of .* have 3"):
        join([x, wide])
    with pytest.raises(DataError, match="cannot be one collection"):
        join([x, open_collection(photos(tmp_path / "a", ["1.png"], 10))])
