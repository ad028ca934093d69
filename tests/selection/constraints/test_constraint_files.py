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
from usl.run.split import Split
from usl.selection.constraints.select_within import Constraints
from usl.selection.dry_run import plan_run

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

    monkeypatch.setattr("usl.selection.start_run.open_space", refuse)
    for constraints, message in (
        (Constraints(include=["01.png"], exclude=["01.png"]), "'01.png' is excluded as well"),
        (
            Constraints(groups={f"{row:02d}.png": "a" for row in range(13)}, quotas={"a": 2}),
            "add up",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            usl.start_run(photos, 3, tmp_path / "two", constraints=constraints, **options)


CONTRADICTIONS = (
    ({}, {"exclude": "nowhere.png"}, r"line 1: no item 'nowhere.png'"),
    ({}, {"include": name(84)}, r"is in the subset test"),
    ({}, {"include": name(1), "exclude": name(1)}, r"'x/01.png' is excluded as well"),
    ({}, {"include": "\n".join(map(name, range(9)))}, r"9 items must be picked, but the budget is"),
    ({}, {"exclude": "\n".join(map(name, range(73)))}, r"there are 7 items to choose from"),
    ({"budget": 81}, {}, r"but the train subset has 80 images"),
    ({"quotas": {"a": 2, "c": 6}}, {}, r"no item is in a group 'c'"),
    ({"quotas": {"a": 2, "b": 5}}, {}, r"they add up to 7, but the budget is 8"),
    ({"quotas": {"a": 41, "b": 1}, "budget": 42}, {}, r"the group has 40 items"),
    ({"quotas": {"b": 8}}, {"include": name(0)}, r"0 asked of 'a', but 1 of its items must be"),
    ({"quotas": "equal"}, {"exclude": "\n".join(map(name, range(73)))}, r"the groups hold 7 items"),
    ({"quotas": "equal", "groups": None}, {}, r"quotas: given without groups"),
    ({"quotas": None, "groups": "a.csv"}, {}, r"groups: given without quotas"),
    ({"min_distance": 3.0}, {}, r"min_distance: 3.0 given"),
    ({"min_distance": 0.1, "end_to_end": True, "method": "usl_t"}, {}, r"end_to_end: "),
)


@pytest.mark.parametrize(("settings", "lists", "message"), CONTRADICTIONS)
def test_a_dry_run_refuses_what_the_run_would(
    source, tmp_path, monkeypatch, settings, lists, message
):
    settings = dict(settings)
    budget = settings.pop("budget", 8)
    params = {key: settings.pop(key) for key in ("method", "end_to_end") if key in settings}
    given = {role: write(tmp_path / f"{role}.txt", text) for role, text in lists.items()}
    if settings.get("quotas") or settings.get("groups"):
        groups = groups_table(tmp_path / "sites.csv")
        given["groups"] = groups if settings.get("groups", groups) is not None else None
    given |= {key: value for key, value in settings.items() if key != "groups"}
    constraints = Constraints(**given)

    def refuse(*_, **__):
        raise AssertionError("the encoder was opened, or an item read")

    monkeypatch.setattr("usl.selection.prepare.check_trainable", lambda *_: None)
    for place in ("usl.selection.dry_run.describe", "usl.selection.start_run.open_space"):
        monkeypatch.setattr(place, refuse)
    errors = []
    for attempt in (
        lambda: plan_run(source, budget, constraints=constraints, **params),
        lambda: usl.start_run(source, budget, tmp_path / "r", constraints=constraints, **params),
    ):
        with pytest.raises((UsageError, DataError), match=message) as caught:
            attempt()
        errors.append((type(caught.value), str(caught.value)))
    assert errors[0] == errors[1]


def test_a_dry_run_says_what_is_left(source, tmp_path, capsys):
    write(tmp_path / "bad.txt", "\n".join([name(1), name(3), name(84)]))
    write(tmp_path / "must.txt", f"{name(20)}\n{name(5)}\n")
    groups = groups_table(tmp_path / "sites.csv")
    words = ["select", str(source), "--budget", "12", "--out", str(tmp_path / "run"), "--dry-run"]
    lists = ["--exclude", str(tmp_path / "bad.txt"), "--include", str(tmp_path / "must.txt")]
    quotas = ["--groups", str(groups), "--quota", "a=5", "--quota", "b=7"]
    assert main([*words, *lists, *quotas, "--min-distance", "0.1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["constraints"]
    assert found == {
        "candidates": 76,
        "included": 2,
        "excluded": 2,
        "to_pick": 10,
        "groups": {
            "a": {"items": 40, "candidates": 39, "included": 1, "picks": 5},
            "b": {"items": 40, "candidates": 37, "included": 1, "picks": 7},
        },
        "needs_features": ["min_distance"],
    }
    assert main([*words, *lists, *quotas, "--collapse-duplicates"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "candidates 76 included 2 excluded 2 to pick 10" in text
    assert "group items candidates included picks a 40 39 1 5 b 40 37 1 7 Not checked" in text
    assert "it needs the features: --collapse-duplicates." in text
    assert main([*words, "--quota", "a"]) == 2
    assert "write NAME=COUNT" in capsys.readouterr().err
    assert main([*words, *lists, *quotas[:-1], "b=9"]) == 2
    assert "they add up to 14" in capsys.readouterr().err
    assert main([*words, "--json"]) == 0
    assert "constraints" not in json.loads(capsys.readouterr().out)
    assert not (tmp_path / "run").exists()
