"""Figures of a prediction and of a set of picks, given the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Classes = NDArray[np.int64]


def confusion(truth: Classes, predicted: Classes, n_classes: int) -> NDArray[np.int64]:
    """Counts [C, C]: row the true class, column the predicted one."""
    flat = np.bincount(truth * n_classes + predicted, minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes)


def classification_figures(
    truth: Classes, predicted: Classes, class_names: list[str]
) -> dict[str, Any]:
    """Accuracy, macro-F1, per-class precision, recall and F1, and the confusion matrix.

    Macro-F1 averages over the classes that occur in the truth. Fractions, not per cent.
    """
    table = confusion(truth, predicted, len(class_names))
    hits = np.diag(table)
    support, claimed = table.sum(axis=1), table.sum(axis=0)
    recall = hits / np.maximum(support, 1)
    precision = hits / np.maximum(claimed, 1)
    f1 = 2 * hits / np.maximum(support + claimed, 1)
    return {
        "n": len(truth),
        "accuracy": float(hits.sum() / max(1, len(truth))),
        "macro_f1": float(f1[support > 0].mean()) if (support > 0).any() else 0.0,
        "per_class": [
            {
                "label": name,
                "n": int(support[i]),
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
            }
            for i, name in enumerate(class_names)
        ],
        "confusion": table.tolist(),
    }


def coverage(classes: Classes, n_classes: int) -> float:
    """Share of the classes with at least one pick, 0 to 1."""
    return len(np.unique(classes)) / n_classes


def balance(classes: Classes, n_classes: int) -> float:
    """Entropy of the picks' classes over log(C): 1 when all classes are equally frequent."""
    if n_classes < 2:
        return 1.0
    share = np.bincount(classes, minlength=n_classes) / max(1, len(classes))
    share = share[share > 0]
    return float(-(share * np.log(share)).sum() / np.log(n_classes)) + 0.0
