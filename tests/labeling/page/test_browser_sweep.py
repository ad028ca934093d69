"""Sweeping in a real browser: a glance, a click, Enter; what is on its way; every screen."""

from __future__ import annotations

from page_browser import saved
from test_browser_looks import CONTRAST, NAMELESS
from test_sweep import sure as sure

READY = "#confirm:enabled"


def opened(site, visit, **options):
    server = site(["cat", "dog"])
    return server, visit(f"{server.base}sweep?token={server.door.token}", **options)


def begins(page, what, text):
    """Wait until the text of an element begins so."""
    script = "([what, text]) => document.querySelector(what).textContent.startsWith(text)"
    page.wait_for_function(script, arg=[what, text])


def test_a_sheet_is_confirmed_taken_back_and_its_rest_labelled_by_the_keyboard(sure, site, visit):
    server, page = opened(site, visit)
    held = []
    page.wait_for_selector(READY)
    images = page.locator("#tiles button").count()
    label = page.text_content("#question b")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.locator("#tiles button").nth(2).click()
    assert page.locator('#tiles [aria-pressed="false"]').count() == 2
    page.route("**/image/**", lambda route: held.append(route))  # the next sheet's never come
    page.keyboard.press("Enter")
    begins(page, "#total", f"{images - 2} confirmed in ")
    assert list(server.labels().values()).count(label) == images - 2
    page.wait_for_function(
        "() => document.querySelector('#confirm-text').textContent.startsWith('Drawing, 0')"
    )
    page.keyboard.press("Enter")
    assert page.is_disabled("#confirm")
    page.unroute("**/image/**")  # which lets those go on that were held
    page.wait_for_selector(READY)
    assert page.text_content("#question b") != label  # the other class
    page.keyboard.press("l")
    page.wait_for_selector("#one[open]")
    page.keyboard.press("1")
    page.keyboard.press("2")
    page.wait_for_selector("#one", state="hidden")
    saved(page)
    assert [one.label for one in server.store.history(round="labels")] == ["cat", "dog"]
    for _ in range(3):
        page.keyboard.press("Backspace")
    begins(page, "#total", "0 confirmed")
    assert server.labels() == {}


def test_a_sheet_that_could_not_be_sent_is_sent_by_the_next_page(sure, site, visit):
    server, page = opened(site, visit, width=375, height=667, color_scheme="dark")
    page.wait_for_selector(READY)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(NAMELESS) == []
    page.route("**/operations", lambda route: route.abort())
    page.click("#confirm")
    page.wait_for_selector('#saving[data-state="lost"]')
    assert server.labels() == {}
    page.unroute("**/operations")
    page.reload()
    page.wait_for_selector(READY)
    assert server.labels()
    begins(page, "#total", f"{len(server.labels())} confirmed")


def test_axe_core_finds_nothing_serious(sure, site, visit, serious):
    _, page = opened(site, visit)
    page.wait_for_selector(READY)
    page.locator("#tiles button").first.click()
    assert serious(page) == []
