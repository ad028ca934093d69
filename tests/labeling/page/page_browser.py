"""What a person does on the page, for tests in a real browser."""

from __future__ import annotations

READY = """() => {
  const stage = document.querySelector("#stage");
  const shown = stage.querySelector("img") ?? stage.querySelector(".fault:not(:has(button))");
  return shown !== null || !document.querySelector("#end").hidden;
}"""


def press(page, *keys):
    """Press keys, each once its picture is there."""
    for key in keys:
        page.wait_for_function(READY)
        page.keyboard.press(key)


def saved(page):
    page.wait_for_selector('#saving[data-state="saved"]')


def shown(page):
    """Id of the picture on the stage."""
    page.wait_for_function(READY)
    page.wait_for_function("() => document.querySelector('#name').textContent !== ''")
    return page.text_content("#name")


def counted(page, text):
    page.wait_for_function(
        "text => document.querySelector('#count').textContent === text", arg=text
    )
