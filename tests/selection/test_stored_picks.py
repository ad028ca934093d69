"""The picks of every selection method stay what they were before the package was rearranged.

``stored_picks.json`` was written by the version of commit ac41195: for each method and set the
picks, or, where the kernels of OpenBLAS disagree in the last bit (t-SNE in ``cold_paws``), the
picks under each.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stored_sets import CASES, SETS, picks_of

STORED = json.loads((Path(__file__).parent / "stored_picks.json").read_text())

pytestmark = pytest.mark.filterwarnings(
    "ignore:k = .* neighbours", "ignore:usl_t. .* clusters are empty"
)


def test_every_method_has_stored_picks():
    """Every one of that version, that is: a newer method has no former picks."""
    assert set(STORED) <= {f"{method}/{name}" for method, name in CASES}
    assert len(STORED) == 17 * len(SETS)


@pytest.mark.parametrize(("method", "name"), [case for case in CASES if "/".join(case) in STORED])
def test_same_picks_as_before(method, name):
    assert picks_of(method, name).tolist() in STORED[f"{method}/{name}"]
