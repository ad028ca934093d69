"""Figure 2d: three classes in the plane, the images that are picked first, and the outliers.

A picture to see what representative means: the plane is that of the two first principal components
of the three classes' images, and picks are made in the whole space.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.benchmarking.plots import Theme, new_figure
from usl.benchmarking.reproduction.pictures import least_dense
from usl.selection.select import select

if TYPE_CHECKING:
    from usl.benchmarking.reproduction.figures import Shown

CLASSES, PICKS = 3, 15
MARKS: dict[str, Any] = {"s": 60, "linewidths": 0.8, "zorder": 3}


def plane(shown: Shown) -> Callable[[Theme], Any]:
    """Points of three classes, the first picks of USL among them as stars, outliers as crosses."""
    pool = shown.pools[0]
    drawn = pool.draw(0)
    members = drawn.train_truth < CLASSES
    rows, truth = drawn.train[members], drawn.train_truth[members]
    points = principal_plane(rows)
    first = select(rows, PICKS, method="usl", seed=0).indices
    last = least_dense(rows, PICKS)

    def draw(theme: Theme) -> Any:
        figure, panel = new_figure(1, 1, width=4.6, height=3.6)
        for number in range(CLASSES):
            own = points[truth == number]
            color = theme.colors[number]
            panel.scatter(
                *own.T, s=2, color=color, alpha=0.25, lw=0, label=f"class {pool.names[number]}"
            )
        panel.scatter(*points[first].T, marker="*", color=theme.ink, label="picked", **MARKS)
        panel.scatter(*points[last].T, marker="x", color=theme.ink, label="least dense", **MARKS)
        panel.set_xticks([])
        panel.set_yticks([])
        named = figure.legend(loc="outside right upper", frameon=False, fontsize=8)
        for handle in named.legend_handles[:CLASSES]:
            handle.set(alpha=1, sizes=[20])
        return figure

    return draw


def principal_plane(rows: NDArray[Any]) -> NDArray[np.float64]:
    """The two first principal components of rows [n, d]; float64 [n, 2]."""
    centred = rows.astype(np.float64) - rows.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ vectors[:, ::-1][:, :2])
