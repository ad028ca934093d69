"""``usl.select`` from ten thousand to 1.28 million items: time, memory, and what is lost.

    export USL_DATA=/path/to/data
    python benchmarks/scale.py grow                          # the points, once: 656 MB
    python benchmarks/scale.py time 1281167 12820            # the paper's ImageNet size, 1%
    python benchmarks/scale.py quality 1281167 12820         # densities against an exact search
    python benchmarks/scale.py inertia 1281167 12820         # k-means against full Lloyd iterations
    python benchmarks/scale.py growth                        # m = n / 100
    python benchmarks/scale.py plot                          # growth.svg, from the rows
    python benchmarks/scale.py baselines 50000 40            # released algorithm, faiss
    python benchmarks/scale.py others 20000 40 --python OTHER/bin/python

``others`` are scikit-activeml's TypiClust and apricot's facility location; ``OTHER`` is an
environment that holds them (pip install scikit-activeml apricot-select). If they take longer than
ten minutes they are ended, and the row says so.

The points are real features grown: 50,000 of CIFAR-10 (**ImageNet-supervised** encoder), reduced to
128 dimensions; each new point is a random convex mixture of one of them and three of its 16 nearest
neighbours, which keeps the local dimension real. Every measurement runs in a process of its own;
memory is the greatest resident set less what the memory-mapped features take of it, threads are as
many as the machine has cores.

Rows go to ``benchmarks/results/scale.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "scale.jsonl"
GROWTH = (10_000, 30_000, 100_000, 300_000, 1_000_000)
LARGEST, WIDTH, K = 1_281_167, 128, 20
LONGEST = 600  # seconds for a measurement of another package
OTHERS = ("typiclust", "apricot")
STUDIES = {"baselines": ("time", "released", "faiss", "faiss_kmeans"), "others": ("time", *OTHERS)}
FEATURES = "cifar10_efficientnet_lite1_160_prehead320_features.npy"
EXACT_SAMPLE = 20_000  # rows, whole clusters, whose neighbours are searched for exactly


def main() -> None:
    """Run one study; the measurements themselves run in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=["grow", *MEASURES, *STUDIES, "growth", "plot"])
    parser.add_argument("n", type=int, nargs="?", default=LARGEST)
    parser.add_argument("m", type=int, nargs="?", default=None)
    parser.add_argument("--k", type=int, default=None, help="neighbours; default: the preset's")
    parser.add_argument(
        "--points", type=Path, default=Path(tempfile.gettempdir()) / "usl-scale.npy"
    )
    parser.add_argument("--python", default=sys.executable, help="of scikit-activeml and apricot")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    m = given.m or given.n // 100
    if given.study == "grow":
        grow(given.points)
    elif given.inside:
        row = MEASURES[given.study](given.points, given.n, m, given.k)
        print(json.dumps(row), flush=True)
    elif given.study == "growth":
        for n in GROWTH:
            measured("time", given, n, n // 100)
    elif given.study == "plot":
        plot()
    elif given.study in STUDIES:
        for name in STUDIES[given.study]:
            measured(name, given, given.n, m)
    else:
        measured(given.study, given, given.n, m)


def measured(study: str, given: Any, n: int, m: int) -> None:
    """One measurement in a process of its own; its row is kept and shown."""
    python = given.python if study in OTHERS else sys.executable
    command = [python, __file__, study, str(n), str(m), "--inside", "--points", str(given.points)]
    command += [] if given.k is None else ["--k", str(given.k)]
    row: dict[str, Any] = {"study": study, "n": n, "m": m}
    try:
        limit = LONGEST if study in OTHERS else None
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        if done.returncode:
            row["error"] = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        else:
            row |= json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        row["error"] = f"not done after {LONGEST} s"
    RESULTS.parent.mkdir(exist_ok=True)
    with open(RESULTS, "a") as handle:
        handle.write(json.dumps(row) + "\n")
    print(row, flush=True)


def grow(path: Path) -> None:
    """Write the points, float32 [1281167, 128]."""
    from usl.features.preprocessing import Preprocessing
    from usl.numeric.distances import nearest

    rows = np.load(Path(os.environ["USL_DATA"]) / FEATURES)[:50_000]
    base = Preprocessing.fit(rows, center=True, standardize=True, pca=WIDTH).transform(rows)
    near, _ = nearest(base, base, 16, exclude_self=True)
    rng = np.random.default_rng(0)
    out = np.lib.format.open_memmap(path, "w+", np.float32, (LARGEST, WIDTH))
    for start in range(0, LARGEST, 65_536):
        count = min(65_536, LARGEST - start)
        first = rng.integers(len(base), size=count)
        shares = rng.dirichlet(np.ones(4), size=count).astype(np.float32)
        points = shares[:, :1] * base[first]
        for other in range(3):
            mates = near[first, rng.integers(near.shape[1], size=count)]
            points += shares[:, other + 1 : other + 2] * base[mates]
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        out[start : start + count] = points
    out.flush()


def used(mapped: int = 0) -> float:
    """Greatest resident set so far, GB, less what the file takes of it."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6 - mapped / 1e9, 2)


def timed(path: Path, n: int, m: int, k: int | None) -> dict[str, Any]:
    """The whole of ``usl.select``."""
    import usl
    from usl.numeric.blocks import thread_count

    features = np.load(path, mmap_mode="r")[:n]
    stages: dict[str, float] = {}
    last = ["reading", time.perf_counter()]

    def note(done: int, total: int, step: str = "") -> None:
        now = time.perf_counter()
        stages[step] = round(stages.get(step, 0.0) + now - last[1], 1)
        last[:] = [step, now]

    began = time.perf_counter()
    own = {} if k is None else {"k": k}
    picks = usl.select(features, m, method="usl", seed=0, progress=note, **own)
    seconds = time.perf_counter() - began
    stages["order"] = round(time.perf_counter() - float(last[1]), 1)
    found = {name: picks.parameters.get(name) for name in ("k", "probes", "recall")}
    return {
        "seconds": round(seconds, 1),
        "stages": stages,
        "gb": used(features.nbytes),
        "threads": thread_count(),
        "microseconds_per_item": round(1e6 * seconds / n, 1),
        **found,
    }


def quality(path: Path, n: int, m: int, k: int | None) -> dict[str, Any]:
    """Densities, and the densest item of each cluster, against an exact search."""
    from scipy.stats import spearmanr

    from usl.numeric.distances import squared_from_half
    from usl.numeric.inverted_search import scan
    from usl.numeric.kmeans import kmeans
    from usl.numeric.neighbor_search import typical_distance

    k = k or K
    features = np.array(np.load(path, mmap_mode="r")[:n])
    found = kmeans(features, m, rng=np.random.default_rng(0), exact=False)
    clusters = found.clusters.astype(np.int64)
    distance, probing = typical_distance(features, k, exact=False, clusters=clusters)
    rng = np.random.default_rng(1)
    order = rng.permutation(m)
    sizes = np.bincount(clusters, minlength=m)
    chosen = order[: int(np.searchsorted(np.cumsum(sizes[order]), EXACT_SAMPLE)) + 1]
    rows = np.flatnonzero(np.isin(clusters, chosen))
    exact = np.empty(len(rows))
    for start in range(0, len(rows), 2048):
        part = rows[start : start + 2048]
        _, half = scan(features, part, k)
        near = np.sqrt(squared_from_half(half, features[part]))
        exact[start : start + 2048] = near.mean(axis=1, dtype=np.float64)
    same = 0
    for cluster in chosen.tolist():
        own = clusters[rows] == cluster
        same += int(exact[own].argmin() == distance[rows][own].argmin())
    return {
        "recall": None if probing is None else round(probing.recall, 4),
        "probes": None if probing is None else probing.probes,
        "spearman": round(float(spearmanr(exact, distance[rows])[0]), 5),
        "rows": len(rows),
        "same_pick": round(same / len(chosen), 4),
        "clusters": len(chosen),
    }


def inertia(path: Path, n: int, m: int, k: int | None) -> dict[str, Any]:
    """k-means against full Lloyd iterations from the same start: 5 of them, 100 for fewer rows."""
    from usl.numeric.kmeans import kmeans

    features = np.array(np.load(path, mmap_mode="r")[:n])
    found = kmeans(features, m, rng=np.random.default_rng(0), exact=False)
    rounds = 5 if n > 200_000 else 100
    full = kmeans(features, m, rng=np.random.default_rng(0), iterations=rounds + 1, exact=True)
    return {
        "inertia": round(found.inertia / n, 6),
        "iterations": found.iterations,
        "lloyd_inertia": round(full.inertia / n, 6),
        "lloyd_iterations": full.iterations - 1,
        "inertia_ratio": round(found.inertia / full.inertia, 4),
    }


def released(path: Path, n: int, m: int, k: int | None) -> dict[str, Any]:
    """The algorithm as released, straightforwardly in torch: dense blocks, sorted neighbours."""
    import torch

    k = k or (400 if n <= 100_000 else K)
    x = torch.from_numpy(np.array(np.load(path, mmap_mode="r")[:n]))
    began = time.perf_counter()
    near = torch.cat(
        [(2 - 2 * (part @ x.T)).topk(k + 1, 1, largest=False)[0] for part in x.split(256)]
    )
    density = 1 / near[:, 1:].mean(1)
    generator = torch.Generator().manual_seed(0)
    centroids = x[torch.randperm(n, generator=generator)[:m]]
    for _ in range(100):
        clusters = torch.cat([(part @ centroids.T).argmax(1) for part in x.split(4096)])
        sums = torch.zeros_like(centroids).index_add_(0, clusters, x)
        centroids = sums / torch.bincount(clusters, minlength=m).clamp(min=1)[:, None]
    picks = torch.stack([_densest(density, clusters, c) for c in range(m)])
    average = torch.zeros(n)
    for _ in range(10):
        repulsion = torch.cat(
            [(2 - 2 * (part @ x[picks].T)).clamp(min=1e-6) for part in x.split(4096)]
        )
        repulsion[torch.arange(n), clusters] = torch.inf
        average = 0.9 * average + 0.1 * (1 / repulsion.sqrt().sqrt()).sum(1)
        picks = torch.stack([_densest(density - 0.5 * average, clusters, c) for c in range(m)])
    return {"seconds": round(time.perf_counter() - began, 1), "gb": used()}


def _densest(score: Any, clusters: Any, cluster: int) -> Any:
    rows = (clusters == cluster).nonzero()[:, 0]
    return rows[score[rows].argmax()]


def faiss_search(path: Path, n: int, m: int, k: int | None) -> dict[str, Any]:
    """Faiss's exact search of k + 1 neighbours, alone."""
    import faiss

    x = np.array(np.load(path, mmap_mode="r")[:n])
    began = time.perf_counter()
    flat = faiss.IndexFlatL2(x.shape[1])
    flat.add(x)
    flat.search(x, (k or (400 if n <= 100_000 else K)) + 1)
    return {"seconds": round(time.perf_counter() - began, 1), "gb": used()}


def faiss_kmeans(path: Path, n: int, m: int, k: int | None) -> dict[str, Any]:
    """Faiss's k-means, 20 iterations on all points."""
    import faiss

    x = np.array(np.load(path, mmap_mode="r")[:n])
    began = time.perf_counter()
    found = faiss.Kmeans(x.shape[1], m, niter=20, seed=0, max_points_per_centroid=10**9)
    found.train(x)
    distance, _ = found.index.search(x, 1)
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "gb": used(),
        "inertia": round(float(distance.mean()), 6),
    }


