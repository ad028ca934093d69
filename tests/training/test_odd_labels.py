"""Labels that nothing can be learned from are said, in terms of the split file."""

import numpy as np
import pytest

from usl.core.errors import DataError
from usl.run.folder import Run
from usl.run.split import Split
from usl.training.labels import labels_of

IDS = [f"{number}.png" for number in range(6)]


@pytest.mark.parametrize("weights", [[0] * 6, [1, 0, 1, 0, 1, 0]])
def test_two_classes_need_weight(tmp_path, weights):
    split = Split.start(IDS, ["train"] * 6)
    split = split.with_labels(range(6), ["cat", "dog"] * 3, weights=weights)
    rows, train = np.arange(6), np.ones(6, dtype=bool)
    with pytest.raises(DataError, match=r"split\.csv: only . of the 2 classes have a label of wei"):
        labels_of(Run(tmp_path, {}), split, rows, train)


def test_no_labels_and_nothing_requested(tmp_path):
    split = Split.start(IDS, ["train"] * 6)
    with pytest.raises(DataError, match=r"Label some images \(usl label"):
        labels_of(Run(tmp_path, {}), split, np.arange(6), np.ones(6, dtype=bool))
