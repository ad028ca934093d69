"""The map: neighbours stay neighbours, and a second look costs nothing."""

import numpy as np
import pytest

from usl.core.errors import UsageError
from usl.report import projection
from usl.report.projection import cached_projection, principal_axes, project, tsne

PICKS = np.array([3, 100, 250])


def test_groups_stay_together(blobs):
    features, classes = blobs
    made = project(features, PICKS, points=200)
    assert made.mapped == 203
    assert made.rows[:3].tolist() == PICKS.tolist()
    assert np.sort(made.rows).tolist() == list(range(600))
    assert np.isfinite(made.xy).all()
    squared = ((made.xy[:, None] - made.xy[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squared, np.inf)
    neighbour = classes[made.rows][squared.argmin(axis=1)]
    same = neighbour == classes[made.rows]
    assert same[:203].mean() > 0.95  # t-SNE's own
    assert same[203:].mean() > 0.95  # set among them


def test_same_input_same_map(blobs):
    features, _ = blobs
    first, second = (project(features[:150], PICKS[:2], points=60) for _ in range(2))
    assert np.array_equal(first.xy, second.xy)


def test_a_point_between_equals_lies_on_them():
    features = np.eye(8, dtype=np.float32)[np.arange(40) % 8]
    made = project(features, np.arange(8), points=0)
    assert made.mapped == 8
    for row, at in zip(made.rows[8:], made.xy[8:], strict=True):
        assert np.allclose(at, made.xy[row % 8], atol=1e-4)  # the others have cosine 0


def test_large_collections_are_sampled(cloud, monkeypatch):
    monkeypatch.setattr(projection, "DRAWN", 50)
    monkeypatch.setattr(projection, "MOST", 20)
    made = project(cloud, np.arange(30), points=10)
    assert (len(made.rows), made.mapped) == (50, 20)
    assert len(set(made.rows.tolist())) == 50


@pytest.mark.parametrize("points", [-1, 5_001])
def test_points_out_of_range(cloud, points):
    with pytest.raises(UsageError, match="points"):
        project(cloud, PICKS, points=points)


@pytest.mark.parametrize("rows", [1, 2, 4, 30])
def test_no_structure_no_trouble(rows):
    for width in (1, 2, 5):
        same = np.ones((rows, width), np.float32) / np.sqrt(width, dtype=np.float32)
        assert np.array_equal(tsne(same, 0), np.zeros((rows, 2)))
    line = np.where(np.arange(rows) % 2, 1.0, -1.0).astype(np.float32)[:, None]
    assert np.isfinite(tsne(line, 0)).all()


def test_principal_axes_are_those_of_the_variance():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(500, 2)) * [3, 1]
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0][:, :2]
    flat = principal_axes((plane @ turn.T).astype(np.float32))
    centred = plane - plane.mean(axis=0)
    expected = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(np.abs(flat), np.abs(expected[0] * expected[1]), atol=1e-4)


def test_cache_is_used_and_belongs_to_its_input(cloud, tmp_path, monkeypatch):
    path = tmp_path / "map.npz"
    first = cached_projection(path, cloud, PICKS, points=20)
    content = path.read_bytes()

    def refuse(*args, **kwargs):
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr(projection, "project", refuse)
        again = cached_projection(path, cloud, PICKS, points=20)
        for others in (
            {"features": cloud[::-1], "picks": PICKS, "points": 20},
            {"features": cloud, "picks": PICKS[:2], "points": 20},
            {"features": cloud, "picks": PICKS, "points": 21},
        ):
            with pytest.raises(AssertionError, match="computed again"):
                cached_projection(path, **others)
    assert np.array_equal(again.xy, first.xy)
    assert np.array_equal(again.rows, first.rows)
    assert again.mapped == first.mapped
    path.write_bytes(content[:100])  # damaged: made again
    assert np.array_equal(cached_projection(path, cloud, PICKS, points=20).xy, first.xy)
    assert path.read_bytes() != content[:100]


def test_a_folder_that_cannot_be_written(cloud, tmp_path):
    (tmp_path / "file").write_text("")
    made = cached_projection(tmp_path / "file" / "map.npz", cloud, PICKS, points=20)
    assert len(made.rows) == len(cloud)
