"""A split file that another program saves slowly, in place, loses no row and no label."""

from __future__ import annotations

import threading

import pytest
from label_run import IDS, make_run, rows

from usl.core.errors import DataError, UslWarning
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.sync import sync
from usl.run import last_good
from usl.run.last_good import GOOD, HalfSavedError, read_whole
from usl.run.split import Split
from usl.run.split_csv import rewrite

FIRST = IDS[0]


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(last_good, "PATIENCE", 0)


def edited(run, **labels):
    """The file as a person fills it in, as bytes."""
    lines = (run.path / "split.csv").read_text().splitlines(keepends=True)
    for name, label in labels.items():
        number = int(name.removeprefix("row"))
        lines[number] = lines[number].replace("requested,", f"requested,{label}", 1)
    return "".join(lines).encode()


def test_the_rest_is_waited_for(run, store, monkeypatch):
    monkeypatch.setattr(last_good, "PATIENCE", 600)
    asleep = threading.Event()
    monkeypatch.setattr(last_good.time, "sleep", lambda _: asleep.set() or written.wait(600))
    written = threading.Event()
    content = edited(run, row3="dog")
    store.add([Answer(FIRST, "label", "cat")])

    def saves():
        with open(run.path / "split.csv", "wb") as handle:
            handle.write(content[: len(content) // 3])
            handle.flush()
            begun.set()
            asleep.wait(600)
            handle.write(content[len(content) // 3 :])
        written.set()

    begun = threading.Event()
    saver = threading.Thread(target=saves)
    saver.start()
    begun.wait(600)
    with pytest.warns(UslWarning, match="has lost rows since it was last read; waiting"):
        sync(run, store)
    saver.join()
    assert run.split().ids.tolist() == IDS
    assert rows(run)[FIRST] == ("labeled", "cat", "human")
    assert rows(run)[IDS[2]] == ("labeled", "dog", "human")


@pytest.mark.filterwarnings("ignore::usl.core.errors.UslWarning")
def test_one_that_takes_too_long_is_never_replaced(run, store, impatient):
    content = edited(run, row3="dog")
    store.add([Answer(FIRST, "label", "cat")])
    with open(run.path / "split.csv", "wb") as handle:
        handle.write(content[: len(content) // 3])
        handle.flush()
        before = (run.path / "split.csv").stat()
        for act in (lambda: sync(run, store), run.split):
            with pytest.raises(HalfSavedError, match=r"split\.csv: .* left as it is.*delete that"):
                act()
        after = (run.path / "split.csv").stat()
        assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
        handle.write(content[len(content) // 3 :])
    sync(run, store)
    assert run.split().ids.tolist() == IDS
    assert rows(run)[FIRST] == ("labeled", "cat", "human")
    assert rows(run)[IDS[2]] == ("labeled", "dog", "human")


@pytest.mark.filterwarnings("ignore::usl.core.errors.UslWarning")
@pytest.mark.parametrize("own", [False, True])
def test_cut_off_anywhere(run, impatient, own):
    """Whatever the piece, it is refused, or says what the whole file says."""
    path = run.path / "split.csv"
    split = run.split()
    rewrite(split.with_labels([0, 19], ["cat, or dog", "eel"], weights=[1, 2.5]))
    if own:
        lines = path.read_text().splitlines()
        notes = ["note", *(f"see {row}" for row in range(20))]
        path.write_text("".join(f"{a},{b}\n" for a, b in zip(lines, notes, strict=True)))
    content, whole = path.read_bytes(), run.split()
    accepted = 0
    for size in range(len(content)):
        path.write_bytes(content[:size])
        try:
            found = read_whole(run.path, Split.read)
        except DataError as error:
            assert "split.csv" in str(error)  # noqa: PT017
            assert path.read_bytes() == content[:size]
            continue
        accepted += 1
        for field in ("ids", "states", "labels", "weights", "sources"):
            assert getattr(found, field).tolist() == getattr(whole, field).tolist()
        path.write_bytes(content)
        run.split()
    assert accepted <= 1, "the last line end alone may be missing"


@pytest.mark.filterwarnings("ignore::usl.core.errors.UslWarning")
def test_rows_deleted_on_purpose(run, impatient):
    path = run.path / "split.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5] + lines[6:]))
    with pytest.raises(HalfSavedError, match="19 rows, where it had 20, and it is left as it is"):
        run.split()
    (run.path / GOOD).unlink()
    assert len(run.split()) == 19
    assert len(Split.read(run.path / GOOD)) == 19
    path.write_text("".join(lines[:5] + lines[6:10] + lines[9:10]))
    with pytest.raises(DataError, match="has a row already"):
        run.split()


def test_the_copy_follows_and_is_not_needed(run):
    path = run.path / "split.csv"
    path.write_bytes(edited(run, row2="cat"))
    run.split()
    assert (run.path / GOOD).read_bytes() == path.read_bytes()
    (run.path / GOOD).write_bytes(b"\xff\xfe nonsense")
    assert len(run.split()) == 20
    (run.path / GOOD).unlink()
    assert len(run.split()) == 20
