"""``usl label`` as a process: signals, ports, what is said."""

from __future__ import annotations

import http.client
import json
import re
import signal
import threading
from urllib.parse import urlencode

import numpy as np
import pytest
from page_run import answer
from page_served import Served

from usl.core.errors import DataError, MissingDependencyError, UsageError
from usl.labeling.answers.classes import remove_class, rename_class
from usl.labeling.answers.entries import AUDIT, Answer, Round
from usl.labeling.answers.store import Store
from usl.labeling.page.background_sync import BackgroundSync
from usl.labeling.page.offered import set_classes
from usl.labeling.page.serve import open_round, serve, summary
from usl.labeling.page.server import address_of, listen
from usl.run.folder import Run


def ask(server, method, path, body=None, cookie=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {"origin": server.base.strip("/"), "content-type": "application/json"}
    headers |= {"cookie": cookie} if cookie else {}
    connection.request(method, path, body and json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def sign_in(server):
    response, _ = ask(server, "GET", "/?token=" + server.address.partition("token=")[2])
    return response.getheader("set-cookie").partition(";")[0]


def signed(server, cookie, path="/"):
    """What every exchange carries, as the page has it."""
    page = ask(server, "GET", path, cookie=cookie)[1].decode()
    run, listing = re.search(r'data-run="(\w+)" data-listing="(\w+)"', page).groups()
    return {"run": run, "listing": listing}


def ask_state(server, cookie):
    stamp = signed(server, cookie)
    return ask(server, "GET", f"/api/state?{urlencode(stamp)}", cookie=cookie)


def operate(server, cookie, operations):
    body = {**signed(server, cookie), "operations": operations}
    return ask(server, "POST", "/api/operations", body, cookie)


def test_ctrl_c_settles_and_says_what_comes_next(served, path):
    server = served(classes=["cat", "dog"])
    cookie = sign_in(server)
    first, second = json.loads(ask_state(server, cookie)[1])["order"][:2]
    given = [answer("aaaaaaaa", [first], "cat"), answer("bbbbbbbb", [second], kind="skip")]
    assert operate(server, cookie, given)[0].status == 200
    said = server.stop()
    assert "1 of 40 images answered." in said
    assert f"usl label {path}" in said
    assert f"usl train {path}" in said
    split = Run.open(path).split()
    assert split.labels[split.ids.tolist().index(first.partition("/")[2])] == "cat"
    # again: the same port, and the old page's cookie still opens it; SIGTERM does as Ctrl-C
    again = served()
    assert again.port == server.port
    status, content = ask_state(again, cookie)
    assert status.status == 200
    assert [one["name"] for one in json.loads(content)["classes"]] == ["cat", "dog"]
    assert "1 of 40" in again.stop(signal.SIGTERM)


def test_a_port_that_is_taken_is_named(path):
    taken = listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(UsageError, match=f"{port}.*--port"):
        serve(path, port=port, open_browser=False)
    wished = listen("127.0.0.1", 0, wish=port)  # the one of last time is taken: any other
    assert wished.getsockname()[1] != port
    assert address_of(wished, "0.0.0.0").startswith("http://127.0.0.1:")
    taken.close()
    wished.close()
    for host in ("no such host", "192.0.2.1"):
        with pytest.raises(UsageError, match="host"):
            listen(host, 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org"])
def test_beyond_this_machine_only_with_a_password(path, host):
    with pytest.raises(UsageError, match="password"):
        serve(path, host=host)
    with pytest.raises(UsageError, match="at least 8"):
        serve(path, host=host, password="short")
    assert not (path / "labels.sqlite").exists()


def test_beyond_this_machine_there_is_a_warning(served):
    server = served(host="0.0.0.0", password="correct horse")
    response, _ = ask(server, "GET", "/")
    assert response.getheader("location") == "/login"
    said = server.stop()
    assert "Warning" in said
    assert "unencrypted" in said


def test_parameters_that_do_not_go_together(path, monkeypatch):
    with pytest.raises(UsageError, match="one at a time"):
        serve(path, audit=5, check=5)
    with pytest.raises(DataError, match="nothing is predicted"):
        serve(path, audit=5)
    monkeypatch.setattr("usl.labeling.page.serve.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"usl\[label\]"):
        serve(path)


def test_features_alone_cannot_be_looked_at(path, tmp_path):
    np.save(tmp_path / "features.npy", np.eye(60, dtype=np.float32))
    with pytest.raises(DataError, match=r"split\.csv"):
        serve(path, source=str(tmp_path / "features.npy"))


def test_classes_keep_their_keys_and_new_ones_replace_the_unused(path):
    run, said = Run.open(path), []
    with Store.open(path) as store:
        set_classes(run, store, ["cat", " dog ", "pig", "Dog"], predicted=False, tell=said.append)
        assert said == ["Note: 'Dog' is the class 'dog' here."]
        store.set_classes([*store.classes()[::-1]])
        store.add([Answer("p003.jpg", "label", "dog"), Answer("p004.jpg", "label", "pig")])
        store.undo([2])
        set_classes(run, store, ["owl", "DOG"], predicted=False, tell=said.append)
        found = [(one.name, one.hotkey) for one in store.classes()]
        assert found == [("owl", "1"), ("dog", "2")]
        assert said[2:] == ["Note: no longer offered, for nobody has used them: 'pig', 'cat'."]
        set_classes(run, store, [], predicted=False, tell=said.append)
        assert [one.name for one in store.classes()] == ["owl", "dog"]
        assert len(said) == 3


def test_the_command_of_the_start_knows_renamed_classes(path):
    run = Run.open(path)
    with Store.open(path) as store:
        set_classes(run, store, ["cat", "dog"], predicted=False)
        store.add([Answer("p003.jpg", "label", "dog")])
        rename_class(store, "dog", "hound")
        remove_class(store, "cat")
        set_classes(run, store, ["cat", "dog"], predicted=False)
        assert [one.name for one in store.classes()] == ["cat", "hound"]


def test_an_unfinished_audit_is_gone_on_with(path):
    run, said = Run.open(path), []
    with Store.open(path) as store:
        drawn = store.add_round(Round("", AUDIT, ("p003.jpg", "p004.jpg"), population=9))
        assert open_round(run, store, 30, None, said.append) == drawn
        assert "2 of 2" in said[0]
        lines = summary(run, store, drawn)
    assert lines[0] == "0 of 2 images answered."
    assert f"usl label {path} --audit 2" in lines[1]


def test_answers_reach_the_split_file_when_all_is_quiet():
    calls, done = [], threading.Event()

    def settle():
        calls.append(1)
        done.set()
        if len(calls) == 1:
            raise OSError("open in a spreadsheet")

    settler = BackgroundSync(settle, quiet=0.2)
    for _ in range(5):
        settler.touch()
    assert done.wait(20)
    done.clear()
    for _ in range(1000):
        if settler.fault:
            break
        threading.Event().wait(0.01)
    assert settler.fault == "open in a spreadsheet"
    settler.touch()
    assert done.wait(20)
    settler.close()
    assert len(calls) == 2
    assert settler.fault == ""


def test_a_kill_loses_nothing_that_was_acknowledged(served, path):
    server: Served = served()
    cookie = sign_in(server)
    order = json.loads(ask_state(server, cookie)[1])["order"][:5]
    for number, ref in enumerate(order):
        operate(server, cookie, [answer(f"answer-{number}", [ref], "cat")])
    server.kill()
    with Store.open(path) as store:
        assert [one.image_id for one in store.history()] == [ref[17:] for ref in order]
