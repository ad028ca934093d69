// The classes in the dialog of keys: their keys changed, renamed, merged, removed; each undone as one.

import { byId, count, make, say } from "./dom.js";
import { folded } from "./names.js";

const NAMES = 200; // characters of a name

export class ClassList {
  /** @param page the page; `page.changeClasses(operation, classes, text)` does the work */
  constructor(page, dialog) {
    Object.assign(this, { page, dialog });
    this.waiting = null; // the class that waits for its key
    this.renaming = null; // the class whose name is being changed
    this.asking = null; // { name, text, does, verb }: what is asked before it is done
    byId("class-undo").addEventListener("click", () => {
      page.undo();
      this.tell("Taken back.", false);
    });
  }

  begin() {
    this.waiting = this.renaming = this.asking = null;
    this.tell("", false);
    this.draw();
  }

  /** Say what was done, with a button that undoes it. */
  tell(text, undo = true) {
    byId("class-note").hidden = !text;
    byId("class-note-text").textContent = text;
    byId("class-undo").hidden = !undo;
    if (text) say(text);
  }

  draw() {
    const { classes } = this.page.panel;
    const counts = this.page.roundView.counts();
    byId("class-keys").replaceChildren(...classes.map((one) => this.row(one, counts.get(one.name) ?? 0)));
    byId("class-keys-none").hidden = classes.length > 0;
    const wanted = this.asking ? ".row button" : this.renaming !== null ? "input" : this.waiting !== null ? ".keycap" : null;
    if (wanted) this.find(this.asking?.name ?? this.renaming ?? this.waiting)?.querySelector(wanted)?.focus();
  }

  find(name) {
    return byId("class-keys").querySelector(`li[data-class="${CSS.escape(name)}"]`);
  }

  row({ name, hotkey }, many) {
    const text = this.waiting === name ? "press a key" : hotkey ? hotkey.toUpperCase() : "none";
    const button = (label, does, what, kind = "quiet") => make("button", { type: "button", class: kind, onclick: does, "aria-label": what }, label);
    const change = button(text, () => this.wait(name), `Key of ${name}: ${text}`, "keycap");
    change.dataset.name = name;
    if (this.asking?.name === name) {
      const { text: question, does, verb } = this.asking;
      const keep = button("Cancel", () => this.ask(null));
      return make("li", { "data-class": name, class: "asks" }, make("p", {}, question), make("div", { class: "row" }, button(verb, does, null, "primary"), keep));
    }
    if (this.renaming === name) {
      const field = make("input", { "aria-label": `New name of ${name}`, maxlength: NAMES, autocomplete: "off", spellcheck: "false" });
      field.value = name;
      const done = () => this.rename(name, field.value.trim());
      field.addEventListener("keydown", (event) => {
        if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
        event.preventDefault(); // Escape would close the dialog
        if (event.key === "Enter") done();
        else this.edit(null, name);
      });
      return make("li", { "data-class": name }, change, field, button("Save", done, `Save the new name of ${name}`));
    }
    return make(
      "li",
      { "data-class": name },
      change,
      make("span", { class: "class-name", title: name }, name),
      make("span", { class: "number" }, many ? String(many) : ""),
      button("Rename", () => this.edit(name), `Rename ${name}`),
      button("Remove", () => this.remove(name, many), `Remove ${name}`),
    );
  }

  wait(name) {
    this.waiting = this.waiting === name ? null : name;
    this.renaming = this.asking = null;
    this.draw();
    if (this.waiting !== null) say(`Press the new key for ${name}: a digit from 1 to 9, or a letter.`);
  }

  edit(name, back = null) {
    this.renaming = name;
    this.waiting = this.asking = null;
    this.draw();
    if (name !== null) this.find(name)?.querySelector("input")?.select();
    else this.find(back)?.querySelector(`[aria-label^="Rename"]`)?.focus();
  }

  ask(question) {
    this.asking = question;
    this.waiting = this.renaming = null;
    this.draw();
    if (question) say(question.text);
    else byId("keys-close").focus();
  }

  /** A key that was pressed while one is waited for; whether it was. */
  key(event) {
    if (this.waiting === null || event.ctrlKey || event.metaKey || event.altKey) return;
    if (["Tab", "Enter", " ", "Shift"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const name = this.waiting;
    const key = event.key === "Delete" || event.key === "Backspace" ? "" : event.key.toLowerCase();
    if (event.key === "Escape") this.waiting = null;
    else if (key === "" || /^[1-9a-z]$/.test(key)) {
      const { classes } = this.page.panel;
      const old = classes.find((one) => one.name === name).hotkey;
      // Whoever had the key gets the one that became free.
      const changed = classes.map((one) => {
        if (one.name === name) return { ...one, hotkey: key };
        return key && one.hotkey === key ? { ...one, hotkey: old } : one;
      });
      this.waiting = null;
      this.page.changeClasses({ type: "hotkey", name, hotkey: key }, changed);
      say(`${name} has the key ${key || "none"}.`);
    } else say("Digits from 1 to 9 and letters can be used.");
    this.draw();
    this.find(name)?.querySelector(".keycap")?.focus();
  }

  rename(name, to) {
    const { panel } = this.page;
    if (!to || to === name) {
      this.edit(null, name);
      return;
    }
    const others = panel.classes.filter((one) => one.name !== name);
    const other = others.find((one) => one.name === to) ?? others.find((one) => folded(one.name) === folded(to));
    if (other) {
      this.askToMerge(name, other.name);
      return;
    }
    const changed = panel.classes.map((one) => (one.name === name ? { ...one, name: to } : one));
    this.done({ type: "rename", name, to }, changed, `“${name}” is called “${to}” now.`, to);
  }

  askToMerge(name, other) {
    const text = `“${other}” is there already. Shall “${name}” become part of it, with all its answers?`;
    this.ask({ name, text, verb: "Merge", does: () => this.merge(name, other) });
  }

  merge(name, other) {
    const left = this.page.panel.classes.filter((one) => one.name !== name);
    this.done({ type: "rename", name, to: other, merge: true }, left, `“${name}” is part of “${other}” now.`, other);
  }

  remove(name, many) {
    const does = () => {
      const left = this.page.panel.classes.filter((one) => one.name !== name);
      this.done({ type: "remove", name }, left, `“${name}” is removed.`, null);
    };
    if (!many) {
      does();
      return;
    }
    const text = `${count(many, "image")} ${many === 1 ? "has" : "have"} the label “${name}”. ${many === 1 ? "It" : "They"} will be asked again, as will those of other people.`;
    this.ask({ name, text, verb: "Remove", does });
  }

  done(operation, classes, text, focus) {
    this.waiting = this.renaming = this.asking = null;
    if (!this.page.changeClasses(operation, classes)) return;
    this.tell(text);
    this.draw();
    (focus === null ? byId("class-undo") : this.find(focus)?.querySelector(".keycap"))?.focus();
  }
}
