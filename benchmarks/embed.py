"""Photographs per second of ``usl.embed``, and what scaled reads change in the features.

    python benchmarks/embed.py speed --cores 1 2 --pairs 3
    python benchmarks/embed.py same --photographs 500
    python benchmarks/embed.py same --photographs 500 --folder FOLDER   # parts of JPEG files in it
    python benchmarks/embed.py precision --photographs 500

Photographs are made from a seed: noise with the spectrum of natural images, and things with edges
before it. ``speed`` runs the ways of reading them by turns, each in a process of its own:

- ``usl``: ``usl.embed`` with ``efficientnet_lite1``, without a cache of features;
- ``former``: as it was: each file read twice and decoded whole, memory given back at once;
- ``torchvision``: its decoder and its resize, without a network;
- ``limit``: Pillow's scaled decoding alone, without resize, hash or network.

On a machine that does other work, compare the seconds of the processor.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from usl.core.hashing import bytes_digest
from usl.data.collection import Collection
from usl.data.images import FileImages
from usl.features.embed import embed
from usl.features.encoders import efficientnet_lite
from usl.features.open_encoder import open_encoder
from usl.features.preprocessing import Preprocessing
from usl.numeric.blocks import thread_count

RESULTS = Path(__file__).parent / "results" / "embed.jsonl"
MODEL = "efficientnet_lite1"
SIZES = {0.25: (577, 433), 2: (1633, 1225), 12: (4000, 3000), 48: (8000, 6000)}
COUNTS = {0.25: 192, 2: 96, 12: 32, 48: 8}
SIDES = ("usl", "former", "torchvision", "limit")
TILE, QUALITY, LEAST = 2048, 88, 320
PART, PART_QUALITY = (1600, 1200), 92  # pixels, of the parts of photographs


class Photographs:
    """Pictures from seeds: texture, light and things with edges, as JPEG files."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        across, down = np.fft.rfftfreq(TILE)[None], np.fft.fftfreq(TILE)[:, None]
        frequency = np.hypot(down, across)
        frequency[0, 0] = 1
        self.tiles = []
        for slope in (1.0, 1.2, 1.4, 1.7):
            waves = rng.standard_normal((2, *frequency.shape)) / frequency**slope
            tile = np.fft.irfft2(waves[0] + 1j * waves[1], s=(TILE, TILE))
            self.tiles.append((tile / tile.std()).astype(np.float32))

    def make(self, seed: int, size: tuple[int, int]) -> Image.Image:
        """The photograph of a seed; of another size it is the same scene with more detail."""
        rng = np.random.default_rng(seed)
        width, height = size
        planes = []
        for strength in (rng.uniform(15, 50), rng.uniform(5, 15), rng.uniform(5, 15)):
            tile = self.tiles[rng.integers(len(self.tiles))] * strength
            tile = np.roll(tile, rng.integers(TILE, size=2).tolist(), (0, 1))
            times = (-(-height // TILE), -(-width // TILE))
            light = np.linspace(*rng.normal(0, 25, 2), height, dtype=np.float32)[:, None]
            planes.append(np.tile(tile, times)[:height, :width] + light)
        for _ in range(int(rng.integers(3, 40))):
            self._thing(rng, planes, width, height)
        grain = np.random.default_rng([seed, 1]).standard_normal((TILE, TILE), dtype=np.float32)
        planes[0] += np.tile(grain, times)[:height, :width] * rng.uniform(0, 3) + 128
        for plane in planes[1:]:
            plane += 128
        bands = [Image.fromarray(plane.clip(0, 255).astype(np.uint8)) for plane in planes]
        return Image.merge("YCbCr", bands)

    @staticmethod
    def _thing(rng: Any, planes: list[Any], width: int, height: int) -> None:
        """An ellipse or a box of one colour, over a part of its texture."""
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        across, down = rng.uniform(0.02, 0.25, 2) * height
        left, right = int(max(0, x - across)), int(min(width, x + across))
        top, bottom = int(max(0, y - down)), int(min(height, y + down))
        rows, columns = np.ogrid[top:bottom, left:right]
        inside: Any = np.ones((bottom - top, right - left), bool)
        if rng.random() < 0.6:
            inside = ((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 < 1
        kept = rng.uniform(0, 0.6)
        for plane, colour in zip(planes, rng.normal(0, (60, 30, 30)), strict=True):
            part = plane[top:bottom, left:right]
            part[inside] = part[inside] * kept + colour

    def file(self, seed: int, size: tuple[int, int]) -> bytes:
        """The photograph as a JPEG, colours at half the size."""
        content = io.BytesIO()
        self.make(seed, size).save(content, "JPEG", quality=QUALITY, subsampling="4:2:0")
        return content.getvalue()


class Parts:
    """Parts of real photographs: another place and another size for every seed, never enlarged."""

    def __init__(self, folder: Path) -> None:
        found = [path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".jpg"]
        sizes = [Image.open(path).size for path in found]
        large = [min(a / b for a, b in zip(size, PART, strict=True)) >= 1 for size in sizes]
        self.paths = [path for path, fits in zip(found, large, strict=True) if fits]

    def file(self, seed: int, _: tuple[int, int]) -> bytes:
        """A part with sides of 4 to 3, as a JPEG."""
        rng = np.random.default_rng(seed)
        with Image.open(self.paths[seed % len(self.paths)]) as image:
            whole = image.convert("RGB")
        largest = min(size / least for size, least in zip(whole.size, PART, strict=True))
        times = rng.uniform(1, largest)
        width, height = (int(times * least) for least in PART)
        left = rng.integers(whole.width - width + 1)
        upper = rng.integers(whole.height - height + 1)
        content = io.BytesIO()
        part = whole.crop((left, upper, left + width, upper + height))
        part.save(content, "JPEG", quality=PART_QUALITY, subsampling="4:2:0")
        return content.getvalue()


class Former:
    """Files as they were read before: once for the hash, once more to be decoded whole."""

    def __init__(self, root: Path, names: Any) -> None:
        self.root, self.names = root, np.asarray(names, dtype=object)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, row: int) -> Image.Image:
        with open(self.root / self.names[row], "rb") as content:
            assert content.read().count(b"\xff\xda") < 100
            content.seek(0)
            with Image.open(content) as image:
                image.load()
                return ImageOps.exif_transpose(image)

    def digest(self, row: int) -> str:
        return bytes_digest((self.root / self.names[row]).read_bytes())

    def take(self, rows: Any) -> Former:
        return Former(self.root, self.names[rows])


def collection(folder: Path, kind: Any = FileImages) -> Collection:
    """The JPEG files of a folder, without a memo of their hashes."""
    names = sorted(path.name for path in folder.glob("*.jpg"))
    images = kind(folder, names)
    return Collection(np.array(names), np.full(len(names), "train"), images=images, source="made")


def decoded(path: Path) -> None:
    """Pillow's part of the work, and no more."""
    with Image.open(path) as image:
        scale = min(image.size) // LEAST
        if scale > 1:
            image.draft(None, (image.width // scale, image.height // scale))
        image.load()


def by_torchvision(path: Path) -> None:
    """Read and resize as torchvision does."""
    import torch
    from torchvision.io import ImageReadMode, decode_image, read_file
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import center_crop, resize

    with torch.inference_mode():
        picture = decode_image(read_file(str(path)), ImageReadMode.RGB)
        picture = resize(picture, [160], InterpolationMode.BICUBIC, antialias=True)
        center_crop(picture, [160, 160])


def measure(side: str, folder: Path) -> None:
    """Read a folder in one way; print seconds, those of the processor, and the peak memory."""
    files = sorted(folder.glob("*.jpg"))
    if side in ("usl", "former"):
        found = collection(folder, FileImages if side == "usl" else Former)
        if side == "former":
            efficientnet_lite.keep_large_buffers = lambda: None
        encoder: Any = open_encoder(MODEL)
        embed(found.take(np.arange(2)), encoder, cache=False)

        def work() -> None:
            embed(found, encoder, cache=False)
    else:
        function = decoded if side == "limit" else by_torchvision
        if side == "torchvision":
            import torch

            torch.set_num_threads(1)
        function(files[0])

        def work() -> None:
            with ThreadPoolExecutor(thread_count()) as pool:
                list(pool.map(function, files))

    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps([wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def speed(arguments: argparse.Namespace) -> None:
    """Run the sides by turns and keep the medians of their figures."""
    made = Photographs()
    for megapixels in arguments.megapixels:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for seed in range(COUNTS[megapixels]):
                content = made.file(seed % 6, SIZES[megapixels])
                end = bytes([0xFF, 0xFE, 0, 4, *divmod(seed, 256)])  # a comment: no two are equal
                (folder / f"{seed:04d}.jpg").write_bytes(content[:2] + end + content[2:])
            size = sum(path.stat().st_size for path in folder.iterdir()) / COUNTS[megapixels]
            for cores in arguments.cores:
                rows = one_size(folder, cores, arguments.pairs)
                for side, (wall, cpu, peak) in rows.items():
                    found = {
                        "what": "speed",
                        "megapixels": megapixels,
                        "file_mb": round(size / 1e6, 2),
                        "cores": cores,
                        "side": side,
                        "photographs": COUNTS[megapixels],
                        "pairs": arguments.pairs,
                        "a_second": round(COUNTS[megapixels] / wall, 1),
                        "a_cpu_second": round(COUNTS[megapixels] / cpu, 1),
                        "peak_mb": round(peak),
                    }
                    keep(found)


def one_size(folder: Path, cores: int, pairs: int) -> dict[str, list[float]]:
    """Medians of wall seconds, processor seconds and megabytes of each side."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(cores)}
    taken: dict[str, list[Any]] = {side: [] for side in SIDES}
    for _ in range(pairs):
        for side in SIDES:
            command = [sys.executable, "-W", "ignore", __file__, "measure", side, str(folder)]
            made = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if made.returncode:
                print(f"{side}: {made.stderr.strip().splitlines()[-1]}")
                continue
            taken[side].append(json.loads(made.stdout))
    return {side: np.median(rows, axis=0).tolist() for side, rows in taken.items() if rows}


def rows_of(folder: Path, kind: Any = FileImages, **options: Any) -> Any:
    """Features of all photographs, without a cache."""
    return embed(collection(folder, kind), MODEL, cache=False, **options).rows


def compare(arguments: argparse.Namespace) -> None:
    """Features of scaled reads beside those of whole ones, or of half precision beside full."""
    import usl

    made: Any = Parts(arguments.folder) if arguments.folder else Photographs()
    whole, others = [], []
    for start in range(0, arguments.photographs, 20):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for seed in range(start, min(start + 20, arguments.photographs)):
                size = SIZES[arguments.of]
                (folder / f"{seed:04d}.jpg").write_bytes(made.file(1000 + seed, size))
            if arguments.what == "same":
                whole.append(rows_of(folder, Former))
                others.append(rows_of(folder))
            else:
                whole.append(rows_of(folder))
                others.append(rows_of(folder, precision="bf16"))
    fitted = Preprocessing.fit(np.concatenate(whole), center=True, standardize=True)
    found: dict[str, Any] = {
        "what": arguments.what,
        "megapixels": arguments.of,
        "photographs": arguments.photographs,
    }
    if arguments.folder:
        found |= {"megapixels": None, "parts_of": len(made.paths)}
    pairs = {"rows": (np.concatenate(whole), np.concatenate(others))}
    pairs["points"] = tuple(map(fitted.transform, pairs["rows"]))
    for kind, (one, two) in pairs.items():
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        cosine = (one * two).sum(axis=1) / lengths
        found |= {f"{kind}_mean": round(float(cosine.mean()), 5)}
        found |= {f"{kind}_least": round(float(cosine.min()), 5)}
    for method in ("usl", "quorum"):
        one, two = (
            set(usl.select(points, 40, method=method).indices.tolist())
            for points in pairs["points"]
        )
        found |= {f"{method}_picks_of_40_kept": len(one & two)}
    keep(found)


def keep(row: dict[str, Any]) -> None:
    """Print a row of results and add it to the file."""
    print(json.dumps(row), flush=True)
    with open(RESULTS, "a") as file:
        file.write(json.dumps(row) + "\n")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="what", required=True)
    fast = verbs.add_parser("speed")
    fast.add_argument("--megapixels", type=float, nargs="+", default=list(SIZES))
    fast.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    fast.add_argument("--pairs", type=int, default=3)
    for name in ("same", "precision"):
        one = verbs.add_parser(name)
        one.add_argument("--photographs", type=int, default=500)
        one.add_argument("--of", type=float, default=12, choices=list(SIZES))
        one.add_argument("--folder", type=Path, help="of JPEG files whose parts are read instead")
    single = verbs.add_parser("measure")
    single.add_argument("side", choices=SIDES)
    single.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "measure":
        measure(arguments.side, arguments.folder)
    elif arguments.what == "speed":
        speed(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
