// What a key does. The classes' own keys come first, then typing, then the fixed keys.

import { byId, pressable } from "./dom.js";

/** The action of a key event on the page, or null. */
export function actionOf(page, event) {
  const { key, target } = event;
  const { panel, view } = page;
  const { zoom } = page.single;
  const name = classOf(panel, event);
  if (name !== null) return () => page.answer("label", name);

  const letter = /^\p{L}$/u.test(key);
  if (letter && !event.shiftKey && panel.takesLetters && view !== "end") return () => panel.type(key);
  if (view === "single" && zoom.active && key.startsWith("Arrow")) {
    const [dx, dy] = { ArrowLeft: [90, 0], ArrowRight: [-90, 0], ArrowUp: [0, 90], ArrowDown: [0, -90] }[key];
    return () => zoom.pan(dx, dy);
  }
  if ((key === " " || key === "Enter") && pressable(target)) return null;

  const accept = view === "single" && panel.predicted;
  const fixed = {
    0: () => page.answer("unsure"),
    "-": () => page.answer("bad"),
    " ": () => view === "single" && page.answer("skip"),
    Enter: accept ? () => page.answer("label", panel.predicted) : null,
    ArrowLeft: () => page.back(),
    ArrowRight: () => page.forward(),
    Backspace: () => page.undo(),
    "/": () => panel.focusField(),
    "+": () => panel.focusField(),
    "?": () => page.keys.open(),
    Escape: () => zoom.set(1, 0, 0),
    g: () => byId("view-toggle").hidden || byId("view-toggle").click(),
    s: () => page.openSimilar(view === "grid" ? page.grid.one : page.single.ref),
    z: () => view === "single" && zoom.toggle(),
  };
  return fixed[letter ? key.toLowerCase() : key] ?? null;
}

/** The class of a key, by what it types; else of a digit's place, where digits need Shift. */
function classOf(panel, { key, code, shiftKey }) {
  const typed = panel.classOf(shiftKey ? key : key.toLowerCase());
  const digit = /^Digit([1-9])$/.exec(code)?.[1];
  if (typed !== null || !digit || shiftKey || key === "-") return typed;
  return panel.classOf(digit);
}
