"""The page in a real browser: what may happen meanwhile."""

from __future__ import annotations

from page_browser import READY, counted, press, saved, shown
from page_run import record_anew, write_bomb

from usl.labeling.answers.store import Store
from usl.run.folder import Run


def test_forty_labels_and_five_kills(served, path, visit):
    server = served(classes=["cat", "dog", "owl"])
    page = visit(server.address)
    assert page.url == server.base  # the token has left the address
    keys = [str(1 + (number * 7) % 3) for number in range(40)]
    kills, alone = 0, 0
    for number, key in enumerate(keys):
        if not server.runs and (alone == 2 or not page.evaluate(READY)):
            server.start(port=server.port)
        press(page, key)
        if not server.runs:
            alone += 1  # answered while nobody listens
        elif number in (4, 11, 18, 25, 32):  # perhaps with this answer under way
            server.kill()
            kills, alone = kills + 1, 0
    assert kills == 5
    page.wait_for_selector("#end", state="visible")
    saved(page)
    counted(page, "40 of 40")
    said = server.stop()
    assert "40 of 40 images answered." in said
    run = Run.open(path)
    with Store.open(path) as store:
        history = store.history()
    assert len(history) == 40
    assert len({one.image_id for one in history}) == 40
    names = {"1": "cat", "2": "dog", "3": "owl"}
    assert [one.label for one in history] == [names[key] for key in keys]
    split = run.split()
    assert (split.states == "labeled").sum() == 40
    assert split.labels[split.states == "labeled"].tolist() == [names[key] for key in keys]


def test_two_tabs_agree(site, visit):
    server = site(["cat", "dog"])
    one = visit(server.address)
    two = visit(server.base, context=one.context)
    first = shown(one)
    one.bring_to_front()
    press(one, "1", "2", "1")
    counted(two, "3 of 40")
    two.bring_to_front()
    assert (
        shown(two) != first
        or two.get_attribute('#classes [data-name="cat"]', "aria-pressed") == "true"
    )
    press(two, "g")
    two.wait_for_selector("#tiles li")
    press(two, "Space", "1")
    counted(one, "4 of 40")
    saved(two)  # an undo that overtakes its answer is refused
    one.bring_to_front()
    press(one, "Backspace")
    counted(two, "3 of 40")
    saved(one)
    other = visit(server.address)  # another browser altogether: it learns from the server
    counted(other, "3 of 40")
    press(other, "2")
    saved(other)
    one.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    counted(one, "4 of 40")
    saved(one)
    assert len(server.labels()) == 4


def test_a_closed_tab_loses_nothing(served, path, visit):
    server = served(classes=["cat"])
    page = visit(server.address)
    press(page, "1")
    saved(page)
    page.wait_for_load_state("networkidle")  # the next pictures have come
    server.kill()
    press(page, "1", "1")
    page.wait_for_selector('#saving[data-state="lost"]')
    page.wait_for_selector("#banner:has-text('2 answers are kept')")
    context = page.context
    page.close()
    server.start()  # on the port of last time, without being told
    page = visit(server.base, context=context)  # and the cookie still opens it
    saved(page)
    counted(page, "3 of 40")
    assert page.is_hidden("#banner")
    with Store.open(path) as store:
        assert len(store.history()) == 3


def test_what_the_server_refuses_is_taken_back(site, visit):
    server = site(["cat"])
    page = visit(server.address)
    first = shown(page)
    press(page, "/")
    page.keyboard.insert_text("c" * 199 + "\u0007")  # a control character is no name
    page.keyboard.press("Enter")
    page.wait_for_selector("#banner:not([hidden])")
    assert "control character" in page.text_content("#banner")
    counted(page, "0 of 40")
    press(page, "ArrowLeft", "1")
    saved(page)
    assert server.labels() == {first: "cat"}


def test_hostile_names_stay_text(path, site, visit):
    evil = '<img src=x onerror="window.hit=1">'
    server = site([evil, "cat"])
    page = visit(f"{server.address}")
    page.evaluate("document.addEventListener('securitypolicyviolation', () => { window.hit = 1 })")
    press(page, "1", "/")
    page.keyboard.type("<script>window.hit=1</script>")
    page.keyboard.press("Enter")
    press(page, "g")
    page.wait_for_selector("#tiles li")
    page.select_option("#filter", "all")
    press(page, "?", "Escape")
    saved(page)
    assert page.evaluate("window.hit") is None
    assert page.locator("#classes img, #tiles [onerror], #class-keys img").count() == 0
    page = visit(
        f"{server.base}?as=%3Cimg%20src%3Dx%20onerror%3Dwindow.hit%3D1%3E", context=page.context
    )
    assert page.text_content("#who").startswith("<img")
    assert page.evaluate("window.hit") is None


def requested(path):
    split = Run.open(path).split()
    return split.ids.tolist(), split.states.tolist()


def test_a_picture_that_cannot_be_shown_is_said_so(path, site, visit):
    second = [one for one, state in zip(*requested(path), strict=True) if state == "requested"][1]
    write_bomb(path.parent / "photos" / second)
    record_anew(path, second)
    server = site(["cat"])
    page = visit(server.address)
    press(page, "1")
    page.wait_for_selector(".fault")
    assert "too large" in page.text_content(".fault")
    press(page, "-", "1")
    counted(page, "3 of 40")
    saved(page)
    assert server.labels()[second] == "bad"
