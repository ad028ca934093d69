"""Metrics of a prediction (accuracy, macro-F1, calibration) and of picks (coverage, balance)."""

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


def mean_recall(
    truth: Classes, predicted: Classes, shares: NDArray[np.floating[Any] | np.int64] | None = None
) -> float:
    """Balanced accuracy: the mean over the true classes of the share of their items that is found.

    With ``shares`` [C], how frequent classes are elsewhere, the classes count as those say: the
    accuracy to expect there. Classes that do not occur in the truth are left out.
    """
    present, numbers, sizes = np.unique(truth, return_inverse=True, return_counts=True)
    recalls = np.bincount(numbers, weights=truth == predicted) / sizes
    if shares is None:
        return float(recalls.mean())
    known = np.zeros(max(len(shares), int(present.max()) + 1))
    known[: len(shares)] = shares
    return float(np.average(recalls, weights=known[present]))


def macro_f1(truth: Classes, predicted: Classes) -> float:
    """F1 averaged over the classes that occur in the truth."""
    from sklearn.metrics import f1_score

    return float(
        f1_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0.0)
    )


def calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 15
) -> float:
    """Expected calibration error over bins of equal mass (Nguyen & O'Connor, 2015), 0 to 1.

    Items are sorted by confidence and cut into ``bins`` parts whose sizes differ by one at most;
    the mean over items of their part's difference between mean confidence and accuracy. Items of
    equal confidence share one accuracy, so that the order of the items has no say.
    """
    _, level, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    shared = (np.bincount(level, weights=right) / sizes)[level]
    order = np.argsort(confidence, kind="stable")
    gaps = (confidence - shared)[order]
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, bins)) / len(gaps))


def confident_accuracy(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], share: float = 0.5
) -> float:
    """Accuracy of the ``share`` of the items whose confidence is highest.

    Of items that tie at the limit, as many count as are needed, at their mean accuracy.
    """
    count = max(1, round(share * len(confidence)))
    limit = np.partition(confidence, len(confidence) - count)[len(confidence) - count]
    above, level = confidence > limit, confidence == limit
    return float((right[above].sum() + (count - above.sum()) * right[level].mean()) / count)


def coverage(classes: Classes, n_classes: int) -> float:
    """Share of the classes with at least one pick, 0 to 1."""
    return len(np.unique(classes)) / n_classes


def balance(classes: Classes, n_classes: int) -> float:
    """Entropy of the picks' classes over log(C): 1 when all classes are equally frequent."""
    if n_classes < 2:
        return 1.0
    share = np.bincount(classes, minlength=n_classes) / max(1, len(classes))
    return float(entr(share).sum() / np.log(n_classes)) + 0.0  # never -0.0
