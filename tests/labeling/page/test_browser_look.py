"""The gallery in a real browser: filters, the keyboard, corrections, small screens."""

from __future__ import annotations

import pytest
from page_browser import saved
from test_browser_looks import CONTRAST, NAMELESS


def tiles(page):
    page.wait_for_function("() => document.querySelector('#images li[data-state]')")
    return page.eval_on_selector_all("#images li", "all => all.map((one) => one.title)")


def total(page, text):
    page.wait_for_function(
        "text => document.querySelector('#total').textContent === text", arg=text
    )


def opened(site, visit, trained, **options):
    server = site(["cat", "dog"])
    return server, visit(f"{server.base}look?token={server.door.token}", **options)


def test_fits_every_screen(trained, site, visit):
    _, page = opened(site, visit, trained)
    tiles(page)

    def fine(width):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(NAMELESS) == []
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CONTRAST) == [], (width, scheme)

    for width in (320, 375, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        fine(width)
        if width <= 760:
            page.click("#filters-open")
            fine(width)
            page.click("#filters-open")
        page.click("#images li")
        page.wait_for_selector("#one[open]")
        fine(width)
        page.keyboard.press("Escape")
        page.wait_for_selector("#one", state="hidden")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_axe_core_finds_nothing_serious(trained, site, visit, serious, width, scheme):
    _, page = opened(site, visit, trained, width=width, color_scheme=scheme)
    tiles(page)
    assert serious(page) == []
    if width < 760:
        page.click("#filters-open")
        assert serious(page) == []
        page.click("#filters-open")
    page.click("#images li")
    page.wait_for_selector("#one[open]")
    assert serious(page) == []


def test_a_correction_by_keyboard_and_back(trained, site, visit):
    server, page = opened(site, visit, trained)
    page.select_option("#source", "predicted")
    total(page, "20 of 60 images")
    first = tiles(page)[0]
    page.focus("#images li")
    page.keyboard.press("Enter")
    page.wait_for_selector("#one[open]")
    assert page.text_content("#one-name") == first.split(" · ")[0]
    page.keyboard.press("/")
    page.keyboard.type("zebra")
    page.keyboard.press("Enter")
    saved(page)
    total(page, "19 of 60 images")
    assert server.labels()[first.split(" · ")[0]] == "zebra"
    page.keyboard.press("Escape")
    page.keyboard.press("Control+z")
    total(page, "20 of 60 images")
    assert len(server.labels()) == 40


def test_filters_stay_when_the_page_is_loaded_anew(trained, site, visit):
    _, page = opened(site, visit, trained)
    page.click("#class-list li:nth-child(2) button")
    page.wait_for_function("() => location.hash.includes('label=')")
    with page.expect_response("**name=p01*") as answer:
        page.fill("#name", "p01")
    left = answer.value.json()["total"]
    assert 0 < left < 10
    total(page, f"{left} of 60 images")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    total(page, f"{left} of 60 images")


def test_similar_images(trained, site, visit):
    _, page = opened(site, visit, trained)
    tiles(page)
    page.click("#images li:nth-child(3)")
    page.wait_for_selector("#one[open]")
    name = page.text_content("#one-name")
    page.click("#one-like")
    page.wait_for_function(
        "name => document.querySelector('#images li')?.title.startsWith(name)", arg=name
    )
    assert name in page.text_content("#like-text")
    page.click("#like-end")
    page.wait_for_selector("#like", state="hidden")


def test_quality_is_looked_into_on_demand(trained, site, visit):
    _, page = opened(site, visit, trained)
    page.click("#study-quality")
    page.wait_for_function(
        "() => [...document.querySelector('#flag').options].some((one) => one.value === 'blurred')",
        timeout=60_000,
    )


def test_what_is_missing_is_said(path, site, visit):
    server = site(["cat"])
    page = visit(f"{server.base}look?token={server.door.token}")
    assert "usl train" in page.text_content("#banner")
    assert len(tiles(page)) > 10
