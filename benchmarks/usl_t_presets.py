"""USL-T with both losses (preset `paper`) against its local loss alone (`threshold`), paired.

    python benchmarks/usl_t_presets.py

Out of the rows of `usl_t.toml` (10 draws) and those of `cold_start.toml` on the same draws.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from claims import LEARNERS, of_pool, points, pools, read

from usl.benchmarking.summary import Table, standings

RESULTS = Path(__file__).parent / "results"
PAPER, THRESHOLD = "paper", "threshold"


def main() -> None:
    """Print a line for each collection, for each learner, and for all."""
    table = both()
    parts = {
        **{" ".join(pool): of_pool(table, pool) for pool in pools(table)},
        "long tails": table.where(lambda cell: "_lt" in cell.dataset),
        "no long tail": table.where(lambda cell: "_lt" not in cell.dataset),
        **{name: table.where(lambda c, name=name: c.learner == name) for name in LEARNERS},
        "all": table,
    }
    print("| collection | random | `threshold` | `paper` | `paper` over `threshold` |")
    print("|---|---|---|---|---|")
    for title, part in parts.items():
        if not part.cells:
            continue
        found = {s.method: s for s in standings(part, THRESHOLD)}
        means = [f"{100 * found[name].accuracy.mean:.1f}" for name in ("random", THRESHOLD, PAPER)]
        print(f"| {title} | {' | '.join(means)} | {points(found[PAPER].gain)} |")


def both() -> Table:
    """The rows of both presets and of random, where all have a score."""
    shown = {"random": "random", "usl_t": THRESHOLD}
    rows = []
    for folder, names in (("cold_start", shown), ("usl_t", {"usl_t": PAPER})):
        with open(RESULTS / folder / "rows.csv", newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                if row["method"] in names:
                    rows.append({**row, "method": names[row["method"]]})
    with tempfile.NamedTemporaryFile("w", suffix=".csv", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        file.flush()
        return read(Path(file.name), None)


if __name__ == "__main__":
    main()
