"""Escape text for XML."""

from __future__ import annotations

import re
from xml.sax.saxutils import quoteattr

from usl.core.errors import DataError

FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # by XML 1.0


def attribute(text: str) -> str:
    """The text as a quoted attribute value; DataError for characters that XML cannot hold."""
    if FORBIDDEN.search(text):
        raise DataError(f"{text!r} holds control characters, which XML cannot. Rename it.")
    # a bare line end or tab in an attribute is read as a blank
    return quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
