// The classes, the field that finds or adds one, and the other answers.

import { byId, cap, make, say } from "./dom.js";
import { matches, offered } from "./names.js";

const SHORT = 14; // letters of a name that a button has room for, however narrow

export class Panel {
  /** @param page the page; `page.answer(kind, label)` and `page.addClass(name)` do the work */
  constructor(page) {
    this.page = page;
    this.classes = [];
    this.offered = []; // the classes, those that mean one together
    this.list = byId("classes");
    this.field = byId("find");
    this.hint = byId("find-hint");
    this.chosen = 0; // of the entries shown while something is typed
    this.entries = [];
    this.sought = ""; // the text that they fit
    this.field.addEventListener("input", () => this.filter());
    this.field.addEventListener("keydown", (event) => this.fieldKey(event));
    this.field.addEventListener("blur", () => setTimeout(() => this.filter(), 150));
  }

  /** Whether letters that are typed anywhere go to the field. */
  get takesLetters() {
    return this.offered.length === 0 || this.offered.length > 9;
  }

  /** Whether a letter of the page's own needs Shift: without, it is typed or gives a class. */
  needsShift(letter) {
    return this.takesLetters || this.classOf(letter) !== null;
  }

  set(classes) {
    this.classes = classes;
    this.offered = offered(classes);
    const many = this.offered.length > 9;
    this.list.classList.toggle("many", many);
    this.list.style.setProperty("--letters", Math.max(0, ...this.offered.map(({ name }) => [...name].length)));
    const none = "Name the first class, such as cat";
    const text = classes.length ? (many ? "Type to find or add a class" : "Find or add a class") : none;
    byId("find-label").textContent = text;
    this.field.placeholder = classes.length && matchMedia("(max-width: 760px)").matches ? "Find or add…" : text;
    this.keys();
    this.filter();
  }

  /** Let every badge say the key that works. */
  keys() {
    for (const badge of document.querySelectorAll("[data-letter]")) {
      const letter = badge.dataset.letter;
      const shift = this.needsShift(letter);
      const text = `${shift ? "Shift+" : ""}${letter.toUpperCase()}`;
      if (badge.localName === "kbd") badge.textContent = text;
      else badge.title = `${badge.getAttribute("aria-label")} (${text})`;
      badge.closest("button")?.setAttribute("aria-keyshortcuts", shift ? text : letter);
    }
    byId("letters-note").hidden = !this.takesLetters;
  }

  filter() {
    const text = this.field.value.trim();
    byId("panel").dataset.typing = text ? "yes" : "no";
    const kept = text === this.sought ? this.entries[this.chosen]?.name : undefined; // whatever becomes of the list
    this.sought = text;
    this.entries = matches(this.offered, text);
    this.chosen = Math.max(0, this.entries.findIndex(({ name }) => name === kept));
    this.build();
    if (text) say(`${this.entries.filter(({ add }) => !add).length} classes match. ${this.hint.textContent}`);
  }

