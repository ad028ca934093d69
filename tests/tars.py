"""Tars of pictures that are known by their numbers."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
from PIL import Image


def picture(number, kind="PNG"):
    """The bytes of a picture; as BMP all have the same size."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, kind)
    return made.getvalue()


def write_tar(path, members, mode="w"):
    """A tar of ``(name, content)``; bytes, text, or what becomes JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, content in members:
            content = content if isinstance(content, bytes | str) else json.dumps(content)
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
