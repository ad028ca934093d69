"""How a run shows itself: a line when printed, the picks with pictures in a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError
from usl.core.words import counted
from usl.data.gallery import MOST, gallery

if TYPE_CHECKING:
    from usl.run.folder import Run


def run_line(path: Path, info: dict[str, Any]) -> str:
    """A run in a line, from its ``run.json`` alone, whatever that lacks."""
    picked, source = _section(info, "selection"), _section(info, "source")
    encoder, training = _section(info, "encoder"), _section(info, "training")
    images = _section(source, "subsets").get("train", source.get("images"))
    total = f" of {counted(images, 'image')}" if isinstance(images, int) else ""
    text = f"Run {str(path)!r}: {picked.get('budget', '?')}{total} picked"
    text += f" by {picked.get('method', '?')} on {encoder.get('name', '?')} features"
    if not training:
        return f"{text}; not trained"
    labels, classes = training.get("labels", 0), training.get("classes", [])
    of = f"{counted(labels, 'label')} of {counted(len(classes), 'class')}"
    return f"{text}; active model {training.get('name') or training.get('method')} on {of}"


def _section(info: dict[str, Any], name: str) -> dict[str, Any]:
    found = info.get(name)
    return found if isinstance(found, dict) else {}


def run_html(run: Run) -> str:
    """The line and thumbnails of the picks, best first, with their labels; never an error."""
    title = repr(run)
    try:
        picks = [name for one in run.rounds() for name in one.ids()]
        split = run.split()
        labels = dict(zip(split.ids.tolist(), split.labels.tolist(), strict=True))
    except (DataError, OSError) as error:
        return gallery(None, [], [], f"{title} ({error})")
    try:
        collection = run.collection()
        place = {word: row for row, word in enumerate(collection.ids.tolist())}
    except (DataError, OSError) as error:
        collection, place, title = None, {}, f"{title} (no pictures: {error})"
    captions = [f"{word}: {label}" if (label := labels.get(word)) else word for word in picks]
    shown = [place.get(word, -1) for word in picks[:MOST]]
    rows = shown + [-1] * (len(picks) - len(shown))
    return gallery(collection, rows, captions, title)
