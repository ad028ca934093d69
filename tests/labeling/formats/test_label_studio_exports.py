"""What Label Studio really exports: its CSV, uploads, storages, old versions, any names."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from exchange_runs import labels_of, make_run
from usl.core.errors import DataError
from usl.labeling.exchange.import_labels import guess_format, import_file
from usl.run.folder import Run
from usl.run.images import write_images
from usl.run.sources import source_record
from usl.run.split import Split

CONFIG = """<View><Image name="picture" value="${key}"/>
<Choices name="{control}" toName="picture"><Choice value="cat"/><Choice value="dog"/></Choices>
</View>"""


def folder_run(folder, names):
    """A run of real files below ``pictures``; ids are their paths in it."""
    import usl.data.open
    from usl.core.files import write_json

    for number, name in enumerate(names):
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), (number, 0, 0)).save(path)
    collection = usl.data.open.open_collection(folder / "pictures")
    run = folder / "run"
    run.mkdir()
    write_json(
        run / "run.json", {"format": 1, "source": source_record(folder / "pictures", collection)}
    )
    write_images(run, collection)
    Split.start(collection.ids, collection.subsets, picks=range(len(names))).write(run)
    return Run.open(run)


def task(number, data, labels, control="label", **more):
    """A task as the tool's JSON has it; a list is a choice inside others."""
    results = [
        {
            "from_name": control,
            "to_name": "picture",
            "type": "choices",
            "value": {"choices": [label]},
        }
        for label in labels
    ]
    about = {"id": 1000 + number, "completed_by": 1, "created_at": f"2024-05-01T10:00:{number:02}Z"}
    return {
        "id": number,
        "data": data,
        "annotations": [{**about, "updated_at": about["created_at"], "result": results, **more}],
    }


def save(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def converted(folder, tasks, form, key="image", control="label"):
    """The file that the tool's own converter makes of its tasks."""
    converter = pytest.importorskip("label_studio_sdk.converter").Converter
    config = folder / "config.xml"
    config.write_text(CONFIG.replace("{key}", key).replace("{control}", control))
    made = converter(str(config), project_dir=None)
    full = save(folder / "full.json", tasks)
    if form == "csv":
        made.convert_to_csv(str(full), str(folder), is_dir=False, sep=",")
        return folder / "result.csv"
    made.convert_to_json_min(str(full), str(folder), is_dir=False)
    return folder / "result.json"


@pytest.mark.parametrize("form", ["csv", "json_min", "json"])
@pytest.mark.parametrize(
    ("key", "control"), [("image", "label"), ("image", "choice"), ("photo_url", "Which animal?")]
)
def test_any_data_key_and_control_name(tmp_path, form, key, control):
    """Tasks are numbered 1, 2, 3; so are the ids of the run, in another order."""
    run = make_run(tmp_path, ["1", "2", "3", "4"])  # their files: photos/0.png ...
    said = {3: "dog", 0: "cat", 1: "dog"}  # number of the file, label
    tasks = [
        task(n, {key: f"/data/local-files/?d=photos/{file}.png", "note": "x" * n}, [label], control)
        for n, (file, label) in enumerate(said.items(), start=1)
    ]
    if form == "json":
        path = save(tmp_path / "tasks.json", tasks)
    elif control == "Which animal?":  # a second text column: which is the answer is not known
        path = converted(tmp_path, tasks, form, key, control)
        with pytest.raises(DataError, match=r"the answer may be in the column .*Rename"):
            import_file(run, path, format="csv" if form == "csv" else "label_studio")
        for one in tasks:
            del one["data"]["note"]
        path = converted(tmp_path, tasks, form, key, control)
    else:
        path = converted(tmp_path, tasks, form, key, control)
    assert guess_format(path) == ("csv" if form == "csv" else "label_studio")
    assert import_file(run, path).added == 3
    assert labels_of(run) == {"4": "dog", "1": "cat", "2": "dog"}


def test_the_tasks_number_is_no_id(tmp_path):
    run = make_run(tmp_path, [str(number) for number in range(1, 41)])
    path = tmp_path / "ls.csv"
    path.write_text(
        "annotation_id,annotator,created_at,id,image,label,lead_time,updated_at\n"
        "11,1,2024-05-01T10:00:00Z,1,/data/local-files/?d=photos/39.png,green,3.2,\n"
        "12,1,2024-05-01T10:00:00Z,2,/data/local-files/?d=photos/20.png,red,3.2,\n"
    )
    import_file(run, path)
    assert labels_of(run) == {"40": "green", "21": "red"}


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/3/1a2b3c4d-{}",
        "/data/upload/1a2b3c4d-{}",
        "upload/12/1a2b3c4d-{}",
        "http://localhost:8080/data/upload/3/1a2b3c4d-{}",
        "/storage-data/uploaded/?filepath=upload/3/1a2b3c4d-{}",
        "https://host/pictures/{}?X-Amz-Date=2024&X-Amz-Signature=ab%2Fc#top",
        "s3://bucket/pictures/{}",
        "gs://bucket/some/where/pictures/{}",
        "/data/local-files/?d=pictures/{}",
        "/data/local-files/?d=all/of/it/pictures/{}",
        "D:\\work\\pictures\\{}",
        "pictures/{}?v=2",
    ],
)
def test_addresses_lead_to_the_picture(tmp_path, address):
    """Uploads lose blanks and brackets, as Django's storage makes their names."""
    names = ["IMG 1 (2).png", "007.png", "ü.png"]
    run = folder_run(tmp_path, names)
    upload = "upload" in address
    shown = ["IMG_1_2.png", "007.png", "ü.png"] if upload else names
    tasks = [
        task(n, {"image": address.format(name)}, [f"class {n}"]) for n, name in enumerate(shown)
    ]
    found = import_file(run, save(tmp_path / "x.json", tasks))
    assert found.unknown == []
    assert labels_of(run) == {name: f"class {n}" for n, name in enumerate(names)}


