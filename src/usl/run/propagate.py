"""Label propagation: pass the label of a pick on to the items its selection named (paper 6.12).

A selection may ask for it (``usl_t --propagate 20``: the densest 20 of each cluster). The labels
are passed on when there are any, in the split file: state ``labeled``, source ``propagated``.
"""

from __future__ import annotations

from usl.core.errors import DataError
from usl.run.folder import Run
from usl.run.picks import PICKS, read_picks
from usl.run.split import Split
from usl.run.split_csv import by_people

COLUMN = "propagated_to"


def propagate(run: Run, split: Split) -> Split:
    """The split with the labels of the picks passed on; what a person has labelled stays.

    So does what waits for a person, as a later round may ask for an image that receives a label.

    Labels that were passed on before are renewed, so a corrected pick corrects its followers.
    """
    table = read_picks(run.path, COLUMN)
    if COLUMN not in table.column_names:
        return split
    row_of = {name: row for row, name in enumerate(split.ids.tolist())}
    given = by_people(split.sources)
    rows: list[int] = []
    labels: list[str] = []
    for pick, followers in zip(*table.to_pydict().values(), strict=True):
        if pick not in row_of or not given[row_of[pick]]:
            continue
        if not isinstance(followers, list):
            raise DataError(f"{run.path / PICKS}: {COLUMN} of {pick!r} is no list. Select anew.")
        open_rows = [row_of[name] for name in followers if name in row_of]
        open_rows = [
            row for row in open_rows if not given[row] and split.states[row] != "requested"
        ]
        rows += open_rows
        labels += [split.labels[row_of[pick]]] * len(open_rows)
    return split.with_labels(rows, labels, source="propagated") if rows else split