  /** The list anew; with every answer alone what it says is brought up to date. */
  build() {
    const focused = document.activeElement?.closest?.("#classes button")?.dataset.name;
    const filtering = Boolean(this.field.value.trim());
    this.list.replaceChildren(
      ...this.entries.map((one, place) => {
        const chosen = filtering && place === this.chosen;
        const badge = chosen ? "Enter" : one.add ? "+" : one.hotkey.toUpperCase();
        const button = make(
          "button",
          {
            type: "button",
            "data-name": one.name,
            title: [...one.name].length > SHORT ? one.name : null,
            class: [one.add ? "add" : "", chosen ? "chosen" : ""].join(" ").trim() || null,
            "aria-keyshortcuts": one.hotkey || null,
            onclick: (event) => this.press(one, event),
          },
          badge ? cap(badge) : make("span", { class: "nokey" }),
          make("span", { class: "class-name" }, one.add ? `Add “${one.name}”` : one.name),
          make("span", { class: "number", title: "labelled so far" }),
        );
        return make("li", {}, button);
      }),
    );
    this.tellHint(filtering);
    this.draw();
    if (focused) this.list.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  /** Say what Enter does with what is typed. */
  tellHint(filtering) {
    const one = this.entries[this.chosen];
    const text = this.field.value.trim();
    const fresh = this.entries.some(({ add }) => add);
    this.hint.hidden = !filtering || !one;
    if (this.hint.hidden) this.hint.textContent = "";
    else if (one.add) this.hint.textContent = `Enter adds the new class “${one.name}”.`;
    else this.hint.textContent = `Enter takes “${one.name}”.${fresh ? ` Shift+Enter adds “${text}”.` : ""}`;
  }

  draw() {
    const counts = this.page.roundView?.counts() ?? new Map();
    const now = this.page.shown();
    this.entries.forEach((one, place) => {
      const button = this.list.children[place].firstChild;
      if (one.add) return;
      change(button, "aria-pressed", String(now?.kind === "label" && one.names.includes(now.label)));
      const many = one.names.reduce((sum, name) => sum + (counts.get(name) ?? 0), 0);
      const number = button.lastChild;
      if (number.textContent !== String(many || "")) number.textContent = many || "";
    });
    for (const button of document.querySelectorAll("#others [data-kind]")) {
      change(button, "aria-pressed", String(now?.kind === button.dataset.kind));
    }
  }

  press(one, event = null) {
    if (event?.detail) document.activeElement?.blur(); // the mouse leaves no focus behind, keys do
    const clear = Boolean(this.field.value);
    this.field.value = "";
    if (document.activeElement === this.field) this.field.blur();
    if (one.add) this.page.addClass(one.name);
    else if (clear) this.filter();
    this.page.answer("label", one.name);
  }

  fieldKey(event) {
    const last = this.entries.length - 1;
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.chosen = Math.max(0, Math.min(last, this.chosen + (event.key === "ArrowDown" ? 1 : -1)));
      this.build();
      this.list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
      say(this.hint.textContent);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const fresh = event.shiftKey && this.entries.find(({ add }) => add);
      if (this.field.value.trim() && this.entries.length) this.press(fresh || this.entries[this.chosen]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.field.value = "";
      this.filter();
      this.field.blur();
    } else {
      return;
    }
    event.stopPropagation();
  }

  /** Begin to look for a class by a letter that was typed anywhere. */
  type(letter) {
    this.focusField();
    this.field.value = letter;
    this.filter();
  }

  focusField() {
    this.field.focus();
    this.field.select();
  }

  /** The class of a key, or null. */
  classOf(key) {
    const name = this.classes.find(({ hotkey }) => hotkey && hotkey === key)?.name;
    return name === undefined ? null : this.offered.find(({ names }) => names.includes(name)).name;
  }

  /** Show who said what, or what the model thinks, where the round shows it. */
  describe(item) {
    const box = byId("said");
    const lines = [];
    if (item.predicted && this.page.mode === "label") {
      const { label, given, support, confidence } = item.predicted;
      const accept = () => this.page.answer("label", label);
      const words =
        given === undefined
          ? ["The model says ", make("strong", {}, label), ` (${Math.round(confidence * 100)}% sure).`]
          : [
              "Labelled as ",
              make("strong", {}, given),
              "; the other labels speak for ",
              make("strong", {}, label),
              ` (${given}: ${Math.round(support * 100)}%).`,
            ];
      const right = given === undefined ? "It is right" : `It is ${label}`;
      lines.push(
        make("p", {}, ...words),
        make("button", { type: "button", onclick: accept, "aria-keyshortcuts": "Enter" }, cap("Enter"), right),
      );
    }
    if (item.said) {
      const rows = item.said.map(({ by, kind, label }) =>
        make("div", {}, make("dt", {}, by || "(no name)"), make("dd", {}, kind === "label" ? label : WORDS[kind])),
      );
      lines.push(make("dl", {}, ...rows));
    }
    box.replaceChildren(...lines);
    box.hidden = !lines.length;
    this.predicted = item.predicted?.label ?? null;
  }
}

export const WORDS = { label: "labelled", unsure: "cannot tell", bad: "bad image", skip: "skipped" };

const change = (element, name, value) => element.getAttribute(name) === value || element.setAttribute(name, value);
