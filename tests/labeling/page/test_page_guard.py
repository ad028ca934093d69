"""Every way in that must be closed, tried."""

from __future__ import annotations

import json
import os
from urllib.parse import quote, unquote

import pytest
from page_run import answer, record_anew, write_bomb

from usl.labeling.page.guard import HEADERS, MAX_ANSWERS, MAX_BODY

OWN = {"origin": "http://127.0.0.1:8000", "content-type": "application/json"}
PATHS = ("/", "/review", "/api/state", "/api/items", "/api/similar", "/image/640")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", ""],
)
def test_a_foreign_host_is_refused(app, host):
    page = app()
    for path in (*PATHS, "/static/label.js", "/login", f"/?token={page.door.token}"):
        status, _, _ = page("GET", path, host=host, headers=page.cookie)
        assert status == 400, path


def test_no_host_and_two_hosts_are_refused(app):
    page = app()
    assert page("GET", "/", headers=page.cookie, host=None)[0] == 400
    both = ["127.0.0.1", "evil.example"]
    assert page("GET", "/", headers=page.cookie, host=both)[0] == 400


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST"])
def test_our_own_names_are_welcome(app, host):
    page = app()
    address = page.address("/api/state")
    assert page("GET", address, host=host, headers=page.cookie)[0] == 200


def test_without_token_or_cookie_nothing_is_shown(app):
    page = app()
    wrong = {"cookie": f"{page.door.cookie_name}={'0' * 64}"}
    for path in PATHS:
        for headers in ({}, wrong):
            status, _, content = page("GET", path, headers=headers)
            assert status == 403, path
            assert b"p000" not in content
    assert page("GET", "/?token=" + "x" * 43)[0] == 403
    assert page("POST", "/api/operations", body=b"{}", headers=OWN)[0] == 403


def test_the_token_becomes_a_cookie_and_leaves_the_address(app):
    page = app()
    status, headers, _ = page("GET", f"/?token={page.door.token}")
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert page.door.token not in cookie
    sent = {"cookie": "other=1; " + cookie.partition(";")[0]}
    assert page("GET", "/", headers=sent)[0] == 200
    # an old address in the history still leads to the page, for who is in already
    assert page("GET", "/?token=old", headers=sent)[1]["location"] == "/"


def test_a_ticket_opens_once(app):
    page = app()
    ticket = page.door.ticket()
    assert page("GET", f"/?token={ticket}")[0] == 303
    assert page("GET", f"/?token={ticket}")[0] == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),  # another server of this machine
        ({"origin": "http://localhost:8000"}, 403),
        ({"origin": "http://127.0.0.1:8000", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
    ],
)
def test_writes_of_another_site_are_refused(app, headers, status):
    page = app()
    operations = [answer("k" * 8, [page.ref(0)], "cat")]
    body = json.dumps({**page.stamp, "operations": operations}).encode()
    sent = {**page.cookie, **headers, "content-type": "application/json"}
    assert page("POST", "/api/operations", body=body, headers=sent)[0] == status
    assert len(page.store.history()) == (1 if status == 200 else 0)


def test_another_site_may_link_here_but_load_nothing(app):
    page = app()
    image = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    link = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    frame = {**link, "sec-fetch-dest": "iframe"}
    assert page("GET", page.picture(0, 640), headers={**page.cookie, **image})[0] == 403
    for site in ("cross-site", "same-site"):
        for more, status in ((link, 200), (frame, 403)):
            sent = {**page.cookie, "sec-fetch-site": site, **more}
            assert page("GET", "/", headers=sent)[0] == status


def test_only_simple_methods_and_json(app):
    page = app()
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        status, headers, _ = page(method, "/api/operations", headers={**page.cookie, **OWN})
        assert status == 405
        assert not any(name.startswith("access-control") for name in headers)
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        sent = {**page.cookie, **OWN, "content-type": kind}
        assert page("POST", "/api/operations", body=b"{}", headers=sent)[0] == 415


def test_every_answer_has_the_headers(app):
    page = app()
    requests = [("/", page.cookie), ("/", {}), (page.picture(0, 160), page.cookie)]
    requests += [("/static/label.css", {}), ("/nowhere", page.cookie), ("/api/state", page.cookie)]
    for path, sent in requests:
        _, headers, _ = page("GET", path, headers=sent)
        assert {name: headers.get(name) for name in HEADERS} == HEADERS, path
        assert not any(name.startswith("access-control") for name in headers)
        assert "server" not in headers
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert policy.startswith("default-src 'none'")


