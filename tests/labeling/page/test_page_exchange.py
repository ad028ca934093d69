"""What page and server say to each other: of which run, which listing, which images."""

from __future__ import annotations

import json
import os
import shutil
import socket

import pytest
from page_run import answer
from test_page_round_view import undo

from usl.labeling.answers.entries import AUDIT, CHECK, Round
from usl.labeling.answers.store import Store
from usl.labeling.page.app import make_app
from usl.run.identity import RunReplacedError

EXCHANGES = ("/api/state", "/api/changes", "/api/similar", "/image/160")


def photos_of(path):
    return path.parent / "photos"


def kept(page):
    """Image, label and annotator of every answer that counts."""
    return {
        (one.image_id, one.label or one.kind, one.annotator)
        for one in page.store.history()
        if not one.undone
    }


def swap_keeping_times(one, other):
    """Let two files of equal size take each other's content, sizes and times unchanged."""
    states = [os.stat(file) for file in (one, other)]
    contents = [file.read_bytes() for file in (one, other)]
    most = max(map(len, contents))
    contents = [content + bytes(most - len(content)) for content in contents]
    for file, content, state in zip((one, other), contents[::-1], states, strict=True):
        file.write_bytes(content)
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


# Of which run and listing


@pytest.mark.parametrize("wrong", [{"run": "0" * 32}, {"listing": "0" * 32}, {"run": ""}])
def test_what_is_of_another_run_or_listing_is_refused(app, wrong):
    page = app()
    for path in EXCHANGES:
        status, told = page.get(path, image=page.ref(0), **wrong)
        assert (status, list(told)) == (409, ["fault"])
        assert "older listing: reload" in told["fault"]
    assert page.post([answer("aaaaaaaa", [0], "cat")], **wrong)[0] == 409
    given = {**page.stamp, "images": [page.ref(0)], **wrong}
    assert page.send("/api/items", given)[0] == 409
    assert page.store.history() == []


@pytest.mark.parametrize("stamp", [{}, {"run": None, "listing": None}, {"run": 5, "listing": []}])
def test_what_is_of_no_run_is_refused(app, stamp):
    page = app()
    rows = {"key": "a" * 8, "type": "answer", "rows": [0], "kind": "label", "label": "cat"}
    assert page.send("/api/operations", {"operations": [rows], **stamp})[0] == 409
    for path in EXCHANGES:
        assert page("GET", path, headers=page.cookie)[0] == 409
    assert page.store.history() == []


def test_the_listing_stays_as_long_as_the_images_do(app, path):
    before = app()
    before.post([answer("aaaaaaaa", [0, 1], "cat")])
    assert app().work.stamp == before.work.stamp
    os.replace(photos_of(path) / "p050.jpg", photos_of(path) / "q050.jpg")
    renamed = app()
    assert renamed.work.stamp != before.work.stamp
    shutil.copy(photos_of(path) / "p001.jpg", photos_of(path) / "aaa.jpg")
    assert app().work.stamp not in (before.work.stamp, renamed.work.stamp)


def test_answers_to_one_round_are_none_to_another_of_the_same_images(app, path):
    images = ("p003.jpg", "p004.jpg")
    with Store.open(path) as store:
        audit = store.add_round(Round("", AUDIT, images, population=20))
        check = store.add_round(Round("", CHECK, images, population=20))
    blind = app(round=audit)
    given = [answer("aaaaaaaa", [blind.ref(3)], "cat")]
    for other in (app(round=check), app()):
        assert other.send("/api/operations", {"operations": given, **blind.stamp})[0] == 409
    assert blind.store.history() == []


def test_the_page_says_what_it_is_of(app):
    page = app()
    content = page("GET", "/", headers=page.cookie)[2].decode()
    assert f'data-run="{page.work.run.identity}"' in content
    assert f'data-listing="{page.work.stamp}"' in content


# Of which image


