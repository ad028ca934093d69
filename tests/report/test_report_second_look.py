"""The report shows images that are like no class, and labels that the others contradict."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image
from report_page import Page

import usl
from usl.report.report import write_report

COLOURS = {"<i>red": (200, 60, 60), "green": (60, 170, 80)}


@pytest.fixture
def run(tmp_path):
    """A trained run of 30 images; 6 have labels."""
    (tmp_path / "photos").mkdir()
    for i in range(30):
        rng = np.random.default_rng(i)
        pixels = np.array(list(COLOURS.values())[i % 2]) + rng.integers(-40, 40, (30, 30, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            tmp_path / "photos" / f"{i:02d}.png"
        )
    made = usl.start_run(
        tmp_path / "photos", 6, tmp_path / "run", method="kmeans", model="pixels", pca=8
    )
    split = made.split()
    rows = split.requested().tolist()
    split.with_labels(rows, [list(COLOURS)[int(split.ids[row][:2]) % 2] for row in rows]).write(
        made.path
    )
    return usl.train(made, method="nearest_mean")


def told(run, **columns):
    """Give the run's table other columns, and make the page."""
    path = run.models()[0].path / "predictions.parquet"
    table = pyarrow.parquet.read_table(path)
    kept = table.schema.metadata
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, table[name].type))
    pyarrow.parquet.write_table(table.replace_schema_metadata(kept), path)
    return Page.of(write_report(run.path, points=0))


def test_neither_where_there_is_nothing_to_say(run):
    page = told(run, suggestion=[None] * 30, support=[None] * 30)
    assert "unlike" not in page.texts
    assert "suspicious" not in page.texts


def test_images_like_no_class(run):
    page = told(run, unlike=[None] * 6 + [1.5] + [0.2] * 12 + [3.0] * 11)
    text = page.text("unlike")
    assert "12 images (50.0% of those without a label)" in text
    assert "The first 8:" in text
    assert text.count("unlike 3.00") == 8


def test_labels_that_the_others_contradict(run):
    table = pyarrow.parquet.read_table(run.models()[0].path / "predictions.parquet")
    labels = table["label"].to_pylist()[:6]
    other = ["green" if label != "green" else "<i>red" for label in labels]
    suggestion = [other[0], labels[1], other[2], None, labels[4], labels[5]]
    support = [0.4, 0.9, 0.02, None, 0.8, 0.7]
    page = told(run, suggestion=suggestion + [None] * 24, support=support + [None] * 24)
    text = page.text("suspicious")
    assert "2 labels of the training would be another" in text
    assert text.index("support 2%") < text.index("support 40%")
    assert f"by the others {other[2]}" in text
    assert f"usl label {run.path} --check 4" in text
