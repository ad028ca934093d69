"""Export and import: nothing half-written, nothing already labelled lost, nothing guessed."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_runs import STRANGE, files_in, labels_of, make_run
from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.methods import parameter_help
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store, store_path
from usl.labeling.exchange import import_labels as exchange
from usl.labeling.exchange.contract import WRITERS, Given
from usl.labeling.exchange.export_images import export_formats, export_run
from usl.labeling.exchange.import_labels import guess_format, import_file, import_formats
from usl.run.split import Split

TOOLS = ["coco", "csv", "cvat", "fiftyone", "folders", "huggingface", "jsonl", "label_studio"]
TOOLS += ["parquet"]
IDS = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def table(folder, rows, name="answers.csv"):
    path = folder / name
    path.write_text("image_id,label,annotator\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_formats_are_the_files_of_the_room():
    assert import_formats() == TOOLS
    assert export_formats() == [*TOOLS, "yolo"]  # which is read as class folders
    for name in export_formats():
        module = WRITERS.load(name)
        own = WRITERS.parameters(module)
        assert parameter_help(module.write).keys() == own.keys(), "every option has a help text"


@pytest.mark.parametrize("tool", TOOLS)
def test_labels_there_and_back_with_every_tool(tmp_path, tool):
    labels = {word: f"class {i % 3}" for i, word in enumerate(STRANGE) if i % 5}
    run = make_run(tmp_path / "one", STRANGE, labels=labels)
    out = tmp_path / "somewhere" / "out"
    done = export_run(run, tool, what="all", out=out)
    assert (done.images, done.labeled) == (len(STRANGE), len(labels))
    assert done.out == out
    assert all(path.exists() for path in done.paths)
    assert os.listdir(out.parent) == ["out"], "nothing beside, nothing left over"
    target = out if out.is_dir() else out.rename(out.with_suffix(f".{tool}"))
    assert guess_format(target) == tool
    other = make_run(tmp_path / "other", STRANGE)
    found = import_file(other, target)
    assert (found.format, found.added, found.changed, found.unknown) == (tool, len(labels), 0, [])
    assert found.new_classes == ["class 0", "class 1", "class 2"]
    assert labels_of(other) == labels
    states = dict(zip(other.split().ids.tolist(), other.split().states.tolist(), strict=True))
    assert {states[word] for word in labels} == {"labeled"}
    assert {states[word] for word in STRANGE if word not in labels} == {"requested"}
    again = import_file(other, target)
    assert (again.added, again.changed, again.unchanged) == (0, 0, len(labels))


# What to export


def test_what_is_exported(tmp_path):
    run = make_run(tmp_path, IDS, picks=2, labels={"c.jpg": "x"}, predictions={"d.jpg": ("y", 1)})

    def ids(what):
        out = export_run(run, "jsonl", what=what).out
        return [json.loads(line)["image_id"] for line in out.read_text().splitlines()]

    assert ids("requested") == ["a.jpg", "b.jpg"]
    assert ids("labeled") == ["c.jpg"]
    assert ids("all") == ids("predicted") == IDS
    with pytest.raises(UsageError, match=r"what: 'lable' is none of requested.*Did you mean"):
        export_run(run, "jsonl", what="lable")


def test_nothing_to_export_is_an_error(tmp_path):
    run = make_run(tmp_path, IDS)
    with pytest.raises(DataError, match=r"no image is labeled\. Export all of them: --what all"):
        export_run(run, "csv", what="labeled")
    with pytest.raises(DataError, match=r"nothing is predicted yet\. Train first: usl train"):
        export_run(run, "csv", what="predicted")


def test_classes_of_the_labelling_page_come_first(tmp_path):
    run = make_run(tmp_path, IDS, labels={"a.jpg": "ant"})
    with Store.open(run.path) as store:
        store.set_classes(["zebra", "bee"])
    done = export_run(run, "label_studio", classes="new")
    config = (done.out / "config.xml").read_text()
    order = [config.index(f'"{name}"') for name in ("new", "zebra", "bee", "ant")]
    assert order == sorted(order)


def test_unknown_formats_and_parameters(tmp_path):
    run = make_run(tmp_path, IDS)
    with pytest.raises(UsageError, match=r"Unknown format 'labelstudio'.*mean 'label_studio'"):
        export_run(run, "labelstudio")
    with pytest.raises(UsageError, match=r"no parameter 'links'.*Did you mean 'link'"):
        export_run(run, "folders", links=True)
    with pytest.raises(UsageError, match="Unknown format 'voc'"):
        import_file(run, table(tmp_path, ["a.jpg,x,"]), format="voc")


def test_a_format_of_ones_own(tmp_path):
    run = make_run(tmp_path, IDS)
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from usl.labeling.exchange.contract import Given\n"
        "PICTURES, SUFFIX = False, '.ids'\n"
        "def write(export, out, *, end: str = ''):\n"
        "    out.write_text(''.join(f'{i.image_id}={i.label}{end}' + chr(10)"
        " for i in export.items))\n"
        "    return []\n"
        "def read(path):\n"
        "    lines = path.read_text().splitlines()\n"
        "    return [Given(str(n), *line.split('=')) for n, line in enumerate(lines)]\n"
        "def recognizes(path):\n"
        "    return path.suffix == '.ids'\n"
    )
    done = export_run(run, str(mine), end="!")
    assert done.out.name == "requested.ids"
    assert done.out.read_text().splitlines()[0] == "a.jpg=None!"
    found = import_file(run, done.out, format=str(mine))
    assert (found.format, found.added) == ("mine", 4)


# Where it goes


@pytest.mark.parametrize("tool", ["csv", "folders"])
def test_a_place_that_is_taken(tmp_path, tool):
    run = make_run(tmp_path, IDS)
    done = export_run(run, tool)
    with pytest.raises(
        UsageError, match=r"exists\. Choose another, or replace it with --overwrite"
    ):
        export_run(run, tool)
    assert export_run(run, tool, overwrite=True).paths == done.paths
    other = tmp_path / "other"
    other.mkdir() if tool == "csv" else other.write_text("precious")
    with pytest.raises(UsageError, match="exists and is not a f"):
        export_run(run, tool, out=other, overwrite=True)
    os.symlink(tmp_path / "photos", tmp_path / "link")
    with pytest.raises(UsageError, match=r"is a link\. Name the place itself"):
        export_run(run, tool, out=tmp_path / "link", overwrite=True)


def test_a_folder_is_replaced_only_as_it_was_written(tmp_path):
    run = make_run(tmp_path, IDS)
    with pytest.raises(UsageError, match="exists and is not an export"):
        export_run(run, "folders", out=tmp_path / "photos", overwrite=True)
    done = export_run(run, "folders")
    (done.out / ".DS_Store").write_bytes(b"")
    export_run(run, "folders", overwrite=True)
    (done.out / "cat").mkdir()
    shutil.move(done.out / "unlabeled" / "a.png", done.out / "cat")
    with pytest.raises(UsageError, match=r"has been changed since it was exported.*import them"):
        export_run(run, "folders", overwrite=True)
    assert import_file(run, done.out).added == 1
    (tmp_path / "empty").mkdir()
    assert export_run(run, "folders", out=tmp_path / "empty").images == 3


@pytest.mark.parametrize("tool", ["csv", "fiftyone"])
def test_a_failed_export_leaves_everything_as_it_was(tmp_path, tool, monkeypatch):
    run = make_run(tmp_path, IDS)
    done = export_run(run, tool)
    before = {name: (run.path / name).read_bytes() for name in files_in(run.path)}
    module = WRITERS.load(tool)
    real = module.write

    def broken(export, out):
        real(export, out)
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(module, "write", broken)
    for overwrite, out in ((True, None), (False, tmp_path / "new" / "x")):
        with pytest.raises(DataError, match=r"cannot be written .*No space left.*--out"):
            export_run(run, tool, out=out, overwrite=overwrite)
    assert {name: (run.path / name).read_bytes() for name in files_in(run.path)} == before
    assert os.listdir(tmp_path / "new") == []
    assert len(os.listdir(done.out.parent)) == 1


def test_pictures_that_changed_or_are_gone(tmp_path):
    run = make_run(tmp_path, IDS, picks=2)
    photos = tmp_path / "photos"
    shutil.copy(photos / "0.png", photos / "3.png")  # of no interest: not requested
    assert export_run(run, "folders").images == 2
    shutil.copy(photos / "1.png", photos / "0.png")
    with pytest.raises(DataError, match=r"the image 'a\.jpg' has changed since"):
        export_run(run, "folders", overwrite=True)
    moved = photos.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="if it has moved, name its new place with --source"):
        export_run(run, "folders", overwrite=True)
    assert export_run(run, "csv").images == 2, "a table needs no pictures"
    with pytest.raises(DataError, match="has changed since"):
        export_run(run, "folders", overwrite=True, source=str(moved / "list.jsonl"))


def test_pictures_that_are_gone_are_a_note(tmp_path):
    import usl.data.open
    from usl.core.files import write_json
    from usl.run.folder import Run
    from usl.run.images import write_images
    from usl.run.sources import source_record

    photos = tmp_path / "photos"
    make_run(tmp_path, IDS)
    (photos / "list.jsonl").unlink()
    collection = usl.data.open.open_collection(photos)
    run = tmp_path / "second"
    run.mkdir()
    write_json(run / "run.json", {"format": 1, "source": source_record(photos, collection)})
    write_images(run, collection)
    Split.start(collection.ids, collection.subsets, picks=[0, 1]).write(run)
    (photos / "2.png").unlink()
    with pytest.warns(UslWarning, match=r"1 image is gone and left out: '2\.png'\."):
        done = export_run(Run.open(run), "folders", what="all")
    assert done.images == 3
    (photos / "1.png").unlink()  # a requested one
    with pytest.warns(UslWarning, match=r"2 images are gone and left out: '1\.png', '2\.png'\."):
        done = export_run(Run.open(run), "folders", what="all", overwrite=True)
    assert done.images == 2
    text = (run / "split.csv").read_text()
    (run / "split.csv").write_text(text.replace("1.png", "slip.png"))
    with pytest.raises(DataError, match=r"no image 'slip\.png' in"):
        export_run(Run.open(run), "folders", what="all", overwrite=True)


# What comes back


def test_labels_of_a_person_stand(tmp_path):
    given = {"a.jpg": "cat", "b.jpg": "dog"}
    run = make_run(tmp_path, IDS, picks=3, labels=given)
    path = table(tmp_path, ["a.jpg,dog,", "b.jpg,dog,", "c.jpg,,", "d.jpg,bird,", "e.jpg,cat,"])
    found = import_file(run, path)
    assert (found.added, found.changed, found.unchanged) == (1, 0, 1)
    assert found.skipped == {"no label": 1}
    assert [(one.image, one.where) for one in found.unknown] == [("e.jpg", f"{path}, row 6")]
    (one,) = found.conflicts
    assert (one.image_id, one.given, one.existing) == ("a.jpg", ("dog",), "cat")
    assert one.where == f"{path}, row 2"
    assert found.new_classes == ["bird"]
    assert labels_of(run) == given | {"d.jpg": "bird"}
    found = import_file(run, path, overwrite=True)
    assert (found.added, found.changed, found.conflicts) == (0, 1, [])
    assert labels_of(run) == given | {"a.jpg": "dog", "d.jpg": "bird"}
    assert not store_path(run.path).exists()


def test_labels_of_machines_give_way_and_weights_stay(tmp_path):
    run = make_run(tmp_path, IDS)
    split = run.split().with_labels([0, 1], ["x", "y"], source="propagated", weights=[0.5, 0.25])
    split.write(run.path)
    found = import_file(run, table(tmp_path, ["a.jpg,z,", "b.jpg,y,"]))
    assert (found.added, found.changed, found.conflicts) == (2, 0, [])
    assert labels_of(run) == {"a.jpg": "z", "b.jpg": "y"}
    assert run.split().weights.tolist()[:2] == [0.5, 0.25]


def test_columns_of_the_users_own_stay(tmp_path):
    run = make_run(tmp_path, IDS[:2])
    (run.path / "split.csv").write_text(
        "note;image_id;subset;state;label\nblurred?;a.jpg;train;requested;\n;b.jpg;train;requested;\n"
    )
    import_file(run, table(tmp_path, ["b.jpg,cat,"]))
    assert (run.path / "split.csv").read_text() == (
        "note,image_id,subset,state,label,weight,source\n"
        "blurred?,a.jpg,train,requested,,1,\n"
        ",b.jpg,train,labeled,cat,1,human\n"
    )


def test_a_split_file_that_changes_meanwhile_is_left_alone(tmp_path, monkeypatch):
    run = make_run(tmp_path, IDS)
    real = exchange.record

    def slow(run, answers):
        split = run.split().with_labels([2], ["by hand"])
        split.write(run.path)
        return real(run, answers)

    monkeypatch.setattr(exchange, "record", slow)
    with pytest.raises(DataError, match=r"split\.csv was changed meanwhile.*Run .* once more"):
        import_file(run, table(tmp_path, ["b.jpg,cat,"]))
    assert labels_of(run) == {"c.jpg": "by hand"}


def test_a_file_that_contradicts_itself(tmp_path):
    run = make_run(tmp_path, IDS)
    rows = ["a.jpg,cat,", "a.jpg,dog,", "b.jpg,cat,", "b.jpg,cat,"]
    found = import_file(run, table(tmp_path, rows), overwrite=True)
    assert [(one.image_id, one.given) for one in found.conflicts] == [("a.jpg", ("cat", "dog"))]
    assert labels_of(run) == {"b.jpg": "cat"}


def test_the_wrong_run_is_noticed(tmp_path):
    run = make_run(tmp_path, IDS)
    before = (run.path / "split.csv").read_bytes()
    path = table(tmp_path, ["x.jpg,cat,", "y.jpg,dog,"])
    with pytest.raises(DataError, match=r"none of its 2 entries.*'x\.jpg', 'y\.jpg', the run 'a"):
        import_file(run, path)
    assert (run.path / "split.csv").read_bytes() == before
    with pytest.raises(DataError, match="no such file or folder"):
        import_file(run, tmp_path / "missing.csv")


def test_formats_that_cannot_be_told(tmp_path):
    run = make_run(tmp_path, IDS)
    for name, content in (("x.txt", "hello"), ("x.json", "{}"), ("x.jpg", ""), ("x.csv", "")):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=r"no labels in a form that is known.*--format NAME"):
            import_file(run, tmp_path / name)
    folder = tmp_path / "two"
    (folder / "train").mkdir(parents=True)
    (folder / "labels.json").write_text('{"labels": {}}')
    (folder / "metadata.csv").write_text("file_name,label\na.jpg,x\n")
    with pytest.raises(
        DataError, match=r"could be fiftyone or huggingface\. Say which: --format f"
    ):
        import_file(run, folder)
    assert import_file(run, folder, format="huggingface").added == 1


# The history


def test_answers_enter_a_history_that_is_there(tmp_path):
    run = make_run(tmp_path, IDS, labels={"a.jpg": "cat"})
    with Store.open(run.path) as store:
        store.add([Answer("b.jpg", "label", "dog")])
    path = table(tmp_path, ["a.jpg,dog,", "b.jpg,dog,ann", "c.jpg,bird,"])
    found = import_file(run, path)
    assert (found.added, found.unchanged, found.recorded) == (1, 1, 2)
    assert [one.image_id for one in found.conflicts] == ["a.jpg"]
    assert labels_of(run) == {"a.jpg": "cat", "b.jpg": "dog", "c.jpg": "bird"}
    with Store.open(run.path) as store:
        said = [(a.image_id, a.label, a.annotator, a.final) for a in store.history()]
        assert [one.name for one in store.classes()] == ["cat", "bird", "dog"]
    assert said == [
        ("b.jpg", "dog", "", False),
        ("a.jpg", "cat", "split.csv", True),
        ("b.jpg", "dog", "ann", False),
        ("c.jpg", "bird", "csv", False),
    ]
    assert import_file(run, path).recorded == 0, "what was said is not said again"
    found = import_file(run, path, overwrite=True, annotator="me")
    assert (found.changed, found.conflicts) == (1, [])
    assert labels_of(run)["a.jpg"] == "dog"
    assert exchange.sync(run).labels.tolist() == run.split().labels.tolist()


def test_an_import_may_settle_what_others_left_open(tmp_path):
    run = make_run(tmp_path, IDS)
    with Store.open(run.path) as store:
        store.add([Answer("a.jpg", "label", "cat", "ann"), Answer("a.jpg", "label", "dog", "bob")])
        store.add([Answer("b.jpg", "label", "cat", "ann"), Answer("b.jpg", "label", "dog", "bob")])
    found = import_file(run, table(tmp_path, ["a.jpg,dog,cy", "b.jpg,bird,cy"]))
    assert labels_of(run) == {"a.jpg": "dog"}
    assert found.added == 1
    assert [(one.image_id, one.given) for one in found.conflicts] == [("b.jpg", ("bird",))]


def test_several_annotators_make_a_history(tmp_path):
    run = make_run(tmp_path, IDS)
    import_file(run, table(tmp_path, ["a.jpg,cat,ann", "b.jpg,dog,ann"]))
    assert not store_path(run.path).exists()
    found = import_file(run, table(tmp_path, ["a.jpg,cat,bob", "c.jpg,x,ann", "c.jpg,y,bob"]))
    assert (found.unchanged, found.recorded) == (1, 3)
    assert [one.given for one in found.conflicts] == [("x", "y")]
    assert labels_of(run) == {"a.jpg": "cat", "b.jpg": "dog"}
    with pytest.raises(UsageError, match="annotator: it is empty"):
        import_file(run, table(tmp_path, ["a.jpg,cat,bob"]), annotator=" ")


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("one"), IDS)


@given(
    existing=st.dictionaries(st.sampled_from(IDS), st.sampled_from("xy")),
    rows=st.lists(
        st.tuples(
            st.sampled_from(IDS), st.sampled_from(["", *"xyz"]), st.sampled_from(["", *"ab"])
        ),
        min_size=1,
        max_size=8,
    ),
    overwrite=st.booleans(),
    store=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_nothing_already_labelled_is_lost(one_run, existing, rows, overwrite, store):
    """Whatever comes in: a person's label stays, or is replaced by one everybody agrees on."""
    run, folder = one_run, one_run.path.parent
    for left in run.path.glob("labels.sqlite*"):
        left.unlink()
    split = Split.start(IDS, ["train"] * 4, picks=range(4))
    split.with_labels([IDS.index(word) for word in existing], list(existing.values())).write(
        run.path
    )
    if store:
        Store.open(run.path).close()
    path = table(folder, [",".join(row) for row in rows])
    said = {word: {text for one, text, _ in rows if one == word and text} for word in IDS}
    found = import_file(run, path, overwrite=overwrite)
    after = labels_of(run)
    assert existing.keys() <= after.keys()
    for word, label in after.items():
        assert label in said[word] | {existing.get(word)}
        if word in existing and label != existing[word]:
            assert overwrite
    for word in IDS:
        if len(said[word]) == 1 and (overwrite or word not in existing):
            assert after[word] in said[word]
    changed = [word for word in existing if after[word] != existing[word]]
    assert found.changed == len(changed)
    assert found.added == len(after) - len(existing)
    listed = {one.image_id for one in found.conflicts}
    assert listed == {w for w in IDS if said[w] and (w not in after or after[w] not in said[w])} | {
        w for w in listed if w in existing and len(said[w]) > 1
    }


def test_a_large_file_is_read_quickly():
    """20,000 names that have to be found by their stems."""
    import time

    from usl.labeling.exchange.incoming import match
    from usl.labeling.exchange.names import Finder, stems

    ids = [f"n{i % 1000:08d}/n{i % 1000:08d}_{i}.JPEG" for i in range(20_000)]
    start = time.process_time()
    given = [Given("x", f"{name}.JPEG", "y", is_file=True) for name in stems(ids)]
    found = match(given, Finder(ids))
    assert time.process_time() - start < 4  # about 0.3 s
    assert list(found.rows) == list(range(20_000))