def test_an_image_keeps_its_name_when_rows_move(app, path):
    before = app()
    names = {before.work.listing.ids[row]: before.ref(row) for row in range(60)}
    (photos_of(path) / "p010.jpg").unlink()
    shutil.copy(photos_of(path) / "p001.jpg", photos_of(path) / "aaa.jpg")
    after = app()
    gone = names.pop("p010.jpg")
    for name, ref in names.items():
        assert after.work.listing.ids[after.work.listing.row(ref)] == name
    refs = [names["p009.jpg"], gone, names["p011.jpg"]]
    status, told = after.post([answer("aaaaaaaa", refs, "cat")])
    assert (status, told["done"], told["refused"]) == (200, [], [])
    assert told["held"][0]["key"] == "aaaaaaaa"
    assert told["held"][0]["fault"].startswith("'p010.jpg' is not among the images")
    assert kept(after) == {("p009.jpg", "cat", ""), ("p011.jpg", "cat", "")}


def test_what_was_held_is_kept_once_the_image_is_back(app, path):
    photo, aside = photos_of(path) / "p010.jpg", path.parent / "aside"
    page = app()
    group = answer("aaaaaaaa", [page.ref(9), page.ref(10), page.ref(11)], "cat")
    os.replace(photo, aside)
    assert page.post([group])[1]["held"]
    assert page.post([undo("undo---1", "aaaaaaaa")])[1]["done"]
    page.post([answer("bbbbbbbb", [9], "dog")])
    os.replace(aside, photo)
    assert page.post([group])[1]["done"] == ["aaaaaaaa"]
    assert kept(page) == {("p009.jpg", "dog", ""), ("p010.jpg", "cat", "")}


@pytest.mark.parametrize("recorded", [True, False])
def test_an_image_whose_content_has_changed_takes_no_answer(app, path, recorded):
    one, other = photos_of(path) / "p020.jpg", photos_of(path) / "p021.jpg"
    if not recorded:  # newer than the run
        os.replace(one, one := one.with_name("new1.jpg"))
        os.replace(other, other := other.with_name("new2.jpg"))
        for file in (one, other):
            file.write_bytes(file.read_bytes() + bytes(5000 - file.stat().st_size % 5000))
    page = app()
    rows = [page.work.listing.rows[file.name] for file in (one, other)]
    plain = page.work.listing.rows["p000.jpg"]
    for row in rows:
        assert page("GET", page.picture(row, 160), headers=page.cookie)[0] == 200
    swap_keeping_times(one, other)
    for row in rows:
        status, _, content = page("GET", page.picture(row, 160), headers=page.cookie)
        assert status == 404
        assert f"{page.work.listing.ids[row]} has changed" in json.loads(content)["fault"]
    told = page.post(
        [answer("aaaaaaaa", [*rows, plain], "cat"), answer("bbbbbbbb", rows, kind="skip")]
    )
    assert told[1]["done"] == ["bbbbbbbb"]  # "later" says nothing about a picture
    assert "has changed" in told[1]["held"][0]["fault"]
    assert {one.image_id for one in page.store.history() if one.kind == "label"} == {"p000.jpg"}
    # a server that was started afterwards takes no answer to what was seen before, either
    again = app()
    refs = [page.ref(row) for row in rows]
    told = again.post([answer("cccccccc", refs, "cat")])[1]
    assert [one["key"] for one in told["held"]] == ["cccccccc"]


def test_a_picture_is_of_the_content_that_is_named(app, path):
    """Files of equal size and time that change places show no kept picture of the other one."""
    one, other = photos_of(path) / "new1.jpg", photos_of(path) / "new2.jpg"
    os.replace(photos_of(path) / "p020.jpg", one)
    os.replace(photos_of(path) / "p023.jpg", other)
    swap_keeping_times(one, other)  # now of equal size
    for file in (one, other):
        os.utime(file, (1e9, 1e9))
    before = app()
    rows = [before.work.listing.rows[file.name] for file in (one, other)]
    shown = [before("GET", before.picture(row, 160), headers=before.cookie)[2] for row in rows]
    swap_keeping_times(one, other)
    after = app()
    for row, picture in zip(rows, shown[::-1], strict=True):
        status, _, content = after("GET", after.picture(row, 160), headers=after.cookie)
        assert status == 404 or content == picture  # the memo of hashes may still hold the old one


# Of a run that is not there any more


def replaced(path):
    run = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**run, "id": "f" * 32}))


