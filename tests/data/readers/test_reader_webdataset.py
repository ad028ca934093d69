"""WebDataset tars, on the disk and in a bucket; the reference is what the tests put into them."""

import io
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from tars import picture, write_tar
from usl.core.errors import DataError
from usl.core.hashing import bytes_digest
from usl.data.open import open_collection
from usl.data.readers.webdataset import expanded


@pytest.fixture
def tars(tmp_path):
    """Two tars of train with labels as text, one of val with labels in JSON."""
    home = tmp_path / "photos"
    for shard in (0, 1):
        members: list = []
        for number in (2 * shard, 2 * shard + 1):
            members += [(f"{number:03d}.png", picture(number)), (f"{number:03d}.cls", "cat\n")]
        write_tar(home / f"train-{shard:04d}.tar", members)
    told = {"label": "dog", "secret": 1}
    write_tar(home / "val-0000.tar", [("./a/9.json", told), ("./a/9.png", picture(9))])
    (home / "README.md").write_text("photos")
    return home


IDS = ["train-0000/000.png", "train-0000/001.png", "train-0001/002.png", "train-0001/003.png"]


def test_samples_labels_and_subsets(tars):
    found = open_collection(tars)
    assert found.ids.tolist() == [*IDS, "val-0000/a/9.png"]
    assert found.labels.tolist() == ["cat"] * 4 + ["dog"]
    assert found.subsets.tolist() == ["train"] * 4 + ["val"]
    assert found.passed_over == {".md": 1}
    assert dict(found.extra) == {}  # nothing of a JSON but the label, which evaluation alone sees
    assert [found.digest(row) for row in range(5)] == [
        bytes_digest(picture(number)) for number in (0, 1, 2, 3, 9)
    ]
    again = pickle.loads(pickle.dumps(found.images)).take([4])
    assert np.array_equal(again.read(0), np.asarray(Image.open(io.BytesIO(picture(9)))))


@pytest.mark.parametrize(
    ("name", "count"),
    [("train-0001.tar", 2), ("train-*.tar", 4), ("train-{0000..0001}.tar", 4), ("", 5)],
)
def test_in_a_bucket_as_on_the_disk(tars, bucket, name, count):
    bucket.put_folder(tars, "photos/")
    address = f"{bucket.address}/photos/{name}".rstrip("/")
    here, there = open_collection(tars / name), open_collection(address)
    assert there.ids.tolist() == here.ids.tolist()
    assert len(there) == count
    assert there.labels.tolist() == here.labels.tolist()
    assert there.digests().tolist() == here.digests().tolist()


def test_a_tar_on_the_web(tars, web):
    (web.folder / "train-0000.tar").write_bytes((tars / "train-0000.tar").read_bytes())
    there = open_collection(f"{web.address}/train-0000.tar")
    assert (there.ids.tolist(), there.digest(1)) == (IDS[:2], bytes_digest(picture(1)))


def test_an_index_is_kept_but_not_of_a_tar_that_may_still_change(tars, bucket, monkeypatch):
    bucket.put_folder(tars)
    address = f"{bucket.address}/train-0000.tar"
    assert len(open_collection(address)) == 2
    write_tar(tars / "train-0000.tar", [(f"{number}.png", picture(number)) for number in range(3)])
    bucket.put_folder(tars)  # within the second, and of the same size: tars are padded
    assert len(open_collection(address)) == 3
    monkeypatch.setattr("usl.data.digests.RACY_NS", -(10**10))  # as if all were of yesterday
    before = open_collection(address)
    monkeypatch.setattr("usl.data.tar_index._read_headers", None)
    after = open_collection(address)
    assert after.ids.tolist() == before.ids.tolist()
    assert after.digests().tolist() == before.digests().tolist()


def test_of_several_pictures_the_plainest_counts(tmp_path):
    members = [("1.mask.png", picture(1)), ("1.png", picture(2)), ("1.txt", "a cat")]
    found = open_collection(write_tar(tmp_path / "t.tar", [*members, (".2.png", picture(3))]))
    assert found.ids.tolist() == ["t/1.png"]
    assert found.labels is None
    assert found.passed_over == {".txt": 1}
    assert "1 sample of several pictures, of which one counts; '1.png' is one" in found.notes[0]