def typiclust(path: Path, n: int, m: int, k: int | None) -> dict[str, Any]:
    """TypiClust of scikit-activeml: one query of m items."""
    from skactiveml.pool import TypiClust
    from skactiveml.utils import MISSING_LABEL

    x = np.array(np.load(path, mmap_mode="r")[:n])
    began = time.perf_counter()
    TypiClust(random_state=0).query(x, np.full(n, MISSING_LABEL), batch_size=m)
    return {"seconds": round(time.perf_counter() - began, 1), "gb": used()}


def apricot(path: Path, n: int, m: int, k: int | None) -> dict[str, Any]:
    """Apricot's facility location with lazy greedy, Euclidean, dense as it comes."""
    from apricot import FacilityLocationSelection

    x = np.array(np.load(path, mmap_mode="r")[:n], dtype=np.float64)
    began = time.perf_counter()
    FacilityLocationSelection(m, metric="euclidean", optimizer="lazy", verbose=False).fit(x)
    return {"seconds": round(time.perf_counter() - began, 1), "gb": used()}


def plot() -> None:
    """Seconds against n, of the newest row of each size with m = n / 100: growth.svg."""
    from matplotlib.figure import Figure

    newest: dict[tuple[int, int], dict[str, Any]] = {}
    for line in RESULTS.read_text().splitlines():
        row = json.loads(line)
        if row["study"] == "time" and row["n"] in GROWTH and row["m"] == row["n"] // 100:
            newest[row["k"], row["n"]] = row
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for k, color in ((20, "#2a6fb0"), (400, "#d9772b")):
        own = sorted((row["n"], row["seconds"]) for (of, _), row in newest.items() if of == k)
        if own:
            axes.plot(*zip(*own, strict=True), "o-", color=color, label=f"k = {k}")
            if k == 20:  # what growth in proportion to n looks like
                sizes = [n for n, _ in own]
                line = [own[-1][1] * n / sizes[-1] for n in sizes]
                axes.plot(sizes, line, ":", color="#8a929b", label="in proportion to n")
    axes.set(xscale="log", yscale="log", xlabel="items (n), m = n / 100", ylabel="seconds")
    axes.grid(color="#d5d9de", lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(RESULTS.with_name("growth.svg"), metadata={"Date": None})


MEASURES: dict[str, Callable[[Path, int, int, int | None], dict[str, Any]]] = {
    "time": timed,
    "quality": quality,
    "inertia": inertia,
    "released": released,
    "faiss": faiss_search,
    "faiss_kmeans": faiss_kmeans,
    "typiclust": typiclust,
    "apricot": apricot,
}

if __name__ == "__main__":
    main()
