"""Which files are pictures, by their ending, and what is needed to read them.

The usual formats need nothing. HEIC, AVIF, JPEG 2000 and DNG need a decoder: Pillow's own where it
was built with one, else ``pip install 'usl[photos]'``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec

from usl.core.words import counted, verb_for

USUAL = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp"),
    *(".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
)
HEIC = (".heic", ".heif", ".hif")
AVIF = (".avif", ".avifs")
JPEG_2000 = (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc")
RAW = (".dng",)
PHOTOS = (*HEIC, *AVIF, *JPEG_2000, *RAW)
EXTENSIONS = (*USUAL, *PHOTOS)

# Pictures that are not read at all; where they lie beside others, that is said.
OTHER_PICTURES = (
    *(".svg", ".psd", ".psb", ".xcf", ".ai", ".eps", ".ico", ".tga", ".jxl", ".exr", ".hdr"),
    *(".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".pef", ".srw", ".ppm"),
    *(".pgm", ".pbm", ".pnm", ".dcm", ".nii", ".czi", ".lif", ".nd2", ".svs", ".ndpi", ".fits"),
    *(".jxr", ".wdp", ".jls", ".mpo", ".pcx", ".sgi", ".qoi"),
)


@cache
def readable_endings() -> tuple[str, ...]:
    """The endings of pictures that can be read with what is installed, in lower case."""
    from PIL import features

    found = [*USUAL]
    if _has("pillow_heif"):
        found += HEIC
    if "avif" in features.modules and features.check("avif"):
        found += AVIF
    if features.check("jpg_2000"):
        found += JPEG_2000
    if _has("rawpy"):
        found += RAW
    return tuple(found)


@cache
def formats() -> tuple[str, ...]:
    """The formats that Pillow is let open, by its names for them.

    Pillow decides by content, not by name; naming the formats keeps a file called .jpg that is
    really PostScript from being handed to Ghostscript. (The JPEG reader also opens phones' MPO.)
    """
    from PIL import Image

    if _has("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    wanted = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "JPEG2000", "AVIF", "HEIF")
    return tuple(name for name in wanted if name in Image.OPEN)


def passed_over_note(source: str, passed_over: Mapping[str, int]) -> str:
    """What to say of pictures that are not read; "" if there are none."""
    pictures = {
        ending: count
        for ending, count in passed_over.items()
        if ending in PHOTOS or ending in OTHER_PICTURES
    }
    if not pictures:
        return ""
    total = sum(pictures.values())
    files = f"{counted(total, 'file')} {verb_for(total, 'was', 'were')}"
    listed = ", ".join(
        f"{count} x {ending}" for ending, count in sorted(pictures.items(), key=lambda p: -p[1])
    )
    fix = (
        "To read them: pip install 'usl[photos]'."
        if any(ending in PHOTOS for ending in pictures)
        else "Convert those that are meant."
    )
    return f"{source}: {files} passed over: {listed}. {fix}"


def _has(package: str) -> bool:
    return find_spec(package) is not None
