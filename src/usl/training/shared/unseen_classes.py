"""How many items are of a class that has no label, by classes with a single label and by distance.

Of labels drawn at random, the share that stands alone in its class estimates the share of items
whose class has no label yet (Good, Biometrika 40, 1953, after Turing): had such a label been left
out, its class would have been unknown. Picks that were spread over the collection are no random
draw: each stands alone because it came to a place of its own, and they leave fewer items out. How
far they are from each other tells, beside how far the items are from them.
"""

from __future__ import annotations

import numpy as np

from usl.numeric.arrays import Float32, Rows
from usl.numeric.distances import nearest

DEVIATIONS = 2.0  # so many, of a Poisson count, are taken off the labels that stand alone


def unseen_share(labelled: Float32, numbers: Rows, items: Float32) -> float:
    """Estimated share of ``items`` that are of a class without a label, 0 to 1.

    As many labels as stand alone in their class beyond chance are presumed to be those farthest
    from the next label, and items that are farther from every label than the nearest of these to
    be of unseen classes. Of a random draw that is Turing's share, with the labels taken off.

    Parameters
    ----------
    labelled : float32 [m, e], unit rows, and the class number of each, int64 [m].
    items : float32 [w, e], unit rows without a label.
    """
    alone = int(np.count_nonzero(np.bincount(numbers) == 1))
    sure = int(alone - DEVIATIONS * np.sqrt(alone))
    if sure <= 0 or not len(items):
        return 0.0
    apart = nearest(labelled, labelled, 1, exclude_self=True)[1][:, 0]
    limit = np.sort(apart)[-sure]
    return float((nearest(items, labelled, 1)[1][:, 0] > limit).mean())
