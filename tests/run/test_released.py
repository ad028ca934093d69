"""The authors' index lists, to and from a split."""

import numpy as np
import pytest

from usl.core.errors import DataError, UsageError, UslWarning
from usl.run.released import read_released, write_index_csv, write_index_npy
from usl.run.split import Split

CIFAR = np.array([f"train/{i:05d}" for i in range(6)] + ["test/00000"])
IMAGENET = np.array(["train/n1/a.JPEG", "train/n1/b.JPEG", "train/n2/a.JPEG", "val/c.JPEG"])


def subsets(ids):
    return np.array([i.partition("/")[0] for i in ids])


def test_npy(tmp_path):
    np.save(tmp_path / "picks.npy", np.array([4, 0, 3]))
    split = read_released(tmp_path / "picks.npy", CIFAR, subsets(CIFAR))
    assert split.ids[split.requested()].tolist() == ["train/00004", "train/00000", "train/00003"]
    assert len(split) == 7
    write_index_npy(tmp_path / "again.npy", split, CIFAR, subsets(CIFAR))
    again = np.load(tmp_path / "again.npy")
    assert (again.dtype, again.tolist()) == (np.int64, [4, 0, 3])


def test_indices_count_train_images_only(tmp_path):
    ids = np.array(["test/00000", "train/00000", "val/00000", "train/00001"])
    np.save(tmp_path / "picks.npy", [1])
    split = read_released(tmp_path / "picks.npy", ids, subsets(ids))
    assert split.ids[split.requested()].tolist() == ["train/00001"]
    write_index_npy(tmp_path / "again.npy", split, ids, subsets(ids))
    assert np.load(tmp_path / "again.npy").tolist() == [1]


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 6], r"entry 1: index 6 is out of range; the collection has 6 train images"),
        ([-1], "entry 0: index -1 is out of range"),
        ([2, 3, 2], "entry 2: index 2 is listed twice"),
        ([[1, 2]], r"expected a list of whole numbers \[m\], this is int64 \[1, 2\]"),
        ([0.5], "this is float64"),
    ],
)
def test_npy_faults(tmp_path, indices, message):
    np.save(tmp_path / "picks.npy", np.array(indices))
    with pytest.raises(DataError, match=message):
        read_released(tmp_path / "picks.npy", CIFAR, subsets(CIFAR))


def csv(tmp_path, text, ids=IMAGENET):
    path = tmp_path / "train_0.2p_gen_moco_index.csv"
    path.write_text(text)
    return read_released(path, ids, subsets(ids))


def test_csv(tmp_path):
    split = csv(tmp_path, "Index,ImageID\n0,n1/a.JPEG\n2,n2/a.JPEG\n")
    assert split.ids[split.requested()].tolist() == ["train/n1/a.JPEG", "train/n2/a.JPEG"]


def test_csv_with_pseudolabels(tmp_path):
    split = csv(tmp_path, "Index,ImageID,Pseudolabel\n0,n1/a.JPEG,17\n2,n2/a.JPEG,\n")
    assert split.labels[split.labeled()].tolist() == ["17"]
    assert split.sources[split.labeled()].tolist() == ["propagated"]
    assert split.ids[split.requested()].tolist() == ["train/n2/a.JPEG"]


def test_image_ids_say_nothing_about_array_data(tmp_path):
    split = csv(tmp_path, "Index,ImageID\n3,n1/a.JPEG\n", CIFAR)
    assert split.ids[split.requested()].tolist() == ["train/00003"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Index,ImageID\n0,n1/a.JPEG\n1,n2/a.JPEG\n",
            r"row 3: ImageID 'n2/a.JPEG', but .*n1/b.JPEG",
        ),
        ("Index,ImageID\n9,n1/a.JPEG\n", "row 2: index 9 is out of range"),
        ("Index,ImageID\n0,n1/a.JPEG\n0,n1/a.JPEG\n", "row 3: index 0 is listed twice"),
        ("Index,ImageID\nx,n1/a.JPEG\n", "row 2: Index 'x' is not a whole number"),
        ("Number,ImageID\n0,n1/a.JPEG\n", "row 1: no column 'Index'; it has Number, ImageID"),
    ],
)
def test_csv_faults(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        csv(tmp_path, text)


def test_written_csv_and_complement(tmp_path):
    split = Split.start(IMAGENET, subsets(IMAGENET), picks=[2])
    chosen, rest = write_index_csv(tmp_path, split, IMAGENET, subsets(IMAGENET), run="mine")
    assert (chosen.name, rest.name) == (
        "train_33p_gen_mine_index.csv",
        "train_67p_gen_mine_index.csv",
    )
    assert chosen.read_text() == "Index,ImageID\n2,n2/a.JPEG\n"
    assert rest.read_text() == "Index,ImageID\n0,n1/a.JPEG\n1,n1/b.JPEG\n"
    again = read_released(chosen, IMAGENET, subsets(IMAGENET))
    assert again.ids.tolist() == split.ids.tolist()
    assert again.states.tolist() == split.states.tolist()


def test_written_pseudolabels_are_sorted_by_index(tmp_path):
    split = Split.start(IMAGENET, subsets(IMAGENET), picks=[2, 0]).with_labels([0], ["17"])
    options = {"run": "t", "percent": 0.3, "pseudolabels": True}
    chosen, rest = write_index_csv(tmp_path, split, IMAGENET, subsets(IMAGENET), **options)
    assert chosen.read_text() == "Index,ImageID,Pseudolabel\n0,n1/a.JPEG,\n2,n2/a.JPEG,17\n"
    assert rest.name == "train_99.7p_gen_t_index.csv"


@pytest.mark.parametrize(
    ("m", "n", "names"),
    [
        (2_911, 1_281_167, ("0.2", "99.8")),
        (12_820, 1_281_167, ("1", "99")),
        (400, 126_689, ("0.3", "99.7")),
        (40, 50_000, ("0.08", "99.92")),
    ],
)
def test_percentages_as_the_authors_name_them(m, n, names):
    from usl.run.released import _file_names

    assert _file_names(100 * m / n, None, "r") == [f"train_{p}p_gen_r_index.csv" for p in names]


def test_half_would_overwrite_its_complement(tmp_path):
    ids = CIFAR[:2]
    split = Split.start(ids, subsets(ids), picks=[0])
    with pytest.raises(UsageError, match="percent=50: selection and complement"):
        write_index_csv(tmp_path, split, ids, subsets(ids), run="r")


def test_rows_that_are_no_train_images(tmp_path):
    split = Split.start(["x"], ["train"], picks=[0])
    with pytest.raises(DataError, match="row 2: 'x' is no train image"):
        write_index_npy(tmp_path / "x.npy", split, CIFAR, subsets(CIFAR))


def test_a_formula_is_told_of_and_read_as_it_was_written(tmp_path):
    ids = np.array(["train/=1/a.JPEG", "train/'=2/b.JPEG"])
    split = Split.start(ids, subsets(ids), picks=[0, 1])
    with pytest.warns(UslWarning, match="ImageID '=1/a.JPEG' would be a formula"):
        path, _ = write_index_csv(tmp_path, split, ids, subsets(ids), run="x")
    assert path.read_text() == "Index,ImageID\n0,=1/a.JPEG\n1,'=2/b.JPEG\n"
    again = read_released(path, ids, subsets(ids))
    assert again.ids[again.requested()].tolist() == ids.tolist()
