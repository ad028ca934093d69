from __future__ import annotations

import numpy as np
from page_run import make_run

from usl.features.space import open_space
from usl.labeling.page.similar import MOST, NEAREST, Similar
from usl.run.folder import Run


def opened(path):
    run = Run.open(path)
    collection = run.collection()
    rows = {name: row for row, name in enumerate(collection.ids.tolist())}
    return Similar(run, collection, rows), collection


def test_likeness_is_that_of_the_selection(tmp_path):
    path = make_run(tmp_path / "own", n=130, budget=6)  # the features are in this test's own cache
    similar, collection = opened(path)
    space = open_space(collection, "pixels", settings={"pca": 16})
    for row in (0, 17):
        found = similar.like(row)
        distances = np.linalg.norm(space.features - space.features[row], axis=1)
        distances[row] = np.inf
        stood_for = set(similar.represented(str(collection.ids[row])))
        expected = stood_for | set(np.argsort(distances, kind="stable")[:NEAREST].tolist())
        assert {one.row for one in found} == expected
        assert {one.row for one in found if one.represented} == stood_for
        np.testing.assert_allclose(
            [one.distance for one in found], sorted(distances[list(expected)]), atol=2e-3
        )
    assert row not in {one.row for one in found}
    assert len(found) <= MOST


def test_without_features_there_is_what_the_pick_stands_for(path):
    similar, collection = opened(path)  # the cache of this test is empty
    picks = [row for row, name in enumerate(collection.ids.tolist()) if similar.count(name) > 1]
    assert picks
    for row in picks:
        name = str(collection.ids[row])
        found = [one.row for one in similar.like(row)]
        assert found == similar.represented(name)
        assert len(found) == similar.count(name) - 1
        assert row not in found
    others = [row for row, name in enumerate(collection.ids.tolist()) if not similar.count(name)]
    assert all(similar.like(row) == [] for row in others)


def test_a_run_without_its_selection_still_opens(path):
    (path / "selection.parquet").unlink()
    similar, collection = opened(path)
    assert similar.like(0) == []
    assert similar.count(str(collection.ids[0])) == 0
