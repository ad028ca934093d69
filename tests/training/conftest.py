"""A labelled run on a few small pictures."""

from __future__ import annotations

import pytest

from picture_run import make_picture_run


@pytest.fixture
def run(tmp_path):
    """A run on 40 pictures of two colours in class folders, 6 of them labelled, 8 for testing."""
    return make_picture_run(tmp_path)
