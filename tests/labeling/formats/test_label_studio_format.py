"""Label Studio, checked with its own library."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from exchange_runs import STRANGE, builtin_run, files_in, labels_of, make_run
from usl.core.errors import DataError, UsageError
from usl.core.files import write_json
from usl.data.open import open_collection
from usl.labeling.answers.store import Store
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import guess_format, import_file
from usl.run.folder import Run
from usl.run.images import write_images
from usl.run.sources import source_record

NASTY = ['a"b', "<i>&amp;</i>", "x\ny", "日本", "T-shirt/top", "'", "]]>", "]", "$image", "a  b"]


def export(run, **more):
    done = export_run(run, "label_studio", **more)
    tasks = json.loads((done.out / "tasks.json").read_text("utf-8"))
    return done, tasks, (done.out / "config.xml").read_text("utf-8")


def annotate(tasks, labels, **more):
    """What Label Studio exports when somebody has answered."""
    answered = []
    for number, (task, label) in enumerate(zip(tasks, labels, strict=True), start=100):
        result = [] if label is None else [choice(label)]
        answer = {"id": number, "completed_by": 1, "was_cancelled": label is None, "result": result}
        about = {"lead_time": 2.5, "created_at": "2025-01-01T00:00:00Z"}
        answered.append({"id": number, **task, "annotations": [{**answer, **about, **more}]})
    return answered


def choice(label):
    return {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [label]},
    }


def save(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_tasks_and_interface_are_valid(tmp_path):
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface
    guesses = {word: (NASTY[i % 10], 0.5) for i, word in enumerate(STRANGE)}
    run = make_run(tmp_path, STRANGE, labels={"Cat.jpg": "dog"}, predictions=guesses)
    _, tasks, config = export(run, what="all", classes=", ".join(["cat", "dog"]))
    li = interface(config)
    li.validate()
    control = li.get_control("label")
    assert set(control.labels) == {"cat", "dog", *NASTY}
    assert [control.labels_attrs[name].attr.get("hotkey") for name in control.labels] == [
        *map(str, range(1, 10)),
        *[None] * 3,
    ]
    for task in tasks:
        assert li.validate_task({"data": task["data"]})  # its regions: below, one by one
        for guess in task.get("predictions", []):
            assert li.validate_prediction(guess)
            assert guess["score"] == 0.5
            assert guess["model_version"].startswith("usl-")
        for answer in task.get("annotations", []):
            assert li.validate_annotation(answer)
    by_id = {task["data"]["image_id"]: task for task in tasks}
    assert list(by_id) == STRANGE
    assert by_id["Cat.jpg"]["annotations"] == [{"result": [choice("dog")]}]
    assert "predictions" not in by_id["Cat.jpg"]
    assert (tasks[2]["data"]["rank"], tasks[2]["data"]["score"]) == (3, 1 / 3)
    assert "predictions" not in export(run, what="all", out=tmp_path / "x", predictions=False)[1][0]


def test_every_address_leads_to_its_file(tmp_path):
    """As Label Studio's own view finds it: the query's d below the document root."""
    photos = tmp_path / "a b#1" / "photos & more"
    (photos / "sub").mkdir(parents=True)
    from PIL import Image

    names = ["1%41.png", "a+b c.png", "sub/ü#?&;=.png", "日本.png"]
    for name in names:
        Image.new("RGB", (2, 2)).save(photos / name)
    import usl.data.open
    from usl.core.files import write_json
    from usl.run.folder import Run
    from usl.run.images import write_images
    from usl.run.sources import source_record
    from usl.run.split import Split

    collection = usl.data.open.open_collection(photos)
    run = tmp_path / "run"
    run.mkdir()
    write_json(run / "run.json", {"format": 1, "source": source_record(photos, collection)})
    write_images(run, collection)
    Split.start(collection.ids, collection.subsets, picks=range(4)).write(run)

    done, tasks, _ = export(Run.open(run), classes="x")
    start = next(step for step in done.next if step.startswith("Start Label Studio: "))
    words = shlex.split(start.removeprefix("Start Label Studio: "))
    environment = dict(word.split("=", 1) for word in words[:2])
    assert words[2:] == ["label-studio", "start"]
    root = environment["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"]
    assert environment["LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"] == "true"
    storage = str(photos)
    assert any(f"absolute path {storage};" in step for step in done.next)
    assert os.path.dirname(storage) == root, "the root itself is refused by Label Studio"
    for task in tasks:
        address = urlsplit(task["data"]["image"])
        assert (address.path, address.fragment) == ("/data/local-files/", "")
        (found,) = parse_qs(address.query)["d"]
        assert os.path.samefile(os.path.join(root, found), photos / task["data"]["image_id"])
    assert files_in(done.out) == ["config.xml", "tasks.json"]

    # tasks made by a storage sync carry no image_id, but the same addresses
    for task in tasks:
        del task["data"]["image_id"]
    answers = save(tmp_path / "e.json", annotate(tasks, ["w", "x", "y", "z"]))
    assert import_file(run, answers).added == 4
    assert sorted(labels_of(Run.open(run))) == sorted(collection.ids.tolist())


def test_other_places_to_serve_from(tmp_path):
    run = make_run(tmp_path, ["a.jpg"])
    done, tasks, _ = export(run, classes="x", document_root=str(tmp_path.parent))
    assert tasks[0]["data"]["image"].endswith(f"?d={tmp_path.name}/photos/0.png")
    _, tasks, _ = export(run, classes="x", prefix="https://host/", out=tmp_path / "web")
    assert tasks[0]["data"]["image"] == "https://host/photos/0.png"
    with pytest.raises(UsageError, match="must be a folder above the images' own"):
        export(run, classes="x", document_root=str(tmp_path / "photos"), out=tmp_path / "b")
    with pytest.raises(UsageError, match=r"No class is known yet\. .*--classes cat,dog"):
        export(run, out=tmp_path / "c")
    assert not (tmp_path / "c").exists()
    assert done.out.is_dir()


def test_pictures_that_are_no_files_are_written(tmp_path):
    done, tasks, _ = export(builtin_run(tmp_path), classes="a,b")
    assert len(files_in(done.out / "images")) == 3
    (found,) = parse_qs(urlsplit(tasks[0]["data"]["image"]).query)["d"]
    assert (done.out / found).is_file()


def test_json_back_matched_by_id_not_by_position(tmp_path):
    run = make_run(tmp_path, STRANGE)
    _, tasks, _ = export(run, classes="cat,dog")
    wanted = {word: NASTY[i % 10].replace("\n", " ") for i, word in enumerate(STRANGE)}
    skipped = STRANGE[4]
    labels = [None if word == skipped else label for word, label in wanted.items()]
    answered = annotate(tasks, labels)[::-1]
    answered.append({"id": 1, "data": {"image_id": "nowhere.jpg"}, "annotations": []})
    path = save(tmp_path / "project.json", answered)
    assert guess_format(path) == "label_studio"
    found = import_file(run, path)
    assert found.added == len(STRANGE) - 1
    assert found.skipped == {"skipped by the annotator": 1}
    assert [one.image for one in found.unknown] == ["nowhere.jpg"]
    del wanted[skipped]
    assert labels_of(run) == wanted
    again = import_file(run, path)
    assert (again.added, again.unchanged, again.conflicts) == (0, len(wanted), [])


def test_json_min_as_its_own_converter_writes_it(tmp_path):
    converter = pytest.importorskip("label_studio_sdk.converter").Converter
    ids = ["a.jpg", "b.jpg", "c.jpg"]
    run = make_run(tmp_path, ids)
    done, tasks, _ = export(run, classes="cat,dog")
    answered = annotate(tasks, ["dog", None, "cat"])
    for task in answered:
        task["data"]["id"] = "overwritten by the tool"
    full = save(tmp_path / "full.json", answered)
    made = converter(str(done.out / "config.xml"), project_dir=None)
    made.convert_to_json_min(str(full), str(tmp_path), is_dir=False)
    path = tmp_path / "result.json"
    assert guess_format(path) == "label_studio"
    assert import_file(run, path).added == 2
    assert labels_of(run) == {"a.jpg": "dog", "c.jpg": "cat"}


def test_several_annotators_are_kept_apart(tmp_path):
    ids = ["same", "majority", "conflict", "one"]
    run = make_run(tmp_path, ids)
    _, tasks, _ = export(run, classes="cat,dog")
    said = [["cat", "cat"], ["cat", "dog", "cat"], ["cat", "dog"], ["dog"]]
    for task, labels in zip(tasks, said, strict=True):
        task["annotations"] = [
            {
                "completed_by": {"email": f"{name}@x.org"} if name else 7,
                "result": [choice(label)],
                "lead_time": 1.5,
            }
            for name, label in zip(["ann", "", "cy"], labels, strict=False)
        ]
    # one person's second thought counts, whatever the order
    second = {"completed_by": {"email": "ann@x.org"}, "updated_at": "2025-02-01"}
    tasks[3]["annotations"] = [
        {**second, "result": [choice("bird")]},
        {**second, "updated_at": "2025-01-01", "result": [choice("dog")]},
    ]
    found = import_file(run, save(tmp_path / "x.json", tasks))
    assert labels_of(run) == {"same": "cat", "majority": "cat", "one": "bird"}
    assert [(one.image_id, one.given) for one in found.conflicts] == [("conflict", ("cat", "dog"))]
    with Store.open(run.path) as store:
        history = store.history()
    assert len(history) == found.recorded == 8
    assert {a.annotator for a in history} == {"ann@x.org", "label_studio:7", "cy@x.org"}
    assert history[0].seconds == 1.5
    assert import_file(run, tmp_path / "x.json").recorded == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": 1}', "not a list of tasks"),
        ("[1]", "not a list of tasks"),
        ("[]", "none of its 0 entries"),
    ],
)
def test_broken_files(tmp_path, content, message):
    run = make_run(tmp_path, ["a.jpg"])
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=message):
        import_file(run, tmp_path / "x.json", format="label_studio")


def test_odd_annotations_are_no_answers(tmp_path):
    run = make_run(tmp_path, ["a", "b", "c", "d"])
    results = [
        [{"type": "choices", "value": {"choices": ["x", "y"]}, "from_name": "label"}],
        [{"type": "rectanglelabels", "value": {}, "from_name": "box"}],
        [],
        [choice("cat"), {"type": "choices", "from_name": "mood", "value": {"choices": ["sad"]}}],
    ]
    tasks = [
        {"data": {"image_id": word}, "annotations": [{"result": result, "completed_by": None}]}
        for word, result in zip("abcd", results, strict=True)
    ]
    found = import_file(run, save(tmp_path / "x.json", tasks))
    assert found.skipped == {"2 choices: x, y": 1, "no label": 2}
    assert labels_of(run) == {"d": "cat"}


def test_pictures_that_no_browser_shows_are_converted(tmp_path):
    run = make_run(tmp_path, ["a.tif", "b.jpg", "c.png"])
    shutil.move(tmp_path / "photos" / "0.png", tmp_path / "photos" / "kept.png")
    with Image.open(tmp_path / "photos" / "kept.png") as image:
        image.save(tmp_path / "photos" / "0.tif")
        pixels = image.convert("RGB").tobytes()
    source = tmp_path / "photos" / "list.jsonl"
    source.write_text(source.read_text().replace('"0.png"', '"0.tif"'))
    collection = open_collection(source)
    write_images(run.path, collection)
    write_json(run.path / "run.json", {"format": 1, "source": source_record(source, collection)})
    done = export_run(Run.open(run.path), "label_studio", classes="x,y")
    assert files_in(done.out) == [
        "config.xml",
        "images/a.png",
        "images/b.png",
        "images/c.png",
        "tasks.json",
    ]
    with Image.open(done.out / "images" / "a.png") as image:
        assert (image.format, image.convert("RGB").tobytes()) == ("PNG", pixels)
    tasks = json.loads((done.out / "tasks.json").read_text())
    assert [task["data"]["image_id"] for task in tasks] == ["a.tif", "b.jpg", "c.png"]
    for task, name in zip(tasks, "abc", strict=True):
        assert task["data"]["image"].endswith(f"images/{name}.png")
        task["annotations"] = [
            {
                "result": [
                    {
                        "type": "choices",
                        "from_name": "label",
                        "to_name": "image",
                        "value": {"choices": ["x"]},
                    }
                ]
            }
        ]
    (tmp_path / "answers.json").write_text(json.dumps(tasks))
    assert import_file(Run.open(run.path), tmp_path / "answers.json").added == 3
