"""The classes that the labelling page offers when it is started: asked for, used, and no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from usl.labeling.answers.class_changes import like
from usl.labeling.answers.store import Store
from usl.run.folder import Run


def set_classes(
    run: Run,
    store: Store,
    names: Sequence[str],
    *,
    predicted: bool,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Bring the names asked for to the front, and add those that labels or the model have.

    They take the place of classes that nobody has used; without names all stay that are there.
    Keys that classes have already stay theirs. A former name means the class that has another by
    now, and names that differ in case or blanks alone are one class.
    """
    with store.transaction():
        now, known = store.names(), {one.name: one for one in store.classes()}
        labels = run.split().labels.tolist()
        counts = Counter(name for name in labels if name is not None)
        counts.update(one.label for one in store.history() if one.label and not one.undone)
        used = [name for name, _ in counts.most_common()]
        trained = run.info.get("training", {}).get("classes", []) if predicted else []
        model = [now.present(name) for name in trained if not now.removed(name)]
        asked: list[str] = []
        for text in filter(None, (name.strip() for name in names)):
            name = now.present(text)
            name = like(name, [*asked, *used, *known]) or name
            if name != text:
                tell(f"Note: {text!r} is the class {name!r} here.")
            if name not in asked:
                asked.append(name)
        stay = [name for name in known if not asked or name in counts or name in model]
        gone = [name for name in known if name not in {*asked, *stay}]
        wanted = dict.fromkeys([*asked, *stay, *model, *used])
        if list(wanted) != list(known):
            store.set_classes([known.get(name, name) for name in wanted])
    if gone:
        shown = ", ".join(map(repr, gone[:5])) + (", ..." if len(gone) > 5 else "")
        tell(f"Note: no longer offered, for nobody has used them: {shown}.")