def test_the_page_needs_nothing_that_the_policy_forbids(app):
    page = app()
    for path in ("/", "/review"):
        content = page("GET", path, headers=page.cookie)[2].decode()
        assert "style=" not in content
        assert "onclick" not in content
        assert "<script>" not in content
        assert "http://" not in content.replace("http://www.w3.org/", "")
        assert "https://" not in content


@pytest.mark.parametrize(
    "address",
    [
        "/image/../../etc/passwd/640",
        "/image/%2e%2e%2f%2e%2e/640",
        "/image//etc/passwd",
        "/image/-1",
        "/image/0x1",
        "/image/1e3",
        "/image/0/640",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
    ],
)
def test_only_what_there_is_is_served(app, address):
    page = app()
    for one in (address, unquote(address)):  # a server may or may not decode before it gets here
        status, _, content = page("GET", one, headers=page.cookie)
        assert status == 404, one
        assert b"root:" not in content
        assert b"import" not in content


OTHER_NAMES = [
    "",
    "0",
    "-1",
    "p000.jpg",
    "/p000.jpg",
    "/etc/passwd",
    "0123456789abcdef/../../etc/passwd",
    "0123456789abcdef/p000.jpg",
    "0123456789abcdef//etc/passwd",
    "9" * 5000,
    "-/p000.jpg",
    "\0/p000.jpg",
    "0123456789abcdef/\n\0p000.jpg",
]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_only_images_of_the_collection_are_served(app, name):
    page = app()
    for path in ("/image/640", "/api/similar"):
        status, told = page.get(path, image=name)
        assert status in (400, 404)
        assert list(told) == ["fault"]
        assert len(told["fault"]) < 400
    assert page.send("/api/items", {**page.stamp, "images": [name]})[0] in (400, 404)


@pytest.mark.parametrize(
    "name", [*OTHER_NAMES, "\ud800", "-/\ud800", -1, 60, 10**30, True, 1.0, None, [0], {}]
)
def test_what_names_no_image_is_no_answer(app, name):
    page = app()
    status, told = page.post([answer("k" * 8, [name], "cat")])
    assert status == 200
    assert told["done"] == []
    [one] = told["refused"] + told["held"]
    assert one["key"] == "k" * 8
    assert len(one["fault"]) < 400
    assert page.store.history() == []


def test_links_out_of_the_folder_are_refused(path, app, tmp_path):
    photos = path.parent / "photos"
    secret = tmp_path / "secret.jpg"
    secret.write_bytes((photos / "p003.jpg").read_bytes())
    page = app()
    assert page("GET", page.picture(3, 640), headers=page.cookie)[0] == 200
    # while the server runs: one turns into a link out, one into a link within
    (photos / "p003.jpg").unlink()
    (photos / "p003.jpg").symlink_to(secret)
    (photos / "within").mkdir()
    os.replace(photos / "p004.jpg", photos / "within" / "p004.jpg")
    (photos / "p004.jpg").symlink_to(photos / "within" / "p004.jpg")
    for side in (160, 640):
        status, _, content = page("GET", page.picture(3, side), headers=page.cookie)
        assert status == 404
        assert "link out of the folder" in json.loads(content)["fault"]
    assert page("GET", page.picture(4, 640), headers=page.cookie)[0] == 200


def test_a_sibling_whose_name_begins_the_same_is_outside(path, app):
    photos = path.parent / "photos"
    sibling = path.parent / "photos-private"
    sibling.mkdir()
    os.replace(photos / "p003.jpg", sibling / "p003.jpg")
    (photos / "p003.jpg").symlink_to(sibling / "p003.jpg")
    page = app()
    assert page("GET", page.picture(3, 640), headers=page.cookie)[0] == 404


def test_a_bomb_is_refused_and_the_server_lives(path, app):
    write_bomb(path.parent / "photos" / "p003.jpg")
    record_anew(path, "p003.jpg")
    page = app()
    status, _, content = page("GET", page.picture(3, 640), headers=page.cookie)
    assert status == 422
    assert "too large" in json.loads(content)["fault"]
    assert page("GET", page.picture(4, 640), headers=page.cookie)[0] == 200


