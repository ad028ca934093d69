"""Sources at addresses: a real S3 server, a web server; what lies there is read as on the disk."""

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stores import nobody_may
from usl.core.errors import DataError, MissingDependencyError, StoreError, UsageError
from usl.core.hashing import bytes_digest
from usl.data import addresses
from usl.data.addresses import address_of, check_on_disk, open_filesystem, shown
from usl.data.local_copy import home_of, local_file
from usl.data.open import open_collection
from usl.features.embed import embed
from usl.run.sources import source_record

PHOTOS = ("train/cat/1.jpg", "train/cat/2.jpg", "train/dog/1.jpg", "test/dog/ü 4.jpg")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("s3://bucket/photos", "s3://bucket/photos"),
        (Path("s3://bucket/photos"), "s3://bucket/photos"),
        (Path("https://host/f.npz"), "https://host/f.npz"),
        ("file:///photos", None),
        ("photos", None),
        (Path("photos"), None),
        ("builtin:fashion_mnist", None),
        (np.zeros(3), None),
    ],
)
def test_what_is_an_address(given, address):
    assert address_of(given) == address


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("https://host/f.npz?X-Amz-Signature=secret#part", "https://host/f.npz"),
        ("https://user:secret@host/f.npz", "https://host/f.npz"),
        ("s3://key:secret@bucket/a?b", "s3://bucket/a?b"),
        ("hf://datasets/me/cats@main/a", "hf://datasets/me/cats@main/a"),
    ],
)
def test_what_is_shown_of_an_address_holds_no_secret(address, public):
    assert shown(address) == public


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ss3://bucket", r"ss3://bucket: no address.*s3://, gs://.*Did you mean 's3'"),
        ("s3://", "names no bucket"),
        ("https://user:secret@host/f.npz", "^https://host/f.npz: a password is no part"),
        ("s3://key:secret@bucket/photos", "^s3://bucket/photos: a password is no part"),
    ],
)
def test_addresses_that_are_refused(address, message):
    with pytest.raises(UsageError, match=message) as caught:
        open_collection(address)
    assert "secret" not in str(caught.value)


def test_a_library_that_is_missing_is_named():
    with pytest.raises(MissingDependencyError, match=r"az:// needs.*adlfs.*'usl\[cloud\]'"):
        open_filesystem("az://container/photos")


def test_what_lies_on_the_disk_alone():
    with pytest.raises(UsageError, match="s3://bucket/run: a run lies on the disk"):
        check_on_disk(Path("s3://bucket/run"), "a run")


@pytest.fixture
def photos(make_images, bucket):
    """Photos on the disk and in the bucket, with what is none of them."""
    root = make_images(*PHOTOS, "train/cat/.hidden.jpg", "train/@eaDir/thumb.jpg", "run/1.jpg")
    (root / "train/readme.txt").write_text("hello")
    (root / "run/run.json").write_text("{}")
    (root / "run/split.csv").write_text("")
    bucket.put_folder(root, "photos/")
    return root, f"{bucket.address}/photos"


def alike(there, here):
    """Assert that a collection at an address is the one on the disk."""
    assert there.ids.tolist() == here.ids.tolist()
    assert there.subsets.tolist() == here.subsets.tolist()
    assert (there.labels is None) == (here.labels is None)
    assert there.labels is None or there.labels.tolist() == here.labels.tolist()
    assert there.kind == here.kind
    assert there.digests().tolist() == here.digests().tolist()
    if here.features is not None:
        assert np.array_equal(there.features[:], here.features[:])


def test_a_folder_is_read_as_on_the_disk(photos):
    here, there = map(open_collection, photos)
    alike(there, here)
    assert (there.source, there.passed_over) == (photos[1], here.passed_over)
    again = pickle.loads(pickle.dumps(there.images)).take([3, 0])
    for row, other in enumerate([3, 0]):
        assert np.array_equal(np.asarray(again.read(row)), np.asarray(here.images.read(other)))
    assert there.images.size(0) == here.images.size(0) == (8, 6)
    alike(open_collection(photos[1], labels="none"), open_collection(photos[0], labels="none"))


@pytest.mark.parametrize("pattern", ["train/*/*.jpg", "**/1.jpg", "t*/dog/*", "*/*/[12].jpg"])
def test_a_glob_matches_as_on_the_disk(photos, pattern):
    here, there = open_collection(photos[0] / pattern), open_collection(f"{photos[1]}/{pattern}")
    assert sorted(there.images.where(row).removeprefix(photos[1]) for row in range(len(there))) == (
        sorted(str(here.images.path(row)).removeprefix(str(photos[0])) for row in range(len(here)))
    )


