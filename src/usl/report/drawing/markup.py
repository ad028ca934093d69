"""HTML from plain functions, escaped unless made here; and how figures are written."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
VOID = ("br", "hr", "img", "meta")  # elements that have no end tag
NOTHING, MINUS, FIXED_SPACE = "–", "\u2212", "\u00a0"


class Html(str):
    """Text that is markup already. Only :func:`tag`, :func:`join` and constants make it."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Any text as markup that shows it: names and ids may hold ``<script>`` or broken Unicode."""
    if isinstance(text, Html):
        return text
    whole = str(text).encode("utf-8", "replace").decode()
    return Html(html.escape(NOT_IN_XML.sub("\ufffd", whole)))


def join(children: Iterable[str], separator: str = "") -> Html:
    """Fragments one after the other."""
    return Html(separator.join(escape(child) for child in children))


def tag(name: str, /, *children: str | None, **attributes: Any) -> Html:
    """One element: ``tag("p", "a < b", class_="note")``.

    Children that are not :class:`Html` are escaped; None is left out. Attributes lose a final
    underscore, inner ones become hyphens; True stands alone, None and False are left out.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        parts.append(f" {word}" if value is True else f' {word}="{escape(value)}"')
    parts.append(">")
    if name not in VOID:
        parts += [escape(child) for child in children if child is not None]
        parts.append(f"</{name}>")
    return Html("".join(parts))


def section(title: str, *children: str | None, id_: str) -> Html:
    """A part of the page with its heading."""
    heading = tag("h2", title, id_=f"{id_}-title")
    return tag("section", heading, *children, id_=id_, aria_labelledby=f"{id_}-title")


def footnote(*symbols: str) -> Html | None:
    """What the paper calls the figures of a section; nothing without any."""
    if not symbols:
        return None
    text = f"In the paper (Wang, Lian & Yu, ECCV 2022): {'; '.join(symbols)}."
    return tag("p", text, class_="quiet footnote")


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    class_: str = "",
    text_columns: Sequence[int] = (0,),
) -> Html:
    """A table in a box that scrolls sideways; the first cell of a row is its heading.

    All columns but ``text_columns`` hold figures and are set to the right.
    """
    kinds = ["text" if column in text_columns else "figure" for column in range(len(header))]
    head = tag(
        "tr",
        *[tag("th", name, scope="col", class_=kinds[i]) for i, name in enumerate(header)],
    )
    body = [
        tag(
            "tr",
            *[
                tag("th", cell, scope="row", class_=kinds[0])
                if i == 0
                else tag("td", cell, class_=kinds[i])
                for i, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    return boxed_table(caption, head, body, class_ or None)


def boxed_table(caption: str, head: Html, body: Iterable[Html], class_: str | None) -> Html:
    """A table of ready rows in a box that scrolls sideways."""
    parts = (tag("caption", caption), tag("thead", head), tag("tbody", *body))
    inside = tag("table", *parts, class_=class_)
    return tag("div", inside, class_="scroll", tabindex="0", role="region", aria_label=caption)


def per_cent(fraction: float) -> str:
    """``0.781`` as ``78.1%``."""
    return f"{100 * fraction:.1f}%"


def figure(value: object) -> str:
    """A measured number, about three digits of it; whole numbers in full; a dash for none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        plain = f"{value:.2f}" if 0.1 <= abs(value) < 100 else f"{value:.3g}"
        return plain.replace("-", MINUS)
    return str(value)


def plural(number: int, word: str) -> str:
    """``1 image``, ``2,000 images``; ``2 classes``."""
    ending = "" if number == 1 else "es" if word.endswith("s") else "s"
    return f"{number:,} {word}{ending}"
