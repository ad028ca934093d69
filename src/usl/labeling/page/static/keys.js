// The dialog with all keys, where the classes' keys can be changed and unused classes removed.

import { byId, make, remember, say } from "./dom.js";

export class KeysDialog {
  constructor(page) {
    this.page = page;
    this.dialog = byId("keys");
    this.waiting = null; // the class that waits for its key
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("close", () => (this.waiting = null));
    byId("keys-close").addEventListener("click", () => this.dialog.close());
    byId("shortcuts").addEventListener("change", (event) => {
      page.shortcuts = event.target.checked;
      remember("shortcuts", page.shortcuts ? "on" : "off");
    });
  }

  open() {
    if (this.dialog.open) return;
    byId("shortcuts").checked = this.page.shortcuts;
    this.draw();
    this.dialog.showModal();
  }

  draw() {
    const { classes } = this.page.panel;
    const counts = this.page.roundView.counts();
    const rows = classes.map(({ name, hotkey }) => {
      const text = this.waiting === name ? "press a key" : hotkey ? hotkey.toUpperCase() : "none";
      const wait = () => {
        this.waiting = this.waiting === name ? null : name;
        this.draw();
        if (this.waiting) say(`Press the new key for ${name}: a digit from 1 to 9, or a letter.`);
      };
      const change = make("button", { type: "button", class: "keycap", onclick: wait, "data-name": name, "aria-label": `Key of ${name}: ${text}` }, text);
      const remove = make("button", { type: "button", class: "quiet", onclick: () => this.remove(name), "aria-label": `Remove ${name}` }, "Remove");
      return make("li", {}, change, make("span", {}, name), counts.get(name) ? make("span", { class: "number" }, String(counts.get(name))) : remove);
    });
    byId("class-keys").replaceChildren(...rows);
    byId("class-keys-none").hidden = rows.length > 0;
    if (this.waiting) byId("class-keys").querySelector(`[data-name="${CSS.escape(this.waiting)}"]`)?.focus();
  }

  key(event) {
    if (!this.waiting || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Tab" || event.key === "Enter" || event.key === " ") return;
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
      this.page.setClasses(changed);
      say(`${name} has the key ${key || "none"}.`);
    } else say("Digits from 1 to 9 and letters can be used.");
    this.draw();
    byId("class-keys").querySelector(`[data-name="${CSS.escape(name)}"]`)?.focus();
  }

  remove(name) {
    this.page.setClasses(this.page.panel.classes.filter((one) => one.name !== name));
    this.draw();
    byId("keys-close").focus();
  }
}