def test_digests_are_remembered_until_the_object_changes(photos, bucket, monkeypatch):
    monkeypatch.setattr("usl.data.digests.RACY_NS", -(10**10))  # as if all were of yesterday
    before = open_collection(photos[1])
    known = before.digests().tolist()
    before.images.memo.flush()
    with monkeypatch.context() as patch:
        patch.setattr("usl.data.addressed_images.read_bytes", None)  # nothing is read again
        assert open_collection(photos[1]).digests().tolist() == known
    content = (photos[0] / PHOTOS[2]).read_bytes()
    bucket.put(f"photos/{PHOTOS[0]}", content + b"more")
    after = open_collection(photos[1])
    row = after.ids.tolist().index(PHOTOS[0])
    assert after.digest(row) == bytes_digest(content + b"more") != known[row]


def test_tables_and_arrays_are_read_as_on_the_disk(make_images, bucket, tmp_path):
    root = make_images("b/1.jpg", "b/2.jpg")
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.savez(root / "f.npz", features=rows, ids=list("abcde"), labels=list("xyxyx"))
    (root / "shards").mkdir()
    np.save(root / "shards/part-2.npy", rows)
    np.save(root / "shards/part-10.npy", -rows)
    (root / "f.csv").write_text("image_id,f0,f1\na,1,2\nb,3,4\n")
    (root / "list.csv").write_text("path,label\nb/2.jpg,cat\nb\\1.jpg,\n")
    pictures = [{"bytes": (root / f"b/{n}.jpg").read_bytes(), "path": f"{n}.jpg"} for n in (1, 2)]
    (root / "hub").mkdir()
    pq.write_table(pa.table({"image": pictures, "label": [1, 0]}), root / "hub/train.parquet")
    (root / "mnist").mkdir()
    idx = struct.pack(">IIII", 0x803, 2, 3, 4) + bytes(range(24))
    (root / "mnist/train-images-idx3-ubyte").write_bytes(idx)
    (root / "mnist/train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 2) + b"\1\0")
    bucket.put_folder(root)
    folders = ("shards", "shards/*.npy", "hub", "hub/train.parquet", "mnist")
    for name in ("f.npz", "f.csv", "list.csv", *folders):
        there = open_collection(f"{bucket.address}/{name}")
        alike(there, open_collection(root / name))
        assert there.source == f"{bucket.address}/{name}"
    assert "list.csv" not in os.listdir(home_of(f"{bucket.address}/shards"))


def test_metadata_of_a_folder_are_read_as_on_the_disk(make_images, bucket):
    root = make_images("train/1.jpg", "train/2.jpg", "test/3.jpg")
    (root / "train/metadata.csv").write_text("file_name,label\n2.jpg,cat\n")
    bucket.put_folder(root)
    there, here = open_collection(bucket.address), open_collection(root)
    alike(there, here)
    assert there.skipped == here.skipped != ()


def test_a_copy_is_made_anew_when_the_object_changes(bucket, monkeypatch):
    monkeypatch.setattr("usl.data.digests.RACY_NS", -(10**10))  # as if all were of yesterday
    bucket.put("f.csv", b"image_id,f0,f1\na,1,2\n")
    copy = local_file(f"{bucket.address}/f.csv")
    first = copy.stat().st_ino
    assert local_file(f"{bucket.address}/f.csv").stat().st_ino == first
    bucket.put("f.csv", b"image_id,f0,f1\na,1,2\nb,3,4\n")
    assert len(open_collection(f"{bucket.address}/f.csv")) == 2


# What goes wrong


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", "path\nnope.jpg\n", r"/list\.csv, row 2: no file 'nope\.jpg' in s3://test-"),
        ("list.csv", "path\ns3://other/1.jpg\n", "row 2: 's3://other/1.jpg' lies elsewhere"),
        ("list.csv", "path\n../../1.jpg\n", r"row 2: '../../1\.jpg' lies elsewhere"),
        ("list.csv", "path\n/etc/1.jpg\n", "row 2: '/etc/1.jpg' lies elsewhere"),
        ("f.csv", "image_id,f0,f1\na,1,2\nb,3\n", r"s3://test-\w+/in/f\.csv, row 3: 2 cells"),
        ("f.npz", "PK", r"s3://test-\w+/in/f\.npz"),
        ("a.zip", "PK", r"s3://test-\w+/in/a\.zip: unknown format"),
        ("a.jpg", "", r"s3://test-\w+/in/a\.jpg: one image is no collection"),
    ],
)
def test_faults_name_the_address(bucket, name, content, message):
    bucket.put(f"in/{name}", content.encode())
    with pytest.raises(DataError, match=message) as caught:
        open_collection(f"{bucket.address}/in/{name}")
    assert os.environ["USL_CACHE"] not in str(caught.value)


def test_faults_within_a_copy_name_the_address(bucket):
    pictures = [{"bytes": b"no picture", "path": "1.jpg"}]
    made = io.BytesIO()
    pq.write_table(pa.table({"image": pictures}), made)
    bucket.put("hub/train.parquet", made.getvalue())
    with pytest.raises(DataError, match=rf"^{bucket.address}/hub/train\.parquet, row 1: not an"):
        open_collection(f"{bucket.address}/hub").images.read(0)
    bucket.put("p/train/1.jpg", b"x")
    bucket.put("p/train/metadata.csv", b"file_name\n2.jpg\n")
    with pytest.raises(
        DataError, match=rf"^{bucket.address}/p/train/metadata\.csv, row 2: no file"
    ):
        open_collection(f"{bucket.address}/p")


