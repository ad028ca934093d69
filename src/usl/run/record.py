"""The sections of ``run.json`` as they are read: what is missing, or of another kind, is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.core.errors import DataError

FIX = "Restore the file, or select anew: usl select."
TEXT, MAYBE = (str,), (str, type(None))
SECTIONS: dict[str, dict[str, tuple[type, ...]]] = {
    "source": {"path": MAYBE, "kind": TEXT, "options": (dict,), "subsets": (dict,)},
    "encoder": {"name": TEXT, "key": TEXT, "supervision": TEXT},
    "selection": {"method": TEXT, "parameters": (dict,)},
    "training": {"method": TEXT, "classes": (list,), "encoder": (dict,), "name": TEXT},
}


class Section(dict[str, Any]):
    """A section; asked for a key that it lacks, it raises a DataError that names the file."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        super().__init__(values)
        self.where = where

    def __missing__(self, key: str) -> Any:
        raise DataError(f"{self.where}: has no {key!r}. {FIX}")


def checked_record(info: dict[str, Any], path: Path) -> dict[str, Any]:
    """The content of ``run.json`` with its sections checked.

    Raises :class:`DataError` naming the file and the key whose value is of another kind.
    """
    for name, kinds in SECTIONS.items():
        section = info.get(name, {})
        if not isinstance(section, dict):
            raise DataError(f"{path}: {name} is no section. {FIX}")
        for key, kind in kinds.items():
            if key in section and not isinstance(section[key], kind):
                raise DataError(f"{path}: {name}.{key} is {section[key]!r}. {FIX}")
    return _named(info, str(path))


def _named(values: dict[str, Any], where: str) -> Section:
    named = {
        key: _named(value, f"{where}, {key}") if isinstance(value, dict) else value
        for key, value in values.items()
    }
    return Section(named, where)
