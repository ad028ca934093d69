// The classes, the field that finds or adds one, and the other answers.

import { byId, cap, make, say, typing } from "./dom.js";

export class Panel {
  /** @param page the page; `page.answer(kind, label)` and `page.addClass(name)` do the work */
  constructor(page) {
    this.page = page;
    this.classes = [];
    this.list = byId("classes");
    this.field = byId("find");
    this.chosen = 0; // of the entries shown while something is typed
    this.field.addEventListener("input", () => this.filter());
    this.field.addEventListener("keydown", (event) => this.fieldKey(event));
    this.field.addEventListener("blur", () => setTimeout(() => this.filter(), 150));
  }

  /** Whether letters that are typed anywhere go to the field. */
  get takesLetters() {
    return this.classes.length === 0 || this.classes.length > 9;
  }

  set(classes) {
    this.classes = classes;
    const many = classes.length > 9;
    this.list.classList.toggle("many", many);
    const none = "Name the first class, such as cat";
    const text = classes.length ? (many ? "Type to find or add a class" : "Find or add a class") : none;
    byId("find-label").textContent = text;
    this.field.placeholder = text;
    this.filter();
  }

  filter() {
    const text = this.field.value.trim();
    const wanted = text.toLowerCase();
    const found = this.classes.filter(({ name }) => name.toLowerCase().includes(wanted));
    found.sort((a, b) => starts(b, wanted) - starts(a, wanted));
    const exact = this.classes.some(({ name }) => name === text);
    this.entries = [
      ...found.map((one) => ({ name: one.name, hotkey: one.hotkey, add: false })),
      ...(text && !exact ? [{ name: text, hotkey: "", add: true }] : []),
    ];
    this.chosen = 0;
    this.draw(Boolean(text));
    if (text) say(`${found.length} classes match. Enter takes ${this.entries[0].add ? `the new class ${text}` : this.entries[0].name}.`);
  }

  draw(filtering = Boolean(this.field.value.trim())) {
    const counts = this.page.roundView?.counts() ?? new Map();
    const focused = document.activeElement?.closest?.("#classes button")?.dataset.name;
    const now = this.page.shown();
    this.list.replaceChildren(
      ...this.entries.map((one, place) => {
        const on = now?.kind === "label" && now.label === one.name;
        const button = make(
          "button",
          {
            type: "button",
            "data-name": one.name,
            class: [one.add ? "add" : "", filtering && place === this.chosen ? "chosen" : ""].join(" ").trim() || null,
            "aria-pressed": one.add ? null : String(on),
            "aria-keyshortcuts": one.hotkey || null,
            onclick: (event) => this.press(one, event),
          },
          one.add ? cap("+") : one.hotkey ? cap(one.hotkey.toUpperCase()) : make("span", { class: "nokey" }),
          make("span", { class: "class-name" }, one.add ? `Add “${one.name}”` : one.name),
          one.add ? "" : make("span", { class: "number", title: "labelled so far" }, String(counts.get(one.name) || "")),
        );
        return make("li", {}, button);
      }),
    );
    if (focused) this.list.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    for (const button of document.querySelectorAll("#others [data-kind]")) {
      button.setAttribute("aria-pressed", String(now?.kind === button.dataset.kind));
    }
  }

  press(one, event = null) {
    if (event?.detail) document.activeElement?.blur(); // the mouse leaves no focus behind, keys do
    const clear = Boolean(this.field.value);
    this.field.value = "";
    if (document.activeElement === this.field) this.field.blur();
    if (one.add) this.page.addClass(one.name);
    if (clear) this.filter();
    this.page.answer("label", one.name);
  }

  fieldKey(event) {
    const last = this.entries.length - 1;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      this.chosen = Math.max(0, Math.min(last, this.chosen + (event.key === "ArrowDown" ? 1 : -1)));
      this.draw(true);
      this.list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" });
      const one = this.entries[this.chosen];
      if (one) say(one.add ? `Add ${one.name}` : one.name);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.field.value.trim() && this.entries.length) this.press(this.entries[this.chosen]);
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
    return this.classes.find(({ hotkey }) => hotkey && hotkey === key)?.name ?? null;
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

  get busy() {
    return typing(document.activeElement);
  }
}

export const WORDS = { label: "labelled", unsure: "cannot tell", bad: "bad image", skip: "skipped" };

const starts = ({ name }, text) => Number(name.toLowerCase().startsWith(text));
