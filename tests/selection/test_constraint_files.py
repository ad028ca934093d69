from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import usl
from support import unit
from usl.cli import main
from usl.core.errors import DataError, UsageError
from usl.data.split import Split
from usl.selection.constraints import Constraints

pytestmark = pytest.mark.filterwarnings("ignore:k = .* neighbours", "ignore:pca. .* dimensions")
N = 90


@pytest.fixture
def source(tmp_path):
    """Embeddings x/00.png to x/89.png in three directions, the last ten in the subset test."""
    rng = np.random.default_rng(0)
    features = unit(np.eye(8)[np.arange(N) % 3] * 3 + rng.normal(scale=0.5, size=(N, 8)))
    features[50:55] = features[40:45]
    np.savez(
        tmp_path / "rows.npz",
        features=features,
        ids=np.array([f"x/{row:02d}.png" for row in range(N)]),
        subset=np.where(np.arange(N) < 80, "train", "test"),
    )
    return tmp_path / "rows.npz"


def name(row):
    return f"x/{row:02d}.png"


def groups_table(path, head="image_id,group", rows=range(80)):
    lines = [f"{name(row)},{'ab'[row % 2]}" for row in rows]
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def test_files_of_every_kind_through_to_the_run_folder(source, tmp_path):
    exclude = tmp_path / "bad.txt"
    exclude.write_text("\ufeff" + "\n".join([name(0), "", f"  {name(1)} ", name(85)]) + "\r\n")
    include = tmp_path / "must.parquet"
    pa.parquet.write_table(pa.table({"ID": [name(20), name(5)], "why": ["", ""]}), include)
    constraints = Constraints(
        exclude=exclude,
        include=include,
        collapse_duplicates=0.05,
        groups=groups_table(tmp_path / "sites.csv"),
        quotas={"a": 5, "b": 7},
        min_distance=0.1,
    )
    run = usl.start_run(source, 12, tmp_path / "run", constraints=constraints)
    split = Split.read(run.path)
    asked = split.ids[split.requested()].tolist()
    assert asked[:2] == [name(20), name(5)]
    assert not {name(0), name(1)} & set(asked)
    assert sum(int(word[2:4]) % 2 == 0 for word in asked) == 5
    assert run.info["selection"]["constraints"] == {
        "exclude_file": str(exclude),
        "include_file": str(include),
        "groups_file": str(tmp_path / "sites.csv"),
        "excluded": 2,
        "included": 2,
        "collapse_duplicates": 0.05,
        "near_duplicates": 5,
        "quotas": "given",
        "groups": {"a": 5, "b": 7},
        "min_distance": 0.1,
        "rounds": run.info["selection"]["constraints"]["rounds"],
        "filled_up": 0,
    }
    table = pyarrow.parquet.read_table(run.path / "selection.parquet")
    assert table["group"].to_pylist() == ["ab"[int(word[2:4]) % 2] for word in asked]
    header = (run.path / "selection.csv").read_text().splitlines()[0]
    assert '"included","group"' in header


def test_ids_in_lists_and_the_same_run_without_constraints(source, tmp_path):
    by_list = Constraints(exclude=[name(0)], include=[name(7)])
    run = usl.start_run(source, 5, tmp_path / "run", constraints=by_list, method="kmeans")
    split = Split.read(run.path)
    assert split.ids[0] == name(7)
    plain = usl.start_run(source, 5, tmp_path / "plain", method="kmeans")
    assert "constraints" not in plain.info["selection"]
    header = (plain.path / "selection.csv").read_text().splitlines()[0]
    assert "included" not in header