def test_an_upload_of_a_name_that_several_images_have(tmp_path):
    run = folder_run(tmp_path, ["a/1.png", "b/1.png", "b/2.png"])
    tasks = [task(n, {"image": f"/data/upload/1/1a2b3c4d-{n}.png"}, ["cat"]) for n in (1, 2)]
    found = import_file(run, save(tmp_path / "x.json", tasks))
    assert labels_of(run) == {"b/2.png": "cat"}
    (unknown,) = found.unknown
    assert "2 images are called so, 'a/1.png' and 'b/1.png' among them" in str(unknown)


def test_flat_records_of_old_versions(tmp_path):
    """They have neither annotation_id nor lead_time."""
    run = make_run(tmp_path, ["7", "8"])
    one = {"image": "photos/1.png", "id": 7, "choice": "cat", "annotator": 1}
    import_file(run, save(tmp_path / "x.json", [one]))
    assert labels_of(run) == {"8": "cat"}


@pytest.mark.parametrize("ending", ["", ".json"])
@pytest.mark.parametrize("kind", ["annotations", "tasks", "completions"])
def test_storage_exports(tmp_path, kind, ending):
    """A file for each annotation or task, as target storages and old versions write them."""
    run = make_run(tmp_path, ["a", "b", "c"])
    storage = tmp_path / "storage"
    storage.mkdir()
    for n, label in enumerate(["cat", "dog"]):
        one = task(n, {"image": f"s3://bucket/photos/{n}.png"}, [label])
        (answer,) = one["annotations"]
        if kind == "annotations":
            del one["annotations"]
            one = {**answer, "task": one, "completed_by": {"id": 1, "email": "a@x.org"}}
        elif kind == "completions":  # times as seconds, no annotator
            del one["annotations"], answer["completed_by"], answer["updated_at"]
            one["completions"] = [{**answer, "created_at": 1570000000 + n, "was_cancelled": False}]
        save(storage / f"{n}{ending}", one)
    (storage / ".hidden").write_text("x")
    assert guess_format(storage) == "label_studio"
    assert import_file(run, storage).added == 2
    assert labels_of(run) == {"a": "cat", "b": "dog"}


def test_one_task_alone(tmp_path):
    run = make_run(tmp_path, ["a"])
    path = save(tmp_path / "1.json", task(1, {"image": "photos/0.png"}, ["cat"]))
    assert import_file(run, path).added == 1


def test_old_versions_second_thoughts(tmp_path):
    run = make_run(tmp_path, ["a"])
    one = task(1, {"image_id": "a"}, ["cat"])
    (later,) = one.pop("annotations")
    later |= {"created_at": 1700000000, "updated_at": None, "completed_by": None}
    (earlier,) = task(1, {}, ["dog"])["annotations"]
    earlier |= {"created_at": 999999999, "updated_at": None, "completed_by": None}
    one["completions"] = [later, earlier]
    import_file(run, save(tmp_path / "x.json", [one]))
    assert labels_of(run) == {"a": "cat"}


def test_nested_choices_and_several_questions(tmp_path):
    run = make_run(tmp_path, ["a", "b", "c"])
    nested = task(1, {"image_id": "a"}, [["Animal", "cat"]])
    two = task(2, {"image_id": "b"}, ["cat"], "species")
    two["annotations"][0]["result"] += task(2, {}, ["sad"], "mood")["annotations"][0]["result"]
    tree = task(3, {"image_id": "c"}, [])
    value = {"taxonomy": [["Animal", "dog"]]}
    tree["annotations"][0]["result"] = [{"from_name": "t", "type": "taxonomy", "value": value}]
    found = import_file(run, save(tmp_path / "x.json", [nested, two, tree]))
    assert labels_of(run) == {"a": "Animal/cat", "c": "Animal/dog"}
    assert found.skipped == {"answers to 2 questions: species, mood": 1}


def test_a_label_among_the_data_is_not_taken_for_the_answer(tmp_path):
    run = make_run(tmp_path, ["a.jpg"])
    path = tmp_path / "x.csv"
    path.write_text("annotation_id,image_id,label,choice\n1,a.jpg,old,new\n")
    with pytest.raises(DataError, match="may be in the column 'label' or 'choice'"):
        import_file(run, path)


def test_several_choices_in_csv(tmp_path):
    run = make_run(tmp_path, ["a.jpg"])
    path = tmp_path / "x.csv"
    with open(path, "w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["annotation_id", "annotator", "image_id", "label"])
        rows.writerow([1, 1, "a.jpg", '{"choices": ["cat", "dog"]}'])
    assert import_file(run, path).skipped == {"2 choices: cat, dog": 1}


def test_a_person_is_the_same_in_csv_and_json(tmp_path):
    run = make_run(tmp_path, ["a", "b"])
    tasks = [
        task(1, {"image_id": "a"}, ["cat"]),
        task(2, {"image_id": "b"}, ["dog"], completed_by=2),
    ]
    assert import_file(run, save(tmp_path / "x.json", tasks)).recorded == 2
    assert import_file(run, converted(tmp_path, tasks, "csv")).recorded == 0