def test_scripts_in_names_stay_text(path, app):
    evil = "<script>alert(1)</script>\"'&"
    page = app()
    status, told = page.post([answer("k" * 8, [0], evil)], **{"as": evil})
    assert status == 200
    assert told["done"] == ["k" * 8]
    assert evil in [one["name"] for one in told["classes"]]
    for target in (f"/?as={quote(evil)}", f"/review?as={quote(evil)}", "/"):
        status, headers, content = page("GET", target, headers=page.cookie)
        assert status == 200
        assert headers["content-type"].startswith("text/html")
        assert b"<script>alert" not in content
    for target in (f"/{quote(evil)}", f"/?as={quote(evil * 9)}"):
        status, headers, content = page("GET", target, headers=page.cookie)
        assert status in (400, 404)
        assert b"<script>alert" not in content


def test_sizes_are_limited(app):
    page = app()
    sent = {**page.cookie, **OWN}
    for path, most in (("/api/items", MAX_BODY), ("/api/operations", MAX_ANSWERS)):
        large = b" " * (most + 1)
        for headers in (sent, {**sent, "content-length": str(len(large))}):
            assert page("POST", path, body=large, headers=headers)[0] == 413
        chunks = [b" " * (most // 3)] * 4
        assert page("POST", path, body=chunks, headers=sent)[0] == 413
    for length in ("-5", "1e9", "9" * 30, "x"):
        headers = {**sent, "content-length": length}
        assert page("POST", "/api/operations", body=b"{}", headers=headers)[0] == 413
    told = page.post([answer("k" * 8, list(range(60)) * 20, "cat")])[1]
    assert "1 to 1000" in told["refused"][0]["fault"]
    told = page.post([answer("k" * 8, [0], "c" * 300)])[1]
    assert "200" in told["refused"][0]["fault"]
    assert page.post([], **{"as": "a" * 65})[0] == 400


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"5", b"null", b"[" * 100_000, b"\xff"])
def test_nonsense_is_refused_without_a_crash(app, body):
    page = app()
    status, told = page.send("/api/operations", body)
    assert status == 400
    assert list(told) == ["fault"]


def test_passwords_are_compared_and_guessing_is_slow(app):
    page = app(listening="0.0.0.0", password="correct horse")
    assert page("GET", "/")[1]["location"] == "/login"
    assert b"password" in page("GET", "/login")[2]
    form = {"origin": "http://127.0.0.1:8000", "content-type": "application/x-www-form-urlencoded"}

    def enter(password, client="192.0.2.7"):
        body = f"password={password}".encode()
        return page("POST", "/login", body=body, headers=form, client=client)

    assert [enter("guess")[0] for _ in range(5)] == [403] * 5
    status, headers, _ = enter("correct+horse")
    assert status == 429  # even the right one has to wait now
    assert int(headers["retry-after"]) >= 1
    assert "set-cookie" not in headers
    status, headers, _ = enter("correct+horse", client="192.0.2.8")
    assert status == 303
    assert "HttpOnly" in headers["set-cookie"]
    cookie = {"cookie": headers["set-cookie"].partition(";")[0]}
    assert page("GET", page.address("/api/state"), headers=cookie)[0] == 200
    foreign = {**form, "origin": "http://evil.example"}
    assert page("POST", "/login", body=b"password=correct+horse", headers=foreign)[0] == 403


def test_the_cookie_of_another_password_does_not_fit(app):
    first, second = app(password="correct horse"), app(password="another one")
    assert first.cookie != second.cookie
    assert second("GET", "/api/state", headers=first.cookie)[0] == 403


def test_there_is_no_login_without_a_password(app):
    page = app()
    assert page("GET", "/login")[0] == 303
    sent = {"origin": OWN["origin"], "content-type": "application/x-www-form-urlencoded"}
    status, headers, _ = page("POST", "/login", body=b"password=None", headers=sent)
    assert "set-cookie" not in headers
    assert status == 303


def test_audits_show_nothing_and_take_only_their_own_images(path, app):
    from usl.labeling.answers.entries import AUDIT, Round
    from usl.labeling.answers.store import Store

    with Store.open(path) as store:
        drawn = store.add_round(Round("", AUDIT, ("p003.jpg", "p050.jpg"), population=20))
    page = app(round=drawn)
    assert page.rows(page.get("/api/state")[1]["order"]) == [3, 50]
    assert page.items([3]) == {3: {"id": "p003.jpg"}}
    assert page.get("/api/similar", image=page.ref(3))[1] == []
    told = page.post([answer("k" * 8, [3], "cat"), answer("l" * 8, [4], "cat")])[1]
    assert (told["done"], len(told["refused"])) == (["k" * 8], 1)
