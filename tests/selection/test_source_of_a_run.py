"""How a run's source was taken is said, recorded, kept for the next command and on the report."""

import json
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import usl
from usl.core.errors import UslWarning
from usl.report.report import write_report
from usl.selection.dry_run import plan_run


@pytest.fixture
def table(tmp_path):
    """A table of 12 pictures, with boxes."""
    (tmp_path / "p").mkdir()
    rng = np.random.default_rng(0)
    lines = ["path,label,x,y,w,h"]
    for number in range(12):
        pixels = rng.integers(0, 255, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "p" / f"{number}.png")
        lines.append(f"p/{number}.png,{number % 2},{number},1,2,3")
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    return tmp_path / "boxes.csv"


def start(source, out, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UslWarning)
        run = usl.start_run(source, 3, out, method="kmeans", **options)
    return run, [str(warning.message) for warning in caught]


def test_boxes_beside_paths_are_columns_of_the_run(table, tmp_path):
    run, said = start(table, tmp_path / "run", model="pixels")
    assert any("x, y, w, h stay with the run as columns" in note for note in said)
    assert run.info["source"]["kind"] == "manifest"
    assert any("x, y, w, h" in note for note in run.info["source"]["notes"])
    images = pq.read_table(run.path / "images.parquet").to_pydict()
    wanted = {f"p/{number}.png": number for number in range(12)}
    assert dict(zip(images["image_id"], images["x"], strict=True)) == wanted
    assert run.collection().kind == "manifest"


@pytest.mark.parametrize(("as_", "images"), [("embeddings", False), ("manifest", True)])
def test_what_was_asked_for_is_asked_for_again(table, tmp_path, as_, images):
    options = {"model": "pixels"} if images else {}
    plan = plan_run(table, 3, method="kmeans", as_=as_, **options)
    assert plan["kind"] == as_
    run, said = start(table, tmp_path / "run", as_=as_, max_pixels=None, **options)
    assert not any("taken for" in note for note in said)
    assert run.info["source"]["options"] == {"as_": as_}
    assert (run.collection().images is not None) == images


def test_what_was_seen_and_not_used_is_counted_on_the_report(table, tmp_path):
    folder = table.parent / "p"
    for name in ("a.cr2", "b.CR2", "notes.txt"):
        (folder / name).write_bytes(b"")
    Image.fromarray(np.full((8, 8), 4000, np.uint16)).save(folder / "deep.png")
    run, said = start(folder, tmp_path / "run", model="pixels")
    assert any("2 files were passed over: 2 x .cr2" in note for note in said)
    assert any("greys of 1 picture were scaled" in note for note in said)
    source = json.loads((run.path / "run.json").read_text())["source"]
    assert source["passed_over"] == {".cr2": 2, ".txt": 1}
    assert source["scaled"] == {"12 bits in 16 or more": 1}
    page = write_report(run).read_text(encoding="utf-8")
    assert "2 x .cr2, 1 x .txt" in page
    assert "1 x 12 bits in 16 or more" in page


def test_a_larger_limit_is_kept_with_the_run(table, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 63)
    run, _ = start(table.parent / "p", tmp_path / "run", model="pixels", max_pixels=64)
    assert run.info["source"]["options"] == {"max_pixels": 64}
    assert run.collection().images.read(0).size == (8, 8)
