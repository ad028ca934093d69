"""Rename, merge and remove classes of a store; answers follow, and each is undone as one.

See :mod:`usl.labeling.answers.class_changes` for how answers follow. Nothing that anybody has said
is lost: all that is written is the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from usl.core.errors import UsageError
from usl.labeling.answers.class_changes import (
    MERGE,
    REMOVE,
    RENAME,
    UNDO,
    ClassChange,
    add_change,
    like,
    undoable,
)
from usl.labeling.answers.entries import ClassName, tidy
from usl.labeling.answers.store import Store, now


def name_for(store: Store, label: str, revision: int | None = None) -> str:
    """The class that somebody means by a label, which need not be there yet.

    Parameters
    ----------
    revision : the newest change of the classes that they know of, if that is known.
    """
    names = store.names()
    label = tidy("label", label)
    label = names.present(label) if revision is None else names.since(label, revision)
    return like(label, [one.name for one in store.classes()]) or label


def rename_class(
    store: Store,
    name: str,
    to: str,
    *,
    merge: bool = False,
    annotator: str = "",
    key: str = "",
    revision: int | None = None,
) -> bool:
    """Call a class by another name, in every answer that anybody gave; whether that was new.

    Parameters
    ----------
    merge : whether ``to`` may be a class already, which ``name`` becomes part of.
    key : the client's own: the same change sent twice counts once.
    revision : the newest change of the classes that the client knows of, if that is known.

    Raises :class:`UsageError` for a class that is not there, and for ``to`` that is, unless merged.
    """
    with store.transaction() as connection:
        if _known(store, key):
            return False
        place, one = _find(store, name, revision)
        to = tidy("label", to)
        others = [other.name for other in store.classes() if other.name != one.name]
        other = like(to, others)
        if other is None and to == one.name:
            return False
        if other is not None and not merge:
            raise UsageError(f"classes: {other!r} is there already; merge {one.name!r} into it.")
        kind = RENAME if other is None else MERGE
        change = _change(kind, one, place, other or to, annotator, key)
        add_change(connection, now(), change)
        if other is None:
            connection.execute("UPDATE classes SET name = ? WHERE name = ?", (to, one.name))
        else:
            connection.execute("DELETE FROM classes WHERE name = ?", (one.name,))
    return True


def remove_class(
    store: Store, name: str, *, annotator: str = "", key: str = "", revision: int | None = None
) -> bool:
    """Remove a class: the answers that name it count as taken back; whether that was new.

    Raises :class:`UsageError` for a class that is not there.
    """
    with store.transaction() as connection:
        if _known(store, key):
            return False
        place, one = _find(store, name, revision)
        add_change(connection, now(), _change(REMOVE, one, place, None, annotator, key))
        connection.execute("DELETE FROM classes WHERE name = ?", (one.name,))
    return True


def undo_class_change(store: Store, of: str, *, annotator: str = "", key: str = "") -> bool:
    """Take the change with key ``of`` back; False if there is none, or it was undone before.

    Raises :class:`UsageError` for another annotator's, and where others have gone on from it.
    """
    with store.transaction() as connection:
        classes = store.classes()
        change = undoable(store.names(), of, annotator, [one.name for one in classes])
        if change is None:
            return False
        back = replace(change, kind=UNDO, key=key, undoes=change.id)
        if change.kind == RENAME:
            back = replace(back, name=str(change.new_name), new_name=change.name)
            names = (change.name, change.new_name)
            connection.execute("UPDATE classes SET name = ? WHERE name = ?", names)
        else:
            back = replace(back, new_name=None)
            _put_back(store, classes, change)
        add_change(connection, now(), back)
    return True


def set_hotkey(store: Store, name: str, hotkey: str, *, revision: int | None = None) -> None:
    """Give a class a key; whoever had it gets the one that becomes free.

    Raises :class:`UsageError` for a class that is not there, or what is no key.
    """
    with store.transaction():
        _, one = _find(store, name, revision)
        store.set_classes(
            [
                replace(other, hotkey=hotkey)
                if other == one
                else replace(other, hotkey=one.hotkey)
                if hotkey and other.hotkey == hotkey
                else other
                for other in store.classes()
            ]
        )


def _put_back(store: Store, classes: Sequence[ClassName], change: ClassChange) -> None:
    """List a class again where it stood, with its key if nobody has that by now."""
    if change.name in {one.name for one in classes}:
        return
    free = change.hotkey not in {one.hotkey for one in classes}
    one = ClassName(change.name, change.hotkey if free else "")
    store.set_classes([*classes[: change.place], one, *classes[change.place :]])


def _known(store: Store, key: str) -> bool:
    return bool(key) and any(one.key == key for one in store.names().changes)


def _find(store: Store, name: str, revision: int | None) -> tuple[int, ClassName]:
    """A class that is there, and its place in the list."""
    name = tidy("label", name)
    names = store.names()
    called = names.present(name) if revision is None else names.since(name, revision)
    for place, one in enumerate(store.classes()):
        if one.name == called:
            return place, one
    raise UsageError(f"classes: there is no {name!r} any more.")


def _change(
    kind: str, one: ClassName, place: int, to: str | None, annotator: str, key: str
) -> ClassChange:
    annotator, key = tidy("annotator", annotator, empty=True), tidy("key", key, empty=True)
    return ClassChange(0, 0, kind, one.name, to, one.hotkey, place, annotator, key, 0)
