"""Embedding and predicting in shards: the rows and labels of one machine, whatever is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import usl
from picture_run import make_picture_run, write_noise
from tars import picture, write_tar
from usl.cli.app import main
from usl.core.errors import DataError, UsageError
from usl.engine.shards import open_shards, shard_name
from usl.engine.store import Store
from usl.features import embed_shards
from usl.features.encoders.pixels import Pixels
from usl.features.shard_pieces import EncoderSource, Piece, decode_piece, encode_pieces
from usl.features.shard_plan import ShardPlan

SHARD = 300  # images, of 700: three shards, the first two of more than one piece


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """700 pictures, two of them damaged, and two the same."""
    folder = tmp_path_factory.mktemp("photos")
    write_noise(folder, 700)
    (folder / "005.png").write_bytes(b"no picture")
    (folder / "400.png").write_bytes((folder / "401.png").read_bytes()[:60])
    (folder / "650.png").write_bytes((folder / "649.png").read_bytes())
    return folder


@pytest.fixture(scope="module")
def one_machine(photos):
    """Its collection, and what one machine makes of it."""
    collection = usl.open_collection(photos)
    return collection, usl.embed(collection, "pixels", cache=False)


@pytest.fixture(scope="module")
def on_ray(cluster, one_machine, tmp_path_factory):
    """The shards that the cluster makes of it."""
    place = tmp_path_factory.mktemp("ray") / "shards"
    return usl.embed_shards(one_machine[0], place, "pixels", engine="ray", shard_images=SHARD)


def check_rows(shards, collection, expected):
    """The shards hold the rows of one machine, in its order, whole numbers below 256."""
    numbers = range(len(shards.parts))
    ids = np.concatenate([shards.ids(number) for number in numbers])
    np.testing.assert_array_equal(ids, collection.ids[expected.kept])
    rows = np.concatenate([shards.read(number) for number in numbers])
    np.testing.assert_array_equal(rows, expected.rows)
    digests = np.concatenate([shards.texts(number, "digest") for number in numbers])
    assert digests.tolist() == [collection.images.digest(row) for row in expected.kept]


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_the_rows_and_errors_of_one_machine(engine, one_machine, tmp_path, request):
    collection, expected = one_machine
    if engine == "ray":
        found = request.getfixturevalue("on_ray")
    else:
        found = usl.embed_shards(collection, tmp_path / "s", "pixels", shard_images=SHARD)
    assert [part.rows for part in found.shards.parts] == [299, 299, 100]
    assert found.skipped == expected.skipped
    assert len(found.skipped) == 2
    assert (found.computed, found.reused) == (700, 0)
    check_rows(open_shards(found.shards.store.root), collection, expected)


def test_a_finished_embedding_is_not_made_again(one_machine, on_ray):
    place = on_ray.shards.store.root
    found = usl.embed_shards(one_machine[0], place, "pixels", engine="ray", shard_images=SHARD)
    assert (found.computed, found.reused) == (0, 700)
    assert found.skipped == on_ray.skipped
    assert found.shards.digest == on_ray.shards.digest


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_pieces(cluster, one_machine, on_ray, tmp_path):
    class Fatal(Pixels):
        """Kills its process at the first picture, once in all."""

        def prepare(self, image):
            mark = tmp_path / "killed"
            try:
                mark.touch(exist_ok=False)
            except FileExistsError:
                return super().prepare(image)
            os.kill(os.getpid(), signal.SIGKILL)

    place = tmp_path / "shards"
    found = usl.embed_shards(one_machine[0], place, Fatal(), engine="ray", shard_images=SHARD)
    assert (tmp_path / "killed").exists()
    assert found.skipped == on_ray.skipped
    for number, part in enumerate(on_ray.shards.parts):
        theirs = Path(on_ray.shards.store.root) / shard_name(number)
        assert (place / part.name).read_bytes() == theirs.read_bytes()


def test_a_driver_that_is_killed_goes_on(one_machine, photos, tmp_path):
    """Killed when its first shard stands, which is kept; the rest is that of one machine."""
    place = tmp_path / "shards"
    code = """
        import os, signal, sys
        import usl
        from usl.features import embed_shards

        whole = embed_shards.write_part

        def fatal(*given, **named):
            part = whole(*given, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        embed_shards.write_part = fatal
        usl.embed_shards(usl.open_collection(sys.argv[1]), sys.argv[2], "pixels", shard_images=300)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(photos), str(place)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with pytest.raises(DataError, match=r"_features.json: not there, so these are no finished"):
        open_shards(str(place))
    found = usl.embed_shards(one_machine[0], place, "pixels", shard_images=SHARD)
    assert (found.computed, found.reused) == (400, 300)
    assert found.skipped == one_machine[1].skipped
    check_rows(found.shards, *one_machine)


@pytest.mark.slow
def test_pieces_that_are_there_are_not_made_again(cluster, one_machine, on_ray, tmp_path):
    """What a killed driver leaves of a shard on Ray: the next call makes the other pieces."""
    collection, place = one_machine[0], tmp_path / "shards"
    plan = ShardPlan.of(
        on_ray.shards.store.__class__(str(place)), collection, Pixels(), 300, "float16"
    )
    plan.begin(overwrite=False)

    source = EncoderSource("pixels", "fp32", Pixels.key)
    rows = plan.pieces(0)[0]
    piece = Piece(0, 0, collection.ids[rows], collection.images.take(rows))
    encode_pieces(source, plan.store, "float16", None)(
        decode_piece(piece, source=source, on_corrupt="skip")
    )
    found = usl.embed_shards(collection, place, "pixels", engine="ray", shard_images=SHARD)
    assert found.computed == 700 - len(rows)
    check_rows(found.shards, *one_machine)
    assert not (place / "_pieces").exists()


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_the_first_damaged_image_ends_the_work_if_asked(engine, one_machine, tmp_path, request):
    if engine == "ray":
        request.getfixturevalue("cluster")
    reasons = [reason for _, reason in one_machine[1].skipped]
    with pytest.raises(DataError) as raised:
        usl.embed_shards(one_machine[0], tmp_path / "s", "pixels", engine=engine, on_corrupt="fail")
    assert str(raised.value) in reasons


def test_another_embedding_is_not_mixed_in(one_machine, tmp_path):
    collection = one_machine[0].take(np.arange(10, 30))
    usl.embed_shards(collection, tmp_path / "s", "pixels", shard_images=10)
    for changed, told in (
        ({"shard_images": 20}, "in shards of another size"),
        ({"dtype": "float32"}, "of another dtype"),
    ):
        with pytest.raises(UsageError, match=told):
            usl.embed_shards(
                collection, tmp_path / "s", "pixels", **{"shard_images": 10, **changed}
            )
    with pytest.raises(UsageError, match="of other images"):
        usl.embed_shards(collection.take(np.arange(9)), tmp_path / "s", "pixels", shard_images=10)
    found = usl.embed_shards(
        collection.take(np.arange(9)), tmp_path / "s", "pixels", shard_images=10, overwrite=True
    )
    assert sorted(one.name for one in (tmp_path / "s").glob("*.parquet")) == ["part-00000.parquet"]
    assert len(found.shards) == 9


def test_a_place_where_nothing_was_made_is_free_for_another_embedding(one_machine, tmp_path):
    collection = one_machine[0].take(np.arange(10, 14))
    for shard_images in (2, 4):  # the first call got no further than this
        place = Store(str(tmp_path / "s"))
        ShardPlan.of(place, collection, Pixels(), shard_images, "float16").begin(overwrite=False)
    usl.embed_shards(collection, tmp_path / "s", "pixels", shard_images=4)
    with pytest.raises(UsageError, match="in shards of another size"):
        usl.embed_shards(collection, tmp_path / "s", "pixels", shard_images=2)


def test_features_too_large_for_float16_are_refused(one_machine, tmp_path):
    class Large(Pixels):
        """Gives 70,000 everywhere."""

        dtype = np.dtype(np.float32)

        def forward(self, prepared):
            return np.full((len(prepared), self.dim), 7e4, dtype=np.float32)

    collection = one_machine[0].take(np.arange(10, 12))
    with pytest.raises(DataError, match=r"010.png: its features are too large for float16"):
        usl.embed_shards(collection, tmp_path / "s", Large())
    usl.embed_shards(collection, tmp_path / "s", Large(), dtype="float32", overwrite=True)
    assert open_shards(str(tmp_path / "s")).read(0).max() == np.float32(7e4)


def test_no_image_that_can_be_read(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"none of the 1 image could be read; the first: .*a.png"):
        usl.embed_shards(usl.open_collection(tmp_path / "in"), tmp_path / "s", "pixels")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained run on pictures of two colours, and the shards of their features."""
    folder = tmp_path_factory.mktemp("runs")
    run = make_picture_run(folder)
    usl.train(run)
    collection = run.collection()
    name = run.info["encoder"]["name"]
    return run, collection, usl.embed_shards(collection, folder / "shards", name, shard_images=15)


def table(place):
    """The predictions under a place, by image."""
    import pyarrow.parquet as pq

    rows = [
        row for file in sorted(place.glob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]
    return {row["image_id"]: (row["label"], row["confidence"]) for row in rows}


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_predictions_are_those_of_one_machine(engine, trained, tmp_path, request):
    if engine == "ray":
        request.getfixturevalue("cluster")
    run, collection, embedded = trained
    expected = usl.predict(run, collection.source)
    shards = embedded.shards.store.root
    found = usl.predict_shards(run, shards, tmp_path / "p", engine=engine)
    told = table(tmp_path / "p")
    assert list(told) == expected.ids.tolist()
    assert [label for label, _ in told.values()] == expected.labels
    sure = [confidence for _, confidence in told.values()]
    np.testing.assert_allclose(sure, expected.probabilities.max(axis=1), rtol=1e-6)
    assert sum(found.counts.values()) == found.rows == len(expected.ids)
    record = json.loads((tmp_path / "p" / "_predictions.json").read_text())
    assert record["labels"] == found.counts
    assert usl.predict_shards(run, shards, tmp_path / "p") == found


def test_the_command_line(trained, photos, tmp_path, capsys):
    run, collection, _ = trained
    place = str(tmp_path / "p")
    assert main(["predict", str(run.path), collection.source, "--out", place, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == len(collection)
    assert main(["embed", str(photos), "--engine", "ray", "--out", "f.npz"]) == 2
    assert "--engine ray writes shards" in capsys.readouterr().err
    assert main(["embed", str(photos), "--address", "auto", "--out", place]) == 2
    assert "which only --engine ray has" in capsys.readouterr().err
    assert main(["embed", str(photos), "--model", "pixels", "--out", f"{place}/features"]) == 2
    assert "of other images" in capsys.readouterr().err


def test_a_worker_finds_parquet_files_from_wherever_it_stands(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"image": [picture(number) for number in range(3)]}), "photos.parquet")
    collection = usl.open_collection("photos.parquet")
    source = EncoderSource("pixels", "fp32", Pixels.key)
    plan = ShardPlan.of(Store(str(tmp_path / "s")), collection, Pixels(), 3, "float16")
    work = embed_shards._OnCluster(None, collection, plan, source, "skip", None, None)
    piece = work._piece(0, 0, np.arange(3))
    assert embed_shards._first_file(collection.images) == str(tmp_path / "photos.parquet")
    monkeypatch.chdir("/")
    assert decode_piece(piece, source=source, on_corrupt="fail").skipped == []


def test_tars_make_the_same_shards_on_a_cluster(cluster, tmp_path):
    """With the place of every picture that could be read, whatever lies in between."""
    members = [(f"{number}.png", picture(number)) for number in range(5)]
    write_tar(tmp_path / "t/0.tar", members[:2])
    write_tar(tmp_path / "t/1.tar", [*members[2:4], ("no.png", b"no picture"), members[4]])
    collection = usl.open_collection(tmp_path / "t")
    assert embed_shards._first_file(collection.images) == str(tmp_path / "t/0.tar")
    made = {
        engine: usl.embed_shards(collection, tmp_path / engine, "pixels", engine=engine)
        for engine in ("local", "ray")
    }
    part = shard_name(0)
    assert (tmp_path / "ray" / part).read_bytes() == (tmp_path / "local" / part).read_bytes()
    assert [word for word, _ in made["ray"].skipped] == ["1/no.png"]
    shown = usl.open_collection(tmp_path / "ray").images
    assert [shown.content(row) for row in range(5)] == [content for _, content in members]
