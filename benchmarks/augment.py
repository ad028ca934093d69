"""Views per second of our batch augmentations beside the same transforms on single PIL pictures.

Both sides run in one process on this machine's CPU, in turns, with the same number of threads for
torch; PIL transforms use one whatever is asked. The pictures are random smooth ones. The reference
pipelines are those of tests/learning, where the tests hold our distributions to them.

    python benchmarks/augment.py --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from usl.learning.augment import Augmentation, MoCoV2, SimCLR, Strong

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "learning"))
import pil_pipelines


def pipelines(size: int) -> dict[str, tuple[Augmentation, Callable]]:
    """Name to our augmentation and its reference."""
    return {
        "SimCLR": (SimCLR(size), pil_pipelines.simclr(size)),
        "SimCLR + blur": (SimCLR(size, blur=True), pil_pipelines.simclr(size, blur=True)),
        "MoCo v2": (MoCoV2(size), pil_pipelines.moco_v2(size)),
        "FixMatch strong": (Strong(size), pil_pipelines.fixmatch_strong(size)),
    }


def pictures(count: int, size: int) -> torch.Tensor:
    """Smooth colours, uint8 [count, 3, size, size]."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return (torch.nn.functional.interpolate(coarse, size=size, mode="bilinear") * 255).byte()


def rate(function: Callable, argument: object, views: int) -> float:
    """Views per second of wall clock in one call."""
    began = time.perf_counter()
    function(argument)
    return views / (time.perf_counter() - began)


def main() -> None:
    """Time every pipeline and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=32, help="side of pictures and views")
    parser.add_argument("--batch", type=int, default=512, help="pictures in one of our batches")
    parser.add_argument("--single", type=int, default=128, help="PIL pictures per round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    images = pictures(arguments.batch, arguments.size)
    pil = [pil_pipelines.picture(image) for image in images[: arguments.single]]
    generator = torch.Generator().manual_seed(0)
    print(
        f"{arguments.size} px, batch {arguments.batch}, {arguments.threads} thread(s), median of "
        f"{arguments.rounds} rounds; views per second\n"
    )
    print(f"{'':<16}{'usl':>10}{'PIL':>10}{'ratio':>8}{'  lowest..highest':>18}")
    for name, (ours, reference) in pipelines(arguments.size).items():
        ours(images, generator)
        reference(pil[0])
        fast, slow = [], []
        for _ in range(arguments.rounds):
            fast.append(rate(partial(ours, generator=generator), images, len(images)))
            slow.append(rate(lambda pictures, one=reference: [*map(one, pictures)], pil, len(pil)))
        ratios = sorted(a / b for a, b in zip(fast, slow, strict=True))
        print(
            f"{name:<16}{statistics.median(fast):>10,.0f}{statistics.median(slow):>10,.0f}"
            f"{statistics.median(ratios):>8.1f}{ratios[0]:>10.1f}..{ratios[-1]:.1f}"
        )


if __name__ == "__main__":
    main()
