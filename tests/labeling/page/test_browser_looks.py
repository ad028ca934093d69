"""The page in a real browser: on small screens, in both themes, heard instead of seen."""

from __future__ import annotations

import pytest
from page_browser import READY, counted, press, saved

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgb(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility()) continue;
    if (element.closest(":disabled, .hidden, noscript")) continue;
    const front = light(rgb(getComputedStyle(element).color));
    const [more, less] = [front, light(ground(element))].sort((a, b) => b - a);
    const ratio = (more + 0.05) / (less + 0.05);
    if (ratio < 4.5) weak.push(`${element.outerHTML.slice(0, 80)} ${ratio.toFixed(2)}`);
  }
  return weak;
}"""

NAMELESS = """() => {
  const kinds = `button, a[href], input, select, section, aside, nav, dialog,
    [role=option], [role=listbox], [role=progressbar], [role=img], [role=group]`;
  const text = (id) => document.getElementById(id)?.textContent ?? "";
  return [...document.querySelectorAll(kinds)]
    .filter((one) => one.checkVisibility())
    .filter((one) => !one.getAttribute("aria-label"))
    .filter((one) => !text(one.getAttribute("aria-labelledby")))
    .filter((one) => !one.labels?.[0]?.textContent && !one.textContent.trim())
    .map((one) => one.outerHTML.slice(0, 120));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_can_be_read_and_heard(site, visit, scheme):
    server = site(["cat", "dog"])
    page = visit(server.address, color_scheme=scheme)

    def fine():
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate(NAMELESS) == []
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
        assert len(ids) == len(set(ids))

    press(page, "1")
    fine()
    heard = "() => document.querySelector('#voice').textContent"
    assert "cat. 1 of 40." in page.evaluate(heard)
    press(page, "ArrowLeft")
    page.wait_for_function(
        "() => document.querySelector('#classes button').getAttribute('aria-pressed') === 'true'"
    )
    fine()
    press(page, "g")
    page.wait_for_selector("#tiles li[aria-label]")
    press(page, "Space")
    fine()
    page.select_option("#filter", "all")
    fine()
    press(page, "?")
    fine()
    page.keyboard.press("Escape")
    for element in ("#find", "#unsure", "#theme"):
        page.focus("body")
        page.keyboard.press("Tab")
        page.focus(element)
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    fine()
    chosen = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == chosen
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.querySelectorAll('main').length") == 1
    assert page.evaluate("document.querySelectorAll('h1').length") == 1


def test_a_narrow_screen(site, visit):
    server = site(["cat", "dog", "a class with rather a long name", "owl", "pig"])
    page = visit(server.address, width=390, height=844, has_touch=True, is_mobile=True)
    page.wait_for_function(READY)

    def fits():
        return page.evaluate(
            """() => document.documentElement.scrollWidth <= 390
              && document.documentElement.scrollHeight <= 844
              && [...document.querySelectorAll("#panel button, header button")]
                .filter((one) => one.offsetParent !== null)
                .every((one) => {
                  const box = one.getBoundingClientRect();
                  return box.left >= 0 && box.right <= 390 && box.height >= 36 && box.width >= 36;
                })"""
        )

    assert fits()
    assert page.evaluate("document.querySelector('#stage').clientHeight") > 200
    page.tap('#classes [data-name="dog"]')
    counted(page, "1 of 40")
    page.tap("#undo")
    counted(page, "0 of 40")
    page.tap("#view-toggle")
    page.wait_for_selector("#tiles li")
    assert fits()
    page.locator("#tiles li").nth(1).tap()
    page.locator("#tiles li").nth(2).tap()
    page.tap('#classes [data-name="owl"]')
    counted(page, "2 of 40")
    saved(page)
    assert list(server.labels().values()) == ["owl", "owl"]


def test_many_classes_take_the_width_of_their_list(site, visit):
    server = site([f"class {'x' * number}" for number in range(12)])
    page = visit(server.address)
    widths = page.evaluate(
        "[...document.querySelectorAll('#classes button')].map((one) => one.offsetWidth)"
    )
    assert len(widths) == 12
    assert len(set(widths)) == 1
