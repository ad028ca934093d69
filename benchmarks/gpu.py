"""What a GPU gains, in at most six minutes: embedding in bfloat16, and steps of two trainings.

    python benchmarks/gpu.py                  # writes benchmarks/results/gpu.json
    python benchmarks/gpu.py --tiny --out x.json  # a minute on any processor: does it work?

Embedding: ViT-S/16 and ResNet-50 at 224 pixels, random weights, on photographs of 500 x 375 pixels
made from a seed. For each network three rates, in images per second: ``decode``, reading and
resizing alone on all cores, which nothing can exceed; ``network``, passes in bfloat16 over batches
that are on the device already; and ``embed``, all of :func:`usl.embed` without a cache.
``of_the_limit`` is ``embed`` over the smaller one of the others.

Training: steps per second of FixMatch (Wide ResNet-28-2) and of USL-T's network and heads together,
on the 6,000 Fashion-MNIST images that come with the package, the first tenth of the steps left out.
Every part runs once; the row names the machine.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "gpu.json"
NETWORKS = {"ViT-S/16": "vit_small_patch16_224", "ResNet-50": "resnet50"}
TINY = {"ViT-Ti/16": "vit_tiny_patch16_224", "ResNet-18": "resnet18"}
PHOTO = (500, 375)


def main() -> None:
    """Measure all of it and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="small networks and few images")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    began = time.perf_counter()
    found: dict[str, Any] = {"tiny": given.tiny, "machine": machine()}
    with tempfile.TemporaryDirectory(prefix="usl-gpu-") as folder:
        os.environ.setdefault("USL_CACHE_DIR", folder)
        found["embedding"] = embedding(Path(folder) / "photos", tiny=given.tiny)
        found["training"] = training(Path(folder) / "run", tiny=given.tiny)
    found["seconds"] = round(time.perf_counter() - began, 1)
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def machine() -> dict[str, Any]:
    """What it ran on."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "gpu": device,
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }


def embedding(folder: Path, *, tiny: bool) -> dict[str, dict[str, float]]:
    """Images per second of each network."""
    import timm
    import torch

    import usl
    from usl.features.encoders.timm_model import TimmEncoder

    make_photos(folder, 24 if tiny else 6_000)
    collection = usl.open_collection(folder)
    rates = {}
    for shown, name in (TINY if tiny else NETWORKS).items():
        torch.manual_seed(0)
        model = timm.create_model(name, pretrained=False, num_classes=0)
        encoder = TimmEncoder(name, "benchmark", model, "random", "none")
        decode = decode_rate(collection, encoder)
        network = network_rate(model, batch=4 if tiny else 256, passes=2 if tiny else 40)
        began = time.perf_counter()
        usl.embed(collection, encoder, cache=False)
        embed = len(collection) / (time.perf_counter() - began)
        limit = embed / min(decode, network)
        figures = {"decode": decode, "network": network, "embed": embed, "of_the_limit": limit}
        rates[shown] = {what: round(rate, 3) for what, rate in figures.items()}
    return rates


def make_photos(folder: Path, count: int) -> None:
    """JPEGs with the detail of photographs: smooth colours at several sizes, and grain."""
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(min(count, 64)):
        layers = [rng.integers(0, 256, (side, side, 3)).astype(np.uint8) for side in (4, 16, 64)]
        sized = [np.asarray(Image.fromarray(one).resize(PHOTO), np.float32) for one in layers]
        grain = rng.normal(0, 6, (*PHOTO[::-1], 3))
        pixels = np.average(sized, axis=0, weights=(4, 2, 1)) + grain
        file = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "jpeg", quality=90)
        for copy in range(number, count, 64):  # a byte more, or they would be encoded once
            (folder / f"{copy:05d}.jpg").write_bytes(file.getvalue() + copy.to_bytes(4, "big"))


def decode_rate(collection: Any, encoder: Any) -> float:
    """Images per second that all cores can read, decode and prepare."""
    from usl.features.pipeline import ahead
    from usl.numeric.blocks import thread_count

    rows = list(range(len(collection)))
    began = time.perf_counter()
    for _ in ahead(
        lambda row: encoder.prepare(collection.images.read(row)), rows, thread_count(), 256
    ):
        pass
    return len(rows) / (time.perf_counter() - began)


def network_rate(model: Any, *, batch: int, passes: int) -> float:
    """Images per second of passes in bfloat16, the first ones left out."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    pictures = torch.rand(batch, 3, 224, 224, device=device)

    def run(times: int) -> None:
        for _ in range(times):
            model(pictures)
        if device == "cuda":
            torch.cuda.synchronize()

    model.eval()
    with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16):
        run(max(1, passes // 8))
        began = time.perf_counter()
        run(passes)
        return batch * passes / (time.perf_counter() - began)


class Rate:
    """A progress that measures the units per second of one step."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.points: list[tuple[float, int]] = []

    def __call__(self, done: int, total: int, label: str) -> None:
        """Note a report of the step."""
        if label == self.label:
            self.points.append((time.perf_counter(), done))

    def per_second(self) -> float:
        """Units per second, the first tenth left out."""
        measured = self.points[len(self.points) // 10 :]
        (began, first), (ended, last) = measured[0], measured[-1]
        return round((last - first) / (ended - began), 3)


def training(run: Path, *, tiny: bool) -> dict[str, dict[str, Any]]:
    """Steps per second of FixMatch, and of USL-T with its encoder."""
    import usl
    from usl.demo import answer_requests

    pictures = usl.open_collection("builtin:fashion_mnist")
    if tiny:
        pictures = pictures.take(np.arange(0, len(pictures), 60))
    clusters, fixmatch = Rate("usl_t network"), Rate("fixmatch")
    usl.start_run(
        *(pictures, 10 if tiny else 40, run),
        method="usl_t",
        model="cifar-cld-small",
        end_to_end=True,
        epochs=1 if tiny else 10,
        steps=20 if tiny else 1_500,
        progress=clusters,
    )
    answer_requests(usl.Run.open(run), pictures)
    sizes = {"steps": 400, "network": "wrn28_2", "batch_size": 64}
    sizes = {"steps": 3, "network": "compact", "batch_size": 4} if tiny else sizes
    usl.train(run, method="fixmatch", collection=pictures, progress=fixmatch, **sizes)
    return {
        "usl_t": {"steps_per_second": clusters.per_second(), "network": "cifar-cld-small"},
        "fixmatch": {"steps_per_second": fixmatch.per_second(), **sizes},
    }


if __name__ == "__main__":
    main()
