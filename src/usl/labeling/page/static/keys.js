// The dialog with all keys and classes.

import { byId } from "./dom.js";
import { ClassList } from "./class_list.js";

export class KeysDialog {
  constructor(page) {
    this.page = page;
    this.dialog = byId("keys");
    this.classes = new ClassList(page, this.dialog);
    this.dialog.addEventListener("keydown", (event) => this.classes.key(event));
    byId("keys-close").addEventListener("click", () => this.dialog.close());
    byId("shortcuts").addEventListener("change", (event) => page.useShortcuts(event.target.checked));
  }

  open() {
    if (this.dialog.open) return;
    byId("shortcuts").checked = this.page.shortcuts;
    this.classes.begin();
    this.dialog.showModal();
  }

  /** Ask whether classes that mean one shall be merged, into the first of them. */
  merge({ name, names }) {
    this.open();
    this.classes.askToMerge(names.find((other) => other !== name), name);
  }

  /** After news of the classes; what a person is in the middle of stays. */
  update() {
    const { waiting, renaming, asking } = this.classes;
    if (this.dialog.open && waiting === null && renaming === null && asking === null) this.classes.draw();
  }
}
