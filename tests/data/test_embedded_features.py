"""Shards of features as a source on one machine: the encoder is known, and pictures are there."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import usl
from usl.core.errors import DataError, UslWarning
from usl.data.open import open_collection
from usl.engine.shards import write_record, write_shard
from usl.labeling.page.similar import Similar
from usl.selection.sharded.start_sharded_run import write_sample


@pytest.fixture
def photos(make_images):
    """Six pictures, three each of two classes."""
    return make_images(*(f"{name}/{number}.png" for name in "ab" for number in range(3)))


def check_alike(there, here, encoder):
    """The shards hold the features of a folder's pictures, and show these pictures."""
    assert there.ids.tolist() == here.ids.tolist()
    np.testing.assert_array_equal(there.features[:], usl.embed(here, "pixels", cache=False).rows)
    assert there.digests().tolist() == here.digests().tolist()
    for row in (0, 4):
        assert np.array_equal(np.asarray(there.images.read(row)), np.asarray(here.images.read(row)))
    assert there.take([4]).digest(0) == here.digest(4)
    assert usl.embed(there).encoder == encoder
    assert there.notes == ()


def test_a_folder_of_shards(photos, tmp_path):
    here = open_collection(photos)
    made = usl.embed_shards(here, tmp_path / "s", "pixels", shard_images=4)
    check_alike(open_collection(tmp_path / "s"), here, made.encoder)


def test_shards_in_a_bucket(photos, bucket):
    bucket.put_folder(photos, "photos/")
    here = open_collection(f"{bucket.address}/photos")
    made = usl.embed_shards(here, f"{bucket.address}/s", "pixels", shard_images=4)
    there = open_collection(f"{bucket.address}/s")
    assert there.source == f"{bucket.address}/s"
    check_alike(there, here, made.encoder)


def test_a_picture_that_is_gone_is_told_when_it_is_looked_at(photos, tmp_path):
    usl.embed_shards(open_collection(photos), tmp_path / "s", "pixels")
    (photos / "a/1.png").unlink()
    found = open_collection(tmp_path / "s")
    with pytest.raises(DataError, match=r"a/1\.png"):
        found.images.read(1)
    assert len(usl.embed(found).rows) == 6


def test_a_run_on_shards_trains_and_labels_new_pictures(photos, tmp_path):
    usl.embed_shards(open_collection(photos), tmp_path / "s", "pixels")
    run = usl.start_run(tmp_path / "s", 5, tmp_path / "run", method="kmeans", pca=2)
    assert run.info["encoder"]["name"] == "pixels"
    split = (run.path / "split.csv").read_text()
    (run.path / "split.csv").write_text(
        re.sub(r"([ab])(/\d.png,train),requested,,1", r"\1\2,labeled,\1,1", split)
    )
    usl.train(run, method="nearest_mean")
    assert usl.predict(run, photos).ids.tolist() == run.collection().ids.tolist()
    with pytest.raises(DataError, match=r"holds images, but the run .* was made from features"):
        usl.add_images(run, photos)
    usl.embed_shards(open_collection(photos / "a"), tmp_path / "more", "pixels")
    with pytest.warns(UslWarning, match="3 new images are an exact copy"):
        assert usl.add_images(run, tmp_path / "more").ids == ["0.png", "1.png", "2.png"]
    assert len(usl.Run.open(run.path).collection()) == 9
    record = (tmp_path / "more/_features.json").read_text()
    (tmp_path / "more/_features.json").write_text(record.replace('"pixels', '"dots'))
    with pytest.raises(DataError, match=r"dots features, but those of the run .* are pixels"):
        usl.add_images(run, tmp_path / "more")


def test_features_of_an_unknown_encoder_are_given_ones(photos, tmp_path):
    usl.embed_shards(open_collection(photos), tmp_path / "s", "pixels")
    record = json.loads((tmp_path / "s/_features.json").read_text())
    record["encoder"] = {"name": "mine"}
    (tmp_path / "s/_features.json").write_text(json.dumps(record))
    assert usl.embed(open_collection(tmp_path / "s")).encoder.name == "given"
    (tmp_path / "s/_features.json").write_text("[]")
    with pytest.raises(DataError, match=r"_features\.json: no record of shards"):
        open_collection(tmp_path / "s")


def test_the_table_beside_a_run_from_shards(photos, tmp_path):
    here = open_collection(photos)
    made = usl.embed_shards(here, tmp_path / "s", "pixels", shard_images=4)
    rows = np.concatenate([made.shards.read(number) for number in range(2)])
    chosen = np.array([5, 0, 2])
    write_sample(tmp_path / "t.parquet", made.shards, chosen, rows[chosen])
    there, expected = open_collection(tmp_path / "t.parquet"), here.take([5, 0, 2])
    assert there.ids.tolist() == expected.ids.tolist()
    assert there.digests().tolist() == expected.digests().tolist()
    assert usl.embed(there).encoder == made.encoder


def test_page_and_report_of_a_run_from_shards_speak_of_the_whole_table(photos, tmp_path):
    usl.embed_shards(open_collection(photos), tmp_path / "s", "pixels")
    run = usl.start_run(tmp_path / "s", 2, tmp_path / "run", method="kmeans", pca=2)
    info = json.loads((run.path / "run.json").read_text())
    looked = {"rows": 70_000, "looked_at": 50_000}
    info["shards"] = {"address": "s3://lab/features", "digest": "d", **looked}
    (run.path / "run.json").write_text(json.dumps(info))
    picks = pq.read_table(run.path / "selection.parquet")
    sizes = pa.array([40_000, 30_000])
    picks = picks.set_column(picks.column_names.index("cluster_size"), "cluster_size", sizes)
    pq.write_table(picks, run.path / "selection.parquet")
    run = usl.Run.open(run.path)
    page = usl.write_report(run).read_text()
    assert "2 picks from features" in page
    assert "2 of 70,000 images picked" in page
    assert "looked at 50,000 of them" in page
    assert "stands for 40,000" in page
    assert "s3://lab/features (70,000 rows)" in page
    collection = run.collection()
    places = {name: row for row, name in enumerate(collection.ids.tolist())}
    counts = [
        Similar(run, collection, places).count(name) for name in picks["image_id"].to_pylist()
    ]
    assert counts == [40_000, 30_000]


@pytest.mark.parametrize(
    "paths",
    [
        ["s3://one/a.png", "gs://two/b.png"],
        ["s3://one/a.png", "s3://two/b.png"],
        ["mine://one/a.png", "mine://one/b.png"],
        ["s3://one/a.png", "/b.png"],
        ["s3://one/a.png", ""],
    ],
)
def test_pictures_without_a_place_that_holds_them_all_are_not_shown(paths, tmp_path):
    part = write_shard(str(tmp_path), 0, ["a", "b"], np.eye(2, dtype=np.float16), paths=paths)
    write_record(str(tmp_path), 2, [part], {})
    found = open_collection(tmp_path)
    assert found.images is None
    assert found.features[:].tolist() == np.eye(2).tolist()