def test_places_where_nothing_is(bucket):
    bucket.put("docs/readme.pdf", b"x")
    with pytest.raises(DataError, match=rf"{bucket.address}/none: not there"):
        open_collection(f"{bucket.address}/none")
    with pytest.raises(DataError, match=r"s3://no-such-bucket/a: there is no such bucket"):
        open_collection("s3://no-such-bucket/a")
    with pytest.raises(DataError, match=rf"{bucket.address}: no images found.*1 x \.pdf"):
        open_collection(bucket.address)


def test_keys_that_no_file_can_have_are_left_out_by_name(bucket):
    for key in ("p/1.jpg", "p//2.jpg", "p/../3.jpg"):
        bucket.put(key, b"x")
    found = open_collection(f"{bucket.address}/p")
    assert found.ids.tolist() == ["1.jpg"]
    assert [name for name, _ in found.skipped] == ["../3.jpg", "/2.jpg"]


def test_a_listing_that_changes_while_it_is_read(photos, bucket):
    found = open_collection(photos[1])
    bucket.delete("photos/train/cat/1.jpg")
    bucket.put("photos/train/cat/2.jpg", b"other")
    with pytest.raises(DataError, match=rf"{photos[1]}/train/cat/1\.jpg: not there, or gone"):
        found.images.read(found.ids.tolist().index("train/cat/1.jpg"))
    with pytest.raises(DataError, match=r"cat/2\.jpg: 5 bytes, but [\d,]+ when.*changed since"):
        found.images.read(found.ids.tolist().index("train/cat/2.jpg"))
    encoded = embed(found, "pixels")  # as of a broken file, its neighbours are encoded
    assert sorted(name for name, _ in encoded.skipped) == ["train/cat/1.jpg", "train/cat/2.jpg"]


def test_a_refusal_stops_the_work_and_is_no_fault_of_pictures(photos):
    found = open_collection(photos[1])
    with nobody_may():
        with pytest.raises(StoreError, match=rf"{photos[1]}: you may not .*credentials"):
            open_collection(photos[1])
        with pytest.raises(StoreError, match=rf"{photos[1]}/.*\.jpg: you may not"):
            embed(found, "pixels", on_corrupt="skip")
    assert len(embed(found, "pixels").rows) == len(PHOTOS)


def test_a_store_that_cannot_be_reached(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(addresses, "TRIES", 1)
    with pytest.raises(StoreError, match=rf"{bucket.address}/a: cannot be reached.*same command"):
        open_collection(f"{bucket.address}/a")


# The web


@pytest.fixture
def listed(web, make_images, tmp_path):
    """A table of two images on the web."""
    root = make_images("cat/1.jpg", "dog/2.jpg", folder="web")
    (root / "list.csv").write_text("path,label\ncat/1.jpg,cat\ndog/2.jpg,dog\n")
    return root


def test_a_list_on_the_web(listed, web):
    alike(open_collection(f"{web.address}/list.csv"), open_collection(listed / "list.csv"))


def test_nothing_but_what_was_named_is_asked_for(listed, web):
    (listed / "list.csv").write_text(f"path\n{web.address.replace('127.', '127.0')}/cat/1.jpg\n")
    with pytest.raises(DataError, match=r"list\.csv, row 2: .* lies elsewhere"):
        open_collection(f"{web.address}/list.csv")
    assert set(web.asked) == {"/list.csv"}


def test_a_signature_is_used_and_not_kept(web, tmp_path):
    (web.folder / "signed").mkdir()
    np.savez(web.folder / "signed/f.npz", features=np.eye(3))
    address = f"{web.address}/signed/f.npz"
    found = open_collection(f"{address}?signature=secret")
    assert "secret" not in repr((found.source, source_record(f"{address}?signature=secret", found)))
    assert not [file for file in Path(os.environ["USL_CACHE"]).rglob("*") if "secret" in str(file)]
    with pytest.raises(StoreError, match=rf"^{address}: you may not.*403") as caught:
        open_collection(f"{address}?signature=secre")
    assert "secre" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("photos/", r"/photos/: folders on the web cannot be listed"),
        ("photos", r"/photos: folders on the web cannot be listed"),
        ("none.csv", r"/none\.csv: not there"),
    ],
)
def test_what_the_web_has_not(web, name, message):
    with pytest.raises(DataError, match=message):
        open_collection(f"{web.address}/{name}")


def test_a_picture_that_the_web_has_not(listed, web):
    found = open_collection(f"{web.address}/list.csv")
    (listed / "cat/1.jpg").unlink()
    with pytest.raises(DataError, match=rf"{web.address}/cat/1\.jpg: not there"):
        found.images.read(0)
