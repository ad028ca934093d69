"""Files of settings, and which of their options are taken from whom.

Three files may give options, each with a table per verb: one that ``--config`` names, ``usl.toml``
in the current folder, and the user's own. That of the current folder may have come with a download,
so it is not trusted: it never names code, an address, a password or a place outside its folder. An
option that is a text or a path is refused there unless ``HARMLESS`` says how a value of it is
checked, so that a new option is refused until somebody has thought about it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from cyclopts.argument import ArgumentCollection
from cyclopts.config import Toml

from usl.core.errors import UsageError

ENVIRONMENT, SETTINGS = "USL_", Path("usl.toml")  # where options come from, beside flags
CONFIG = "--config"

# Flags and numbers that a file from anywhere must not set: they replace what is there, or let
# through what is refused.
NEVER = {"overwrite", "max_pixels"}


def is_word(value: str) -> bool:
    """A name, of a method, a preset or the like, and not the path of a file."""
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", value) is not None


def is_network(value: str) -> bool:
    """A network by name, with random weights."""
    return is_word(value.removeprefix("timm:"))


def is_inside(value: str) -> bool:
    """A path in the current folder, links followed; ``builtin:`` is inside, too."""
    if value.startswith("~") or "://" in value or "\\\\" in value or "\0" in value:
        return False
    here = Path.cwd().resolve()
    try:
        return (here / value).resolve().is_relative_to(here)
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name too long
        return False


def is_at_hand(value: str) -> bool:
    """An encoder that comes with the package, or lies in the current folder; nothing is fetched."""
    from usl.features.open_encoder import file_of, is_remote

    return not is_remote(value) and is_inside(file_of(value))


def is_plain(value: str) -> bool:
    """Any text: it is shown, compared or parsed, and opens nothing."""
    return True


HARMLESS: Mapping[str, Callable[[str], bool]] = {
    **dict.fromkeys(
        [
            "method",
            "learner",
            "task",
            "to",
            "format",
            "preset",
            "as_",
            "device",
            "precision",
            "use",
        ],
        is_word,
    ),
    "network": is_network,
    **dict.fromkeys(["model", "init", "start"], is_at_hand),
    **dict.fromkeys(["source", "out", "scratch", "data"], is_inside),
    **dict.fromkeys(["exclude", "include", "groups", "labels"], is_inside),
    **dict.fromkeys(
        ["classes", "class_", "annotator", "memory", "quotas", "datasets", "only"], is_plain
    ),
}
FREE = (bool, int, float)  # kinds of values that open nothing, beside words of a list


class SettingsFile(Toml):
    """A file of settings, read when a verb asks for it; an error in it is told by file and line."""

    trusted: bool = True

    @property
    def config(self) -> dict[str, Any]:
        """The tables of the file; none where there is no file."""
        return read_settings(Path(self.path))

    def __call__(self, app: Any, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Fill in what has no value yet; refuse what this file may not give."""
        super().__call__(app, commands, arguments)
        if self.trusted:
            return
        for argument in arguments:
            for token in argument.tokens:
                if token.source == self.source:
                    key = (token.keyword or "").strip("[]")
                    name, kind = argument.field_info.name, argument.hint
                    check_given(" ".join(commands), name, kind, token.value, key)


class FolderSettings(SettingsFile):
    """``usl.toml`` of the current folder, which may be anybody's."""

    trusted = False


def check_given(verb: str, name: str, kind: Any, value: str, key: str) -> None:
    """Refuse an option of ``usl.toml`` that only the user may give.

    Parameters
    ----------
    name, kind : the option and its type.
    key : the option as it is spelled in the file.
    """
    harmless = HARMLESS.get(name)
    if name in NEVER or not (is_free(kind) or (harmless is not None and harmless(value))):
        shown = "..." if name in ("password", "token") else repr(value)
        raise UsageError(
            f"{SETTINGS}: [{verb}] {key} = {shown} is not taken from a file in the current "
            "folder, which may be somebody else's. If it is yours: give it on the command line, or "
            f"the file as {CONFIG} {SETTINGS}, or keep it in {own_settings()}."
        )


def is_free(kind: Any) -> bool:
    """Whether all values of a type are flags, numbers, or words of a list."""
    if get_origin(kind) is Literal:
        return True
    parts = [part for part in get_args(kind) if part is not type(None)]
    return all(map(is_free, parts)) if parts else kind in FREE


def files_of_settings(named: Path | None) -> list[SettingsFile]:
    """The files that give options, the first that has one counts.

    The one that the user ``named``, that of the current folder, the user's own.
    """
    own = own_settings()
    trusted = [SettingsFile(str(path), allow_unknown=False) for path in (named, own) if path]
    if any(same_file(path, SETTINGS) for path in (named, own) if path):
        return trusted
    return [*trusted[:-1], FolderSettings(str(SETTINGS), allow_unknown=False), trusted[-1]]


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file that is there."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def own_settings() -> Path:
    """The user's own file: ``$XDG_CONFIG_HOME/usl/usl.toml``, else ``~/.config/usl/usl.toml``.

    Relative values of the variable are ignored, as the XDG specification asks.
    """
    shared = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    home = Path(os.path.expanduser("~"))
    return (shared if shared.is_absolute() else home / ".config") / "usl" / SETTINGS


def take_config(tokens: Sequence[str]) -> tuple[list[str], Path | None]:
    """A command line without ``--config FILE``, and that file.

    :class:`UsageError` where there is no such file, or it is named twice.
    """
    left: list[str] = []
    found: list[str] = []
    rest = iter(tokens)
    for token in rest:
        if token == "--":
            left += [token, *rest]
        elif token == CONFIG:
            found.append(next(rest, ""))
        elif token.startswith(f"{CONFIG}="):
            found.append(token.partition("=")[2])
        else:
            left.append(token)
    if not found:
        return left, None
    if len(found) > 1:
        raise UsageError(f"{CONFIG}: given {len(found)} times; give one file.")
    path = Path(found[0]).expanduser()
    if not found[0] or not path.is_file():
        raise UsageError(f"{CONFIG}: {found[0] or 'nothing'} is no file. Name a file of settings.")
    return left, path


def chosen_in_files(files: Sequence[SettingsFile], verb: str, name: str) -> str | None:
    """The value of an option that chooses a method, or None; its own options are read after it.

    Raises :class:`UsageError` for code that an untrusted file names.
    """
    for file in files:
        try:
            section = file.config.get(verb)
        except UsageError:  # told of when the options are read
            return None
        if isinstance(section, dict) and isinstance(section.get(name), str):
            value = str(section[name])
            if not file.trusted:
                check_given(verb, name, str, value, name)
            return value
    return None


def read_settings(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, empty if it does not exist.

    :class:`UsageError` naming the file and the line where it is no TOML, or cannot be read.
    """
    import tomllib

    content = b""
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror or error}). Allow reading it, or move it out "
            "of the way."
        ) from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{path}, line {line}: not UTF-8 text. Save the file anew with the encoding UTF-8."
        ) from error
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        lines = content.decode("utf-8-sig").splitlines()
        what, _, place = str(error).partition(" (at ")
        found = re.match(r"line (\d+)", place)
        number = int(found[1]) if found else max(1, len(lines))  # else: at the end of the document
        text = lines[number - 1].strip() if number <= len(lines) else ""
        raise UsageError(
            f"{path}, line {number}: {text!r} is not valid TOML ({what.rstrip('.')}). Correct the "
            'line, or remove it. A section is written [select], text model = "pixels", a number '
            "seed = 1, each once."
        ) from error
