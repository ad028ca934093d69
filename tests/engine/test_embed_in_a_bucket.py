"""Embedding from a bucket to a bucket: what the store is asked for, and what is left there."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

import usl
from stores import nobody_may, requests_seen
from usl.core.errors import StoreError
from usl.core.hashing import bytes_digest
from usl.engine.store import Store
from usl.features.embed_shards import places_of
from usl.features.encoders.pixels import Pixels
from usl.features.shard_pieces import (
    EncoderSource,
    Piece,
    decode_piece,
    encode_pieces,
    join_pieces,
)
from usl.features.shard_plan import ShardPlan, unread_name

N = 8


@pytest.fixture
def photos(bucket):
    """Eight pictures, the last of them damaged."""
    rng = np.random.default_rng(0)
    for number in range(N):
        made = io.BytesIO()
        pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(made, "PNG")
        bucket.put(f"photos/{number}.png", made.getvalue() if number < N - 1 else b"no picture")
    return usl.open_collection(f"{bucket.address}/photos")


def pieces_of(plan, collection):
    for shard in range(plan.shards):
        for number, rows in enumerate(plan.pieces(shard)):
            images = collection.images.take(rows)
            yield Piece(shard, number, collection.ids[rows], images, *places_of(images))


def test_a_picture_costs_two_requests_and_a_small_file_one(photos, bucket):
    with requests_seen() as seen:
        usl.embed_shards(photos, f"{bucket.address}/f", "pixels", shard_images=5)
    asked = Counter(seen)
    for number in range(N):  # pyarrow asks for the size before it reads
        assert asked["GET", f"photos/{number}.png"] == asked["HEAD", f"photos/{number}.png"] == 1
    written = {path: n for (method, path), n in asked.items() if method in ("PUT", "POST")}
    names = {"_embedding.json", "part-00000.parquet", "part-00001.parquet", "_unread/00001.json"}
    assert written == {f"f/{name}": 1 for name in names | {"_features.json"}}


def test_pieces_make_the_same_shards_and_leave_nothing(photos, bucket):
    expected = usl.embed_shards(photos, f"{bucket.address}/whole", "pixels", shard_images=5)
    store = Store(f"{bucket.address}/f")
    plan = ShardPlan.of(store, photos, Pixels(), 5, "float16")
    plan.begin(overwrite=False)
    store.write(unread_name(0), b'[["0.png", "broken"]]')  # left by a call that was stopped
    source = EncoderSource("pixels", "fp32", Pixels.key)
    encode = encode_pieces(source, store, "float16", None)
    for piece in pieces_of(plan, photos):
        encode(decode_piece(piece, source=source, on_corrupt="skip"))
        join_pieces(store, piece.shard, 1)
        join_pieces(store, piece.shard, 1)  # by another worker, when the first was lost
    found = usl.embed_shards(photos, store.root, "pixels", shard_images=5)
    assert (found.computed, found.skipped) == (0, expected.skipped)
    for part in expected.shards.parts:
        made = (bucket.get(f"{folder}/{part.name}") for folder in ("f", "whole"))
        assert len({bytes_digest(content) for content in made}) == 1
    left = [key.removeprefix("f/") for key in bucket.listed() if key.startswith("f/")]
    assert not [key for key in left if key.startswith("_pieces")]


def test_a_refusal_in_a_worker_is_no_fault_of_pictures(photos, bucket):
    plan = ShardPlan.of(Store(f"{bucket.address}/f"), photos, Pixels(), 5, "float16")
    source = EncoderSource("pixels", "fp32", Pixels.key)
    piece = next(pieces_of(plan, photos))
    with nobody_may(), pytest.raises(StoreError, match="you may not"):
        decode_piece(piece, source=source, on_corrupt="skip")
