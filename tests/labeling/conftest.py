"""What tests of labels write to, and where."""

from __future__ import annotations

import pytest
from label_run import in_memory

from usl.labeling.answers.store import Store


@pytest.fixture
def quick_folder(tmp_path):
    """A folder that thousands of syncs do not slow down."""
    with in_memory(tmp_path) as folder:
        yield folder


@pytest.fixture
def store(run):
    """The answers of the test's ``run``."""
    with Store.open(run.path) as opened:
        yield opened
