"""The memory that a picture takes is at most what its header lets expect."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MEASURE = """
import io, json, struct, zlib
import numpy as np
from PIL import Image
from usl.data import picture_cost
from usl.data.decode import decode_file
from usl.data.endings import formats

SIDE = 3000
formats()
picture_cost.MEMORY = 1 << 40

def saved(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content

def deep(channels, kind):
    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 16, kind, 0, 0, 0)
    rows = zlib.compress((b"\\0" + bytes(range(250)) * 3 * channels * 8) * SIDE, 1)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return io.BytesIO(b"\\x89PNG\\r\\n\\x1a\\n" + parts)

def peak():
    with open("/proc/self/status") as file:
        return int(file.read().split("VmHWM:")[1].split()[0]) << 10

def new(mode):
    return Image.new(mode, (SIDE, SIDE))

ramp = np.tile(np.arange(SIDE), (SIDE, 1))
PICTURES = {
    "grey.png": lambda: saved(new("L"), "PNG"),
    "colour.png": lambda: saved(new("RGB"), "PNG"),
    "transparent.png": lambda: saved(new("RGBA"), "PNG"),
    "palette.png": lambda: saved(new("P"), "PNG", transparency=0),
    "sixteen.png": lambda: saved(Image.fromarray(ramp.astype(np.uint16)), "PNG"),
    "deep.png": lambda: deep(3, 2),
    "deep-transparent.png": lambda: deep(4, 6),
    "float.tif": lambda: saved(Image.fromarray(ramp.astype(np.float32)), "TIFF"),
    "ink.tif": lambda: saved(new("CMYK"), "TIFF"),
    "colour.jpg": lambda: saved(new("RGB"), "JPEG"),
    "ink.jpg": lambda: saved(new("CMYK"), "JPEG", progressive=True),
    "progressive.jpg": lambda: saved(new("RGB"), "JPEG", progressive=True, subsampling=0),
    "colour.webp": lambda: saved(new("RGB"), "WEBP", method=0),
    "transparent.webp": lambda: saved(new("RGBA"), "WEBP", lossless=True, method=0),
    "palette.gif": lambda: saved(new("P"), "GIF"),
}
found = {}
for name, make in PICTURES.items():
    content = make()
    with Image.open(content) as image:
        progressive = 6 if image.info.get("progressive") else 0
        expected = SIDE * SIDE * (picture_cost._bytes_a_pixel(image) + progressive)
    content.seek(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before = peak()
    decode_file(content, name, apart=False)
    found[name] = expected, peak() - before
print(json.dumps(found))
"""
SLACK = 100 << 20  # bytes, for a sample of the levels and what was free before


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_pictures_take_no_more_memory_than_expected():
    command = [sys.executable, "-W", "ignore", "-c", MEASURE]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr
    for name, (expected, taken) in json.loads(made.stdout).items():
        print(f"{name}: {taken / 9e6:.1f} bytes a pixel, {expected / 9e6:.0f} expected")
        assert taken <= expected + SLACK, name
