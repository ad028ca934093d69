"""Shards of features made from tars show their pictures: the reference is what lies in the tars."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

import tars as written
import usl
from stores import requests_seen
from usl.cli import main
from usl.core.errors import DataError
from usl.data.open import open_collection
from usl.data.tar_images import member_of
from usl.engine.shards import write_record, write_shard
from usl.selection.sharded.start_sharded_run import write_sample

picture = partial(written.picture, kind="BMP")  # all of one size
NAMES = {"t-0.tar": ["0.png", "1.png", "2.png"], "t-1.tar": ["a/3.png", "b::c/4.png", "5.png"]}


@pytest.fixture
def tars(tmp_path):
    """Two tars of three pictures each."""
    place, number = tmp_path / "tars", 0
    for tar, names in NAMES.items():
        written.write_tar(
            place / tar, [(name, picture(number + at)) for at, name in enumerate(names)]
        )
        number += len(names)
    return place


def check_pictures(found):
    """The six pictures, whole, read from the tars; and their digests without a look at them."""
    assert [found.images.content(row) for row in range(6)] == list(map(picture, range(6)))
    assert found.images.take([4]).content(0) == picture(4)
    assert found.take([4, 1]).digests().tolist() == found.digests()[[4, 1]].tolist()
    assert found.images.read(5).size == (8, 8)


def test_shards_name_the_bytes_of_every_picture(tars, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    usl.embed_shards(open_collection(tars), tmp_path / "s", "pixels", shard_images=4)
    rows = [
        row for part in sorted((tmp_path / "s").glob("*.parquet"))
        for row in pq.read_table(part).drop_columns("feature").to_pylist()
    ]  # fmt: skip
    assert rows[0]["path"] == f"tar://0.png::{tars}/t-0.tar"
    for number, row in enumerate(rows):
        content = (tars / row["path"].rpartition("/")[2]).read_bytes()
        assert content[row["offset"] : row["offset"] + row["size"]] == picture(number)
        if number != 4:  # whose name fsspec cannot chain
            with fsspec.open(row["path"]) as handle:
                assert handle.read() == picture(number)
    there = open_collection(tmp_path / "s")
    check_pictures(there)
    assert there.digests().tolist() == open_collection(tars).digests().tolist()


def test_a_picture_in_a_bucket_costs_a_request_and_a_tar_one(tars, bucket, tmp_path):
    bucket.put_folder(tars, "tars/")
    here = open_collection(f"{bucket.address}/tars/t-{{0..1}}.tar")
    made = usl.embed_shards(here, tmp_path / "s", "pixels")
    write_sample(tmp_path / "t.parquet", made.shards, np.arange(6), made.shards.read(0))
    there = open_collection(tmp_path / "t.parquet")
    with requests_seen() as seen:
        assert [there.images.content(row) for row in range(6)] == list(map(picture, range(6)))
    tars_asked = [f"tars/{name}" for name in NAMES]
    assert Counter(seen) == {
        **{("HEAD", tar): 1 for tar in tars_asked},
        **{("GET", tar): 3 for tar in tars_asked},
    }


def test_a_tar_on_a_web_server_that_sends_whole_files(tars, web, tmp_path):
    for tar in NAMES:
        (web.folder / tar).write_bytes((tars / tar).read_bytes())
    here = open_collection(f"{web.address}/t-{{0..1}}.tar")
    usl.embed_shards(here, tmp_path / "s", "pixels")
    there = open_collection(tmp_path / "s")
    assert there.images.address(0) == f"tar://0.png::{web.address}/t-0.tar"
    check_pictures(there)


@pytest.mark.parametrize("stored", ["here", "bucket"])
def test_a_tar_that_has_changed_or_gone_is_named_and_no_other_picture_shown(
    stored, tars, bucket, tmp_path
):
    def put():
        bucket.put_folder(tars, "tars/")

    put()
    home = str(tars) if stored == "here" else f"{bucket.address}/tars"
    usl.embed_shards(open_collection(home), tmp_path / "s", "pixels")

    def refused(why, *rows):
        put()
        images = open_collection(tmp_path / "s").images
        for row in rows:
            with pytest.raises(DataError, match=rf"{home}/t-0\.tar, {row}\.png: {why}"):
                images.read(row)
        assert images.content(3) == picture(3)

    whole = (tars / "t-0.tar").read_bytes()
    written.write_tar(tars / "t-0.tar", [(f"{row}.png", picture(row + 1)) for row in range(3)])
    refused("other bytes lie there than were embedded", 0, 1, 2)  # same names, sizes and offsets
    (tars / "t-0.tar").write_bytes(whole[:600])  # within the first picture
    refused("other bytes lie there", 0, 1)
    (tars / "t-0.tar").write_bytes(whole)
    put()
    check_pictures(open_collection(tmp_path / "s"))
    (tars / "t-0.tar").unlink()
    bucket.delete("tars/t-0.tar")
    refused("not there, or gone", 0, 2)


@pytest.mark.parametrize(
    ("paths", "spans", "digests"),
    [
        (["tar://a::/t.tar", "tar://b::/t.tar"], None, ["d", "d"]),
        (["tar://a::/t.tar", "tar://b::/t.tar"], [[0, 1], [5, 6]], None),
        (["tar://a::/t.tar", "/b.png"], [[0, 1], [5, 6]], ["d", "d"]),
        (["tar://a::/t.tar", "tar://b::mine://t.tar"], [[0, 1], [5, 6]], ["d", "d"]),
        (["tar://a::/t.tar", "tar://b::/t.tar"], [[0, 1], [-5, 6]], ["d", "d"]),
    ],
)
def test_pictures_of_tars_that_nothing_can_vouch_for_are_not_shown(paths, spans, digests, tmp_path):
    spans = None if spans is None else np.array(spans)
    rows = np.eye(2, dtype=np.float16)
    how = {"paths": paths, "spans": spans, "digests": digests}
    write_record(str(tmp_path), 2, [write_shard(str(tmp_path), 0, ["a", "b"], rows, **how)], {})
    assert open_collection(tmp_path).images is None


def test_the_address_of_a_member():
    assert member_of("tar://a/b.png::s3://bucket/t.tar") == ("a/b.png", "s3://bucket/t.tar")
    assert member_of("tar://b::c/4.png::/x/t.tar") == ("b::c/4.png", "/x/t.tar")
    assert member_of(r"tar://a.png::C:\t.tar") == ("a.png", r"C:\t.tar")
    for other in ("/t.tar", "s3://bucket/a.png", "tar://a.png::t.tar", "tar://a.png"):
        assert member_of(other) is None


def test_pictures_without_an_address_are_said_where_shards_are_made(tmp_path, tars, capsys):
    np.save(tmp_path / "pictures.npy", np.zeros((2, 8, 8, 3), np.uint8))
    told = "pictures of this kind of source have no address"
    for source, count in ((tmp_path / "pictures.npy", 1), (tars, 0)):
        out = str(tmp_path / f"shards-{count}")
        assert main(["embed", str(source), "--model", "pixels", "--out", out]) == 0
        assert capsys.readouterr().out.count(told) == count
