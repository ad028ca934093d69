"""Bring the image sets of ``cold_start.toml`` into forms that ``usl`` reads.

    python benchmarks/prepare.py $USL_DATA prepared
    export USL_PREPARED=$PWD/prepared

Reads the archives of JPEG bytes (``blob``, ``offsets``, ``labels``) and features that
benchmarks/README.md names, and writes arrays in MedMNIST's form (``train_images``, ...; ids are
``train/00000``, so that no path tells a class), features with subsets and labels, and
scikit-learn's digits. Left out: Caltech-101's background class, and the augmented test images
``TEST_SIMPLE`` of the white blood cells. Needs a minute and 700 MB.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

FEATURES = "cifar10_efficientnet_lite1_160_prehead320_features.npy"


def main() -> None:
    """Write every set that is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    made = {
        "cifar10_lite1.npz": cifar_features,
        "cifar10.npz": cifar_images,
        "tiny_imagenet.npz": tiny_imagenet,
        "caltech101.npz": caltech,
        "wbc.npz": blood_cells,
        "digits.npz": digits,
    }
    for name, make in made.items():
        path = given.out / name
        if not path.exists():
            partial = path.with_name(f".{name}")
            with open(partial, "wb") as handle:
                np.savez(handle, **make(given.data))
            partial.rename(path)
        print(path)


def cifar_features(data: Path) -> dict[str, np.ndarray]:
    """The given features, 50,000 train and 10,000 test."""
    return {
        "features": np.load(data / FEATURES),
        "labels": np.load(data / "cifar10_labels.npy").astype(str),
        "subset": np.repeat(["train", "test"], [50_000, 10_000]),
    }


def cifar_images(data: Path) -> dict[str, np.ndarray]:
    """The images, in the same order."""
    stored = np.load(data / "cifar10_jpeg.npz", allow_pickle=True)
    rows = np.arange(60_000)
    return arrays(stored, train=rows[:50_000], test=rows[50_000:])


def tiny_imagenet(data: Path) -> dict[str, np.ndarray]:
    """20 classes of 500; no test subset."""
    stored = np.load(data / "tiny_imagenet_first20classes.npz", allow_pickle=True)
    return arrays(stored, train=np.arange(len(stored["labels"])))


def caltech(data: Path) -> dict[str, np.ndarray]:
    """101 classes; no test subset."""
    stored = np.load(data / "caltech101_64.npz", allow_pickle=True)
    background = stored["classes"].tolist().index("BACKGROUND_Google")
    return arrays(stored, train=np.flatnonzero(stored["labels"] != background))


def blood_cells(data: Path) -> dict[str, np.ndarray]:
    """Four kinds of cells; the authors' train and test images, which share no original."""
    stored = np.load(data / "wbc_64.npz", allow_pickle=True)
    paths = stored["paths"].astype(str)
    train, test = (
        np.flatnonzero(np.char.find(paths, f"/{part}/") >= 0) for part in ("TRAIN", "TEST")
    )
    return arrays(stored, train=train, test=test)


def digits(data: Path) -> dict[str, np.ndarray]:
    """scikit-learn's 1,797 digits of 8 x 8, as rows of 64 numbers."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return {"features": found.data.astype(np.float32), "labels": found.target.astype(str)}


def arrays(stored: np.lib.npyio.NpzFile, **subsets: np.ndarray) -> dict[str, np.ndarray]:
    """Decoded RGB images [n, h, w, 3] and class numbers of each subset, as MedMNIST names them."""
    blob, offsets, labels = stored["blob"], stored["offsets"], stored["labels"]
    made = {}
    for subset, rows in subsets.items():
        made[f"{subset}_images"] = np.stack(
            [rgb(blob[offsets[i] : offsets[i + 1]].tobytes()) for i in rows.tolist()]
        )
        made[f"{subset}_labels"] = labels[rows].astype(np.int64)[:, None]
    return made


def rgb(content: bytes) -> np.ndarray:
    """A JPEG, decoded; greys as three equal channels."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


if __name__ == "__main__":
    main()