def test_a_member_written_twice_counts_as_it_was_last(tmp_path):
    path = write_tar(tmp_path / "t.tar", [("1.png", picture(1)), ("1.png", picture(2))])
    assert open_collection(path).digest(0) == bytes_digest(picture(2))


def test_ids_stay_when_shards_come_to_another_folder(tars, bucket, tmp_path):
    home = tmp_path / "home"
    write_tar(home / "train/0.tar", [("1.png", picture(1))])
    bucket.put_folder(home)
    assert open_collection(home).ids.tolist() == ["train/0/1.png"]
    assert open_collection(bucket.address).ids.tolist() == ["train/0/1.png"]
    assert open_collection(f"{bucket.address}/*/*.tar").ids.tolist() == ["train/0/1.png"]
    write_tar(home / "val/0.tar", [("2.png", picture(2))])
    found = open_collection(home / "*/*.tar")
    assert found.ids.tolist() == ["train/0/1.png", "val/0/2.png"]
    assert found.subsets.tolist() == ["train", "val"]


def test_names_that_are_no_text_are_refused(tmp_path):
    path = write_tar(tmp_path / "t.tar", [("a" + chr(0xDCFF) + ".png", picture(1))])
    with pytest.raises(DataError, match=r"t\.tar, a.udcff\.png: the id .* is not valid Unicode"):
        open_collection(path)


def test_ranges():
    assert expanded("a-{08..11}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    with pytest.raises(DataError, match=r"{3\.\.1} is no range of numbers that go up"):
        expanded("a-{3..1}.tar")


def damaged(path):
    """The second header of a tar is none."""
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        second = tar.getmembers()[1].offset
    content[second : second + 512] = b"x" * 512
    return bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.read_bytes()[:600], "not a readable tar .*unexpected end"),
        (damaged, r"not a readable tar .damaged at byte 1,024"),
        (lambda path: b"", "not a readable tar .empty file"),
        (lambda path: 2 * path.read_bytes(), "not a readable tar .damaged at byte"),
        (lambda path: b"no tar" * 500, "not a readable tar"),
    ],
)
def test_broken_tars_are_named(tars, bucket, change, message):
    path = tars / "train-0001.tar"
    path.write_bytes(change(path))
    bucket.put_folder(tars)
    with pytest.raises(DataError, match=rf"{path}: {message}"):
        open_collection(tars)
    with pytest.raises(DataError, match=rf"{bucket.address}/train-0001\.tar: {message}"):
        open_collection(bucket.address)


def test_tars_that_cannot_be_used(tars, tmp_path):
    write_tar(tmp_path / "texts.tar", [("1.txt", "a"), ("2.txt", "b")])
    with pytest.raises(DataError, match=r"texts\.tar: no images in 1 tar; there 2 x \.txt"):
        open_collection(tmp_path / "texts.tar")
    packed = write_tar(tmp_path / "packed.tar", [("1.png", picture(1))], "w:gz")
    with pytest.raises(DataError, match=r"packed\.tar: not a readable tar.*without compression"):
        open_collection(packed)
    with pytest.raises(DataError, match=r"train-0002\.tar: not there"):
        open_collection(tars / "train-{0000..0002}.tar")


def test_a_tar_that_changes_while_it_is_read(tars):
    found = open_collection(tars / "train-0000.tar")
    (tars / "train-0000.tar").write_bytes(b"short")
    with pytest.raises(DataError, match=r"train-0000\.tar, 001\.png: cut short, or changed"):
        found.images.read(1)


def test_some_pictures_travel_without_the_other_tars(tars):
    some = open_collection(tars).images.take([4, 2])
    assert [tar.rpartition("/")[2] for tar in some.shards] == ["train-0001.tar", "val-0000.tar"]
    assert [some.content(row) for row in (0, 1)] == [picture(9), picture(2)]
    assert some.where(1) == f"{tars}/train-0001.tar, 002.png"
    assert some.take([1, 1, 0]).take([2]).digest(0) == bytes_digest(picture(9))