def moved_away(path):
    os.replace(path, path.with_name("run.labeled-1"))
    shutil.copytree(path.with_name("run.labeled-1"), path)
    for file in path.glob("labels.sqlite*"):
        file.unlink()
    replaced(path)


def copied_back(path):
    """The same run by its identity, but from a copy: the answers would go where nobody looks."""
    os.replace(path, path.with_name("old"))
    shutil.copytree(path.with_name("old"), path)


def without_store(path):
    (path / "labels.sqlite").unlink()


LOSSES = [replaced, moved_away, copied_back, without_store, shutil.rmtree]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_run_that_is_gone_takes_no_answers(app, path, lose):
    said = []
    page = app(tell=said.append)
    page.post([answer("aaaaaaaa", [0], "cat")])
    refs = [page.ref(row) for row in range(3)]
    before = page.store.history()
    lose(path)
    status, told = page.post([answer("bbbbbbbb", [refs[1]], "cat")])
    assert (status, list(told)) == (409, ["fault"])
    assert "safe" not in told["fault"]
    for path_ in EXCHANGES:
        status, told = page.get(path_, image=refs[0])
        assert (status, list(told)) == (409, ["fault"])
    assert page.send("/api/items", {**page.stamp, "images": refs})[0] == 409
    for target in ("/", "/review", "/?as=anna"):
        status, headers, _ = page("GET", target, headers=page.cookie)
        assert status == 409
        assert headers["content-type"].startswith("text/html")
    assert page.store.history() == before
    assert len(said) == 1
    assert "takes no more answers" in said[0]


def test_a_run_that_is_gone_is_told_once_each_time(app, path):
    """Not once for its file of answers and once for its folder, where both go at that moment."""
    said = []
    page = app(tell=said.append)
    refs = [page.ref(row) for row in range(3)]

    def refused(request):
        return page.post([answer(request, [refs[0]], "cat")])[0] == 409

    kept = path / "labels.sqlite"
    kept.rename(path.with_name("kept"))
    assert refused("aaaaaaaa")
    path.rename(path.with_name("run-moved"))
    assert refused("bbbbbbbb")
    assert len(said) == 1
    path.with_name("run-moved").rename(path)
    path.with_name("kept").rename(kept)
    assert not refused("cccccccc")
    path.rename(path.with_name("run-moved"))
    assert refused("dddddddd")
    assert len(said) == 2


@pytest.mark.parametrize("lose", [moved_away, copied_back, without_store, shutil.rmtree])
def test_a_store_that_is_gone_calls_nothing_kept(path, lose):
    """Even in the moment after the page has looked."""
    with Store.open(path) as store:
        with pytest.raises(RunReplacedError, match="deleted, moved"), store.transaction():  # noqa: PT012
            store.add_class("cat")
            lose(path)
        with pytest.raises(RunReplacedError, match="deleted, moved"):
            store.add_class("dog")
    if (path / "labels.sqlite").exists():
        with Store.open(path) as store:
            assert store.classes() == []


def test_a_run_that_is_not_reached_for_a_moment_goes_on(app, path):
    page = app()
    os.replace(path, path.with_name("away"))
    assert page.post([answer("aaaaaaaa", [0], "cat")])[0] == 409
    os.replace(path.with_name("away"), path)
    assert page.post([answer("aaaaaaaa", [0], "cat")])[1]["done"] == ["aaaaaaaa"]


class Stuck:
    """A sync that cannot write."""

    fault = "split.csv is open elsewhere."

    def touch(self):
        """Nothing follows."""


def test_answers_are_called_safe_only_where_they_are(app, path):
    page = app()
    page.asgi = make_app(page.work, page.door, listening="127.0.0.1", sync=Stuck())
    news = page.get("/api/changes")[1]
    assert news["fault"].startswith("The answers are safe, but split.csv could not be written")
    without_store(path)
    status, told = page.get("/api/changes")
    assert status == 409
    assert "safe" not in told["fault"]


# Odd values


