"""Figure 6: the picks of each row as pictures, by class, and the images least likely to be picked.

Drawn from what the rows' methods have picked; classes only order the pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.benchmarking.keys import selection_key
from usl.benchmarking.plots import Theme, new_figure
from usl.benchmarking.reproduction.measures import K
from usl.numeric.arrays import Float32
from usl.numeric.neighbor_search import typical_distance

if TYPE_CHECKING:
    from usl.benchmarking.reproduction.figures import Shown
    from usl.data.collection import Collection

SIDE = 48  # pixels of a picture
LEAST = "least dense"


def pictures(shown: Shown) -> Callable[[Theme], Any]:
    """A panel for each row, a line of pictures for each class."""
    results = {cell.row.name: result for cell, result in shown.found()}
    first = next(iter(results.values()))
    pool = next(pool for pool in shown.pools if pool.dataset == first.dataset.name)
    drawn = pool.draw(0)
    panels = {}
    for name, result in results.items():
        line = shown.ledger.selections.get(selection_key(pool, 0, result.budget, result.entry))
        if line is not None:
            panels[name] = np.array(line["picks"])
    panels[LEAST] = least_dense(drawn.train, first.budget)
    collection, _ = pool.pictures(drawn)

    def draw(theme: Theme) -> Any:
        grids = {
            name: picture_grid(collection, picks, drawn.train_truth[picks], len(pool.names), theme)
            for name, picks in panels.items()
        }
        widths = [grid.shape[1] for grid in grids.values()]  # so that all pictures are as large
        size = {"width": sum(widths) / 100 + 0.5, "height": len(pool.names) * SIDE / 100 + 0.4}
        figure, axes = new_figure(1, len(grids), **size, ratios=widths)
        for panel, (name, grid) in zip(np.ravel(axes), grids.items(), strict=True):
            panel.imshow(grid)
            panel.set_title(name, fontsize=8)
            panel.axis("off")
        return figure

    return draw


def least_dense(rows: Float32, count: int) -> NDArray[np.int64]:
    """The unit rows [n, d] of least density, int64 [count], the least first (Eq. 3)."""
    distances, _ = typical_distance(rows, min(K, len(rows) - 1))
    return np.argsort(-distances, kind="stable")[:count]


def picture_grid(
    collection: Collection,
    rows: NDArray[np.int64],
    classes: NDArray[np.int64],
    count: int,
    theme: Theme,
) -> NDArray[np.uint8]:
    """Pictures of ``rows``, a line for each of ``count`` classes; uint8 [h, w, 3]."""
    assert collection.images is not None
    ground = tuple(int(theme.ground[at : at + 2], 16) for at in (1, 3, 5))
    most = max(1, int(np.bincount(classes, minlength=count).max()))
    grid = np.full((count * SIDE, most * SIDE, 3), ground, dtype=np.uint8)
    filled = np.zeros(count, dtype=np.int64)
    for row, number in zip(rows.tolist(), classes.tolist(), strict=True):
        picture = collection.images.read(row).convert("RGB").resize((SIDE - 2, SIDE - 2))
        top, left = number * SIDE, int(filled[number]) * SIDE
        grid[top : top + SIDE - 2, left : left + SIDE - 2] = np.asarray(picture)
        filled[number] += 1
    return grid
