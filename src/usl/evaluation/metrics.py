"""Metrics of a prediction (accuracy, macro-F1, confusion) and of picks (coverage, balance)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

Classes = NDArray[np.int64]


def classification_figures(
    truth: Classes, predicted: Classes, class_names: list[str]
) -> dict[str, Any]:
    """Accuracy, macro-F1, per-class precision, recall and F1, and the confusion matrix.

    Macro-F1 averages over the classes that occur in the truth. Fractions, not per cent. Of the
    matrix, rows are true classes, columns predicted ones.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels = np.arange(len(class_names))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=0.0
    )
    columns = {"n": support, "precision": precision, "recall": recall, "f1": f1}
    return {
        "n": len(truth),
        "accuracy": float((truth == predicted).mean()),
        "macro_f1": float(f1[support > 0].mean()),
        "per_class": [
            {"label": name, **{key: column[i].item() for key, column in columns.items()}}
            for i, name in enumerate(class_names)
        ],
        "confusion": confusion_matrix(truth, predicted, labels=labels).tolist(),
    }


def coverage(classes: Classes, n_classes: int) -> float:
    """Share of the classes with at least one pick, 0 to 1."""
    return len(np.unique(classes)) / n_classes


def balance(classes: Classes, n_classes: int) -> float:
    """Entropy of the picks' classes over log(C): 1 when all classes are equally frequent."""
    if n_classes < 2:
        return 1.0
    share = np.bincount(classes, minlength=n_classes) / max(1, len(classes))
    return float(entr(share).sum() / np.log(n_classes)) + 0.0  # never -0.0
