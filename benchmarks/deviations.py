"""What deviates from the released code of USL, in picks and in accuracy.

    USL_DATA=... USL_PREPARED=... python benchmarks/deviations.py run
    python benchmarks/deviations.py table

40 labels, the preset `released`, 10 draws, four learners. Two studies:

- `start`: k-means from the rows that torch draws, as the release and the preset, or from our own.
  For the first three draws also the release's k-means, in float32 and by differences as it is
  written there: how many rows are in the same clusters, how many picks are the same.
- `half`: features of `cifar-cld-small` in half precision, as the release computes CLIP's, or in
  single; 5,000 train images and 2,000 test images of CIFAR-10.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from usl_lambda import LEARNERS, measure_or_print, open_set, read, unit

import usl
from usl.evaluation.compare import Data, paired_difference, score
from usl.features.open_encoder import open_encoder
from usl.learning.pictures import at_size
from usl.numeric.kmeans import kmeans

ROWS = Path(__file__).parent / "results" / "deviations.jsonl"
SETS = ("digits", "fashion", "cifar10_10k", "half")
BUDGET, CHECKED = 40, 3
TRAIN, TEST, BATCH = 5000, 2000, 250


def main() -> None:
    """Measure, or print the tables."""
    measure_or_print(__doc__, SETS, ROWS, 10, run, table)


def run(name: str, draws: int, path: Path) -> None:
    """The rows of one set that are not there yet."""
    done = {row["seed"] for row in read(path) if row["set"] == name}
    spaces = {"single": open_small(False), "half": open_small(True)} if name == "half" else {}
    data = spaces.get("single") or open_set(name)
    for seed in sorted(set(range(draws)) - done):
        row: dict[str, object] = {"set": name, "seed": seed}
        if spaces:
            ours, theirs = (picks(space.train, seed) for space in spaces.values())
        else:
            rng = np.random.default_rng(seed)
            ours = picks(data.train, seed, clusters=kmeans(data.train, BUDGET, rng=rng).clusters)
            theirs = picks(data.train, seed)
            if seed < CHECKED:
                released = released_kmeans(data.train, seed)
                again = picks(data.train, seed, clusters=released)
                row |= {"picks_of_the_release": common(theirs, again)}
        row |= {"same": common(ours, theirs), "items": len(data.train)}
        for word, found in (("ours", ours), ("theirs", theirs)):
            row[word] = [
                round(100 * score(found, data, learner, {}, seed, {})[0], 2) for learner in LEARNERS
            ]
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def picks(features: np.ndarray, seed: int, **how: object) -> np.ndarray:
    """Of the preset, its k the share of the items that 400 are of 50,000."""
    k = max(2, round(400 * len(features) / 50_000))
    found = usl.select(features, BUDGET, method="usl", preset="released", seed=seed, k=k, **how)
    return found.indices


def common(one: np.ndarray, other: np.ndarray) -> int:
    """How many picks are the same."""
    return len(np.intersect1d(one, other))


def released_kmeans(features: np.ndarray, seed: int) -> np.ndarray:
    """Lloyd's algorithm from torch's rows, 200 times or until no row moves."""
    rows = torch.from_numpy(features)
    torch.manual_seed(seed)
    centroids = rows[torch.randperm(len(rows))[:BUDGET]].clone()
    before = torch.full((len(rows),), -1)
    for _ in range(200):
        parts = [(part[:, None] - centroids).square().sum(-1).argmin(1) for part in rows.split(500)]
        labels = torch.cat(parts)
        if torch.equal(labels, before):
            break
        before = labels
        sums = torch.zeros_like(centroids).index_add_(0, labels, rows)
        centroids = sums / torch.bincount(labels, minlength=BUDGET)[:, None]
    return labels.numpy()


def open_small(half: bool) -> Data:
    """CIFAR-10 in the space of cifar-cld-small, centred unit rows."""
    with np.load(Path(os.environ["USL_PREPARED"]) / "cifar10.npz") as file:
        train = np.sort(np.random.default_rng(0).choice(50_000, TRAIN, replace=False))
        images = np.concatenate([file["train_images"][train], file["test_images"][:TEST]])
        truth = np.concatenate([file["train_labels"][train], file["test_labels"][:TEST]]).ravel()
    network = open_encoder("cifar-cld-small").backbone().eval()
    network = network.half() if half else network
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        views = (at_size(part, network.size) for part in pixels.split(BATCH))
        rows = torch.cat([network(view.half() if half else view).float() for view in views]).numpy()
    rows = unit(rows - rows[:TRAIN].mean(axis=0))
    return Data(rows[:TRAIN], truth[:TRAIN], rows[TRAIN:], truth[TRAIN:])


def table(rows: list[dict]) -> None:
    """Equal picks, accuracy (mean of the learners) and the paired difference, by set."""
    print(
        "| set | items | same picks | ours | as released | difference | the release's own k-means |"
    )
    print("|---" * 7 + "|")
    for name in SETS:
        own = sorted((row for row in rows if row["set"] == name), key=lambda row: row["seed"])
        if not own:
            continue
        ours, theirs = (np.array([np.mean(r[w]) for r in own]) for w in ("ours", "theirs"))
        gain = paired_difference(theirs, ours)
        found = [r["picks_of_the_release"] for r in own if "picks_of_the_release" in r]
        cells = [
            name,
            f"{own[0]['items']:,}",
            f"{np.mean([row['same'] for row in own]):.1f} of {BUDGET}",
            *(f"{each.mean():.1f} ± {each.std(ddof=1):.1f}" for each in (ours, theirs)),
            f"{gain.mean:+.1f} [{gain.low:.1f}, {gain.high:.1f}]",
            ", ".join(map(str, found)) or "-",
        ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
