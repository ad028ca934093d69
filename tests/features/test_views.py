from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import DataError
from usl.data.collection import Collection
from usl.features import views
from usl.features.embed import embed
from usl.features.space import open_space, restrict
from usl.features.views import View, random_view, view_features


def photo(seed, size=(40, 30), mode="RGB"):
    """A picture with a mark in one corner."""
    noise = np.random.default_rng(seed).integers(60, 200, (size[1], size[0], 3), dtype=np.uint8)
    noise[:5, :5] = 255
    return Image.fromarray(noise).convert(mode)


@pytest.fixture
def opened(make_collection, brightness, monkeypatch):
    """A collection, its space, and the encoder both were made with."""
    encoder = brightness()
    monkeypatch.setattr(views, "open_encoder", lambda name, **_: encoder)
    monkeypatch.setattr("usl.features.embed.open_encoder", lambda name, **_: encoder)
    collection = make_collection([photo(row) for row in range(12)])
    return collection, open_space(collection, "brightness"), encoder


def test_views_are_rows_of_changed_pictures_in_the_space(opened):
    collection, space, encoder = opened
    found = view_features(collection, space, 3)
    assert found.shape == (3, 12, space.features.shape[1])
    assert found.dtype == np.float16
    for number in range(3):
        rows = []
        for row in range(12):
            with_pixels = View(encoder, number).prepare(collection.images.read(row))
            rows.append(np.asarray(with_pixels, dtype=np.float16))
        expected = space.preprocessing.transform(np.array(rows, dtype=np.float32))
        np.testing.assert_allclose(found[number], expected, atol=2e-3)
    assert not np.allclose(found[0], found[1], atol=0.01)
    assert not np.allclose(found[0], space.features, atol=0.01)


def test_each_view_is_encoded_once(opened):
    collection, space, encoder = opened
    before = encoder.seen
    first = view_features(collection, space, 2)
    assert encoder.seen == before + 24
    np.testing.assert_array_equal(view_features(collection, space, 2), first)
    assert encoder.seen == before + 24
    more = view_features(collection, space, 3)
    assert encoder.seen == before + 36
    np.testing.assert_array_equal(more[:2], first)


def test_equal_pictures_have_equal_views_wherever_they_lie(opened, make_collection):
    collection, space, encoder = opened
    whole = view_features(collection, space, 1)
    part = restrict(space, np.arange(12) % 3 == 0)
    np.testing.assert_array_equal(view_features(collection, part, 1)[0], whole[0, ::3])
    other = make_collection([photo(11), photo(99), photo(0), photo(0)])
    rows = embed(other, View(encoder, 0), cache=False).rows
    own = embed(collection, View(encoder, 0), cache=False).rows
    np.testing.assert_array_equal(rows[[0, 2, 3]], own[[11, 0, 0]])


def test_rows_take_half_the_space_on_disk(brightness):
    encoder = brightness()
    assert View(encoder, 0).dtype == np.float16
    encoder.dtype = np.dtype(np.uint8)
    assert View(encoder, 0).dtype == np.uint8
    assert View(encoder, 0).key != View(encoder, 1).key


def test_features_have_no_views():
    features = np.eye(4, dtype=np.float32)
    ids = np.array(list("abcd"))
    collection = Collection(
        ids=ids, subsets=np.full(4, "train"), features=features, source="table.npy"
    )
    with pytest.raises(DataError, match=r"table\.npy.*images"):
        view_features(collection, open_space(collection), 1)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_random_views(mode):
    picture = photo(0, mode=mode)
    rng = np.random.default_rng(0)
    found = [random_view(picture, rng) for _ in range(200)]
    assert all(view.mode == mode for view in found)
    shares = np.array([view.width * view.height / 1200 for view in found])
    assert 0.36 < shares.min() < 0.45
    assert 0.9 < shares.max() <= 1
    shapes = np.array([view.width / view.height for view in found])
    np.testing.assert_allclose(shapes, 4 / 3, rtol=0.06)
    light = [np.asarray(view.convert("L")).mean() / 128 for view in found]
    assert min(light) < 0.8
    assert max(light) > 1.2


def test_half_of_the_views_are_mirrored():
    pixels = np.zeros((20, 20), dtype=np.uint8)
    pixels[:, 10:] = 200
    rng = np.random.default_rng(0)
    found = [np.asarray(random_view(Image.fromarray(pixels), rng)) for _ in range(300)]
    mirrored = np.mean([view[:, 0].mean() > view[:, -1].mean() for view in found])
    assert 0.35 < mirrored < 0.65


def test_a_picture_of_one_pixel():
    view = random_view(Image.new("RGB", (1, 1), (9, 9, 9)), np.random.default_rng(0))
    assert view.size == (1, 1)
