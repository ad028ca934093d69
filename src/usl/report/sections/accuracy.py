"""Accuracy of the classifier: overall, per class, and as a confusion matrix."""

from __future__ import annotations

from typing import Any

from usl.report.drawing.markup import Html, boxed_table, join, per_cent, plural, section, table, tag
from usl.report.facts.facts import Facts
from usl.report.sections.header import features_of, shown_name

MATRIX = 20  # classes in a confusion matrix; of more, the commonest confusions
CLASSES = 100  # rows of the per-class table; of more, the hardest
CONFUSIONS = 20
BESIDE = 8  # classes of a matrix that half the page has room for
KEYS = ("precision", "recall", "f1")


def accuracy_section(facts: Facts) -> Html:
    """Every accuracy, each with its protocol."""
    figures = facts.evaluation
    if figures is None:
        return Html("")
    subsets = [name for name in ("test", "val", "train") if name in figures]
    rows = [
        [
            name,
            figures[name]["protocol"],
            f"{figures[name]['n']:,}",
            per_cent(figures[name]["accuracy"]),
            per_cent(figures[name]["macro_f1"]),
        ]
        for name in subsets
    ]
    intro = (
        f"{shown_name(figures['method']).capitalize()} on {plural(figures['labels'], 'label')}, "
        f"{features_of(figures['encoder'])} (supervision: {figures['supervision']}). "
        f"Out of sample: training never saw these {facts.noun}s. Transductive: it saw them, but "
        f"not their labels. Answers from the {figures['truth']}."
    )
    overall = table(
        "Accuracy by subset",
        ["subset", "protocol", "images", "accuracy", "macro-F1"],
        rows,
        text_columns=(0, 1),
    )
    details = [
        side_by_side(confusions(name, figures[name]), per_class(name, figures[name]))
        for name in subsets[:1]
    ]
    return section("Accuracy", tag("p", intro), overall, *details, id_="accuracy")


def side_by_side(matrix: Html, classes: Html) -> Html:
    """The two tables beside each other, or the matrix over the whole width where it is large."""
    wide = matrix.count("<tr") > 1 + BESIDE
    return join([matrix, classes]) if wide else tag("div", matrix, classes, class_="pair")


def per_class(subset: str, figures: dict[str, Any]) -> Html:
    """Precision, recall and F1 of each class; the hardest of many."""
    rows = [row for row in figures["per_class"] if row["n"]]
    caption = f"Per class ({subset}, {figures['protocol']})"
    if len(rows) > CLASSES:
        rows = sorted(rows, key=lambda row: row["f1"])[:CLASSES]
        caption += f"; the {CLASSES} with the lowest F1"
    lines = [[row["label"], f"{row['n']:,}", *[per_cent(row[key]) for key in KEYS]] for row in rows]
    return table(caption, ["class", "images", *KEYS], lines)


def confusions(subset: str, figures: dict[str, Any]) -> Html:
    """The confusion matrix as a heat table, or the commonest confusions of many classes."""
    names = [row["label"] for row in figures["per_class"]]
    if len(names) > MATRIX:
        return commonest(subset, names, figures["confusion"])
    head = [tag("th", "true \\ predicted", scope="col", class_="text")]
    head += [tag("th", tag("span", n), scope="col", class_="turned", title=n) for n in names]
    rows = []
    for name, counts in zip(names, figures["confusion"], strict=True):
        total = max(1, sum(counts))
        cells = [
            heat_cell(count, count / total, name == other)
            for other, count in zip(names, counts, strict=True)
        ]
        rows.append(tag("tr", tag("th", name, scope="row", class_="text", title=name), *cells))
    caption = f"Confusion ({subset}): images by true class (row) and predicted class (column)"
    return boxed_table(caption, tag("tr", *head), rows, "heat")


def heat_cell(count: int, share: float, right: bool) -> Html:
    """A count on a ground that is the stronger, the larger its share of the row."""
    kind = "right" if right else "wrong"
    return tag("td", f"{count:,}" if count else "·", class_=kind, style=f"--v:{share:.2f}")


def commonest(subset: str, names: list[str], matrix: list[list[int]]) -> Html:
    """The pairs of classes that are confused most often."""
    pairs = [
        (count, i, j)
        for i, counts in enumerate(matrix)
        for j, count in enumerate(counts)
        if i != j and count
    ]
    rows = [
        [names[i], names[j], f"{count:,}", per_cent(count / sum(matrix[i]))]
        for count, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:CONFUSIONS]
    ]
    return table(
        f"The commonest confusions ({subset})",
        ["true class", "taken for", "images", "of the class"],
        rows,
        text_columns=(0, 1),
    )
