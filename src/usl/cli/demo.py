"""``usl demo``."""

from __future__ import annotations

from pathlib import Path


def demo(out: Path = Path("demo-run"), /, *, seeds: int = 10, seed: int = 0) -> None:
    """Run the whole pipeline on images that come with the package, and compare with chance.

    5,000 Fashion-MNIST images, 40 labels, no network, about a minute on two cores.

    Parameters
    ----------
    out
        Run folder to write; one that is there already is replaced.
    seeds
        Paired seeds of the comparison with USL, random and stratified selection.
    seed
        Of the run itself.
    """
    from usl.demo import run_demo

    run_demo(out, seeds=seeds, seed=seed)
