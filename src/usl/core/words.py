"""Words of messages: counts in singular and plural, commands to paste, tables for notebooks."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from html import escape


def counted(n: int, noun: str, plural: str = "") -> str:
    """A number with its noun: ``1 entry``, ``2 entries``, ``1,200 images``.

    ``plural`` is for nouns that take no plain s, nor ies for a y behind a consonant.
    """
    return f"{n:,} {noun if n == 1 else plural or plural_of(noun)}"


def more_such(n: int, noun: str) -> str:
    """A remark on how many of them there are, `` (3 such rows)``; "" of one."""
    return f" ({counted(n, f'such {noun}')})" if n > 1 else ""


def each(n: int, noun: str) -> str:
    """All of a number: ``the only image``, ``each of 2 images``."""
    return f"the only {noun}" if n == 1 else f"each of {counted(n, noun)}"


def plural_of(noun: str) -> str:
    """The plural of an English noun that is regular; of several words, of the last."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def verb_for(n: int, one: str, many: str) -> str:
    """The form of a verb or pronoun for a number: ``is`` or ``are``, ``it`` or ``them``."""
    return one if n == 1 else many


def quoted(word: str | os.PathLike[str]) -> str:
    """A path or name as it is typed on a command line, quoted where it has to be.

    For the shell of this system; a path that begins with a dash gets ``./`` before it.
    """
    text = os.fspath(word)
    text = f"./{text}" if text.startswith("-") else text
    if os.name == "nt":
        import subprocess

        return subprocess.list2cmdline([text])
    return shlex.quote(text)


def html_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A small table under a line of text, as HTML; everything in it is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div>{escape(title)}</div>{table}"
