"""Published lists of images become labels that the source knows."""

from __future__ import annotations

import numpy as np
import pytest

from usl.core.errors import DataError
from usl.labeling.exchange.import_labels import import_file
from usl.selection.start_run import start_run

TRUTH = np.array(["cat", "dog", "elk"])[np.arange(30) % 3]


@pytest.fixture
def run(tmp_path):
    features = np.random.default_rng(0).normal(size=(30, 4))
    np.savez(tmp_path / "toy.npz", features=features, labels=TRUTH)
    return start_run(tmp_path / "toy.npz", 3, tmp_path / "run", method="random")


def test_an_index_list_brings_the_labels_of_its_images(run, tmp_path):
    listed = [17, 4, 29, 0]
    np.save(tmp_path / "list.npy", listed)
    done = import_file(run, tmp_path / "list.npy")
    assert (done.format, done.added) == ("released", 4)
    split = run.split()
    rows = split.labeled()
    known = dict(zip(run.collection().ids.tolist(), TRUTH.tolist(), strict=True))
    expected = [run.collection().ids[i] for i in listed]
    assert sorted(split.ids[rows]) == sorted(expected)
    assert [split.labels[row] for row in rows] == [known[split.ids[row]] for row in rows]


def test_labels_that_a_list_passes_on_come_first(run, tmp_path):
    ids = run.collection().ids
    path = tmp_path / "list.csv"
    path.write_text(f"Index,ImageID,Pseudolabel\n5,{ids[5]},cat\n7,{ids[7]},\n")
    import_file(run, path)
    split = run.split()
    labels = {split.ids[row]: split.labels[row] for row in split.labeled()}
    assert labels == {ids[5]: "cat", ids[7]: TRUTH[7]}


def test_a_list_for_images_whose_labels_nobody_knows(tmp_path):
    np.save(tmp_path / "bare.npy", np.random.default_rng(0).normal(size=(30, 4)))
    bare = start_run(tmp_path / "bare.npy", 3, tmp_path / "bare", method="random")
    np.save(tmp_path / "list.npy", [1, 2])
    with pytest.raises(DataError, match="a list of 2 images without labels"):
        import_file(bare, tmp_path / "list.npy")
    np.save(tmp_path / "list.npy", [1, 30])
    with pytest.raises(DataError, match="index 30 is out of range"):
        import_file(bare, tmp_path / "list.npy", format="released")
