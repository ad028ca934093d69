"""Commands on runs made of features alone, broken at one file operation after another."""

from __future__ import annotations

import os

import pytest
from judge import summed_up, torture
from scenes import ON_FEATURES, as_params

pytestmark = pytest.mark.torture


@pytest.mark.parametrize("scene", as_params(ON_FEATURES))
def test_a_broken_command_is_made_good_by_the_next(scene, bench, tmp_path, keep_counts):
    wrong, counts = torture(scene, bench, tmp_path, whole=os.environ.get("USL_TORTURE") == "1")
    keep_counts(scene.name, counts)
    assert not wrong, f"{counts}\n{summed_up(wrong)}"