def test_the_command_line(source, tmp_path, capsys):
    (tmp_path / "bad.txt").write_text(name(3))
    (tmp_path / "must.txt").write_text(name(6))
    groups = groups_table(tmp_path / "sites.csv", head="file,hospital")
    words = ["select", str(source), "--budget", "8", "--out", str(tmp_path / "run")]
    words += ["--exclude", str(tmp_path / "bad.txt"), "--include", str(tmp_path / "must.txt")]
    words += ["--groups", str(groups), "--quota", "a=2", "--quota", "b=6"]
    assert main([*words, "--min-distance", "0.1", "--collapse-duplicates", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["selection"]["constraints"]
    assert found["groups"] == {"a": 2, "b": 6}
    assert (found["included"], found["excluded"], found["near_duplicates"]) == (1, 1, 5)
    words = ["select", str(source), "--budget", "8", "--out", str(tmp_path / "two"), "--overwrite"]
    assert main([*words, "--collapse-duplicates", "0.3", "--quota", "equal"]) == 2
    assert "quotas: given without groups" in capsys.readouterr().err
    assert main([*words, "--quota", "a", "--groups", str(groups)]) == 2
    assert "write NAME=COUNT" in capsys.readouterr().err
    assert main([*words, "--collapse-duplicates", "0.3"]) == 0
    assert "Left out as near-duplicates:" in capsys.readouterr().out
    assert not main(["select", "--help"])
    assert "--min-distance" in capsys.readouterr().out


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("role", "file", "text", "message"),
    [
        ("exclude", "a.txt", f"{name(1)}\n\nx/1.png", "a.txt, line 3: no item 'x/1.png'.*Did you"),
        ("exclude", "a.csv", f"image_id\n{name(1)}\nhay\n", "a.csv, row 3: no item 'hay' in the"),
        ("exclude", "a.csv", f"{name(1)}\n{name(2)}\n", "no column image_id; it has x/01.png"),
        ("exclude", "a.csv", f"id,b\n{name(1)},1\n,2\n", "a.csv, row 3: no id. Fill it in"),
        (
            "include",
            "a.txt",
            f"{name(1)}\n{name(84)}\n",
            "line 2: 'x/84.png' is in the subset test",
        ),
        (
            "groups",
            "a.csv",
            f"id,group\n{name(1)},a\n",
            r"a.csv: no group for 'x/00.png' \(79 such",
        ),
        ("groups", "a.csv", f"id,b,c\n{name(1)},a,b\n", "no column group; beside id it has b, c"),
        ("groups", "a.csv", f"id,site\n{name(1)},\n", "a.csv, row 2: no site. Fill it in"),
        ("groups", "a.csv", f"id,s\n{name(1)},a\n{name(1)},b\n", "row 3: 'x/01.png' is in the gr"),
    ],
)
def test_errors_name_file_and_row(source, tmp_path, role, file, text, message):
    constraints = {role: write(tmp_path / file, text)}
    if role == "groups":
        constraints["quotas"] = "equal"
    with pytest.raises(DataError, match=message):
        usl.start_run(source, 5, tmp_path / "run", constraints=Constraints(**constraints))
    assert not (tmp_path / "run").exists()


def test_a_missing_file(source, tmp_path):
    constraints = Constraints(exclude=tmp_path / "none.txt")
    with pytest.raises(DataError, match=r"none.txt: cannot be read"):
        usl.start_run(source, 5, tmp_path / "run", constraints=constraints)


def test_contradictions_are_found_before_any_image_is_read(tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for row in range(12):
        picture = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "photos" / f"{row:02d}.png")
    (tmp_path / "photos" / "12.png").write_bytes(b"no image")
    options = {"model": "pixels", "method": "random"}
    photos, out = tmp_path / "photos", tmp_path / "run"
    with pytest.raises(DataError, match=r"'12.png' must be picked but could not be read"):
        usl.start_run(photos, 3, out, constraints=Constraints(include=["12.png"]), **options)
    found = usl.start_run(photos, 3, out, constraints=Constraints(exclude=["12.png"]), **options)
    assert found.info["selection"]["budget"] == 3

    def refuse(*_, **__):
        raise AssertionError("an image was read")

    monkeypatch.setattr("usl.selection.start.open_space", refuse)
    for constraints, message in (
        (Constraints(include=["01.png"], exclude=["01.png"]), "'01.png' is excluded as well"),
        (
            Constraints(groups={f"{row:02d}.png": "a" for row in range(13)}, quotas={"a": 2}),
            "add up",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            usl.start_run(photos, 3, tmp_path / "two", constraints=constraints, **options)