@pytest.mark.parametrize("name", [None, 5, 1.5, True, [], ["anna"], {}, "a\0b", "\ud800", "x" * 65])
def test_an_annotator_is_a_name(app, name):
    page = app()
    status, told = page.post([answer("aaaaaaaa", [0], "cat")], **{"as": name})
    assert (status, list(told)) == (400, ["fault"])
    assert "\n" not in told["fault"]
    assert page.store.history() == []


@pytest.mark.parametrize("odd", [{"mode": None}, {"mode": "Review"}, {"mode": ["review"]}])
@pytest.mark.parametrize("since", [0, None, True, "0", -1, 1.0, 10**30])
def test_mode_and_since_are_what_they_should_be(app, odd, since):
    page = app()
    given = [answer("aaaaaaaa", [0], "cat")]
    assert page.post(given, since=since, **odd)[0] == 400
    if since != 0 or since is True:
        assert page.post(given, since=since)[0] == 400
    assert page.store.history() == []


@pytest.mark.parametrize(
    "odd",
    [
        {"label": None},
        {"label": 5},
        {"label": True},
        {"label": ["cat"]},
        {"label": {"a": 1}},
        {"label": ""},
        {"label": " \u00a0 "},
        {"label": "c\0t"},
        {"label": "\ud800"},
        {"label": "x" * 201},
        {"kind": None},
        {"kind": "LABEL"},
        {"kind": "x" * 100_000},
        {"kind": "unsure", "label": "x" * 100_000},
        {"kind": ["label"]},
        {"seconds": "5"},
        {"seconds": True},
        {"seconds": [1]},
        {"images": None},
        {"images": {}},
        {"images": []},
        {"images": ["\ud800"]},
        {"images": ["x" * 100_000]},
        {"key": None},
        {"key": "\ud800" * 8},
        {"key": ["aaaaaaaa"]},
        {"key": "x" * 100_000},
        {"type": None},
        {"type": {"answer": [["x" * 1000] * 100] * 10}},
    ],
)
def test_an_odd_answer_is_refused_in_a_line(app, odd):
    page = app()
    status, told = page.post([{**answer("aaaaaaaa", [0], "cat"), **odd}])
    assert status == 200
    assert told["done"] == told["held"] == []
    [one] = told["refused"]
    assert "\n" not in one["fault"]
    assert len(json.dumps(one)) < 700
    assert page.store.history() == []
    assert page.store.classes() == []


@pytest.mark.parametrize("name", [None, 5, True, ["cat"], {"a": 1}, "", " ", "c\0t", "\ud800"])
def test_an_odd_class_is_refused_in_a_line(app, name):
    page = app()
    one = {"key": "class--1", "type": "class", "name": name}
    all_ = {"key": "class--2", "type": "classes", "classes": [{"name": name, "hotkey": ""}]}
    told = page.post([one, all_])[1]
    assert [refused["key"] for refused in told["refused"]] == ["class--1", "class--2"]
    assert page.store.classes() == []


# A client that leaves


@pytest.mark.parametrize("target", ["/api/operations", "/api/items", "/login"])
def test_a_client_that_leaves_in_the_middle(app, target):
    page = app(listening="0.0.0.0", password="correct horse")
    form = "application/x-www-form-urlencoded" if target == "/login" else "application/json"
    own = {"origin": "http://127.0.0.1:8000", "content-type": form}
    headers = {**page.cookie, **own}
    assert page("POST", target, body=b'{"operations', headers=headers, leaves=True)[0] == 400


def test_who_leaves_writes_nothing_on_the_console(served):
    server = served()
    token = server.address.partition("token=")[2]
    head = f"HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
        line.sendall(f"GET /?token={token} {head}\r\n".encode())
        cookie = line.recv(10_000).partition(b"set-cookie: ")[2].partition(b";")[0].decode()
    assert cookie
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
            line.sendall(
                f"POST /api/operations {head}cookie: {cookie}\r\norigin: {server.base[:-1]}\r\n"
                "content-type: application/json\r\ncontent-length: 1000\r\n\r\n{".encode()
            )
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
        line.sendall(f"GET / {head}cookie: {cookie}\r\n\r\n".encode())  # it is heard after those
        assert line.recv(20).startswith(b"HTTP/1.1 200")
    said = server.stop()
    assert "Traceback" not in said
    assert "Exception" not in said
