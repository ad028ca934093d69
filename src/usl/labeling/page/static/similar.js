// Label a picture together with those like it: they are shown first, and undone as one.

import { ask } from "./outbox.js";
import { byId, cap, count, make, say } from "./dom.js";

export class SimilarDialog {
  constructor(page) {
    this.page = page;
    this.dialog = byId("similar");
    this.list = byId("similar-list");
    this.slider = byId("similar-many");
    this.others = []; // [{ row, id, own }], nearest first, without an answer
    this.chosen = new Set();
    this.slider.addEventListener("input", () => this.take(Number(this.slider.value)));
    this.dialog.addEventListener("close", () => page.pictures.drop(this.dialog));
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    byId("similar-close").addEventListener("click", () => this.dialog.close());
  }

  async open(row) {
    if (row === null || row === undefined || !this.page.state.similar || this.dialog.open) return;
    this.row = row;
    const item = await this.page.items.get(row);
    byId("similar-title").textContent = `Like ${item?.id ?? "this picture"}`;
    byId("similar-note").textContent = "Looking for images like it…";
    this.others = [];
    this.draw();
    this.dialog.showModal();
    let found;
    try {
      found = await ask(`/api/similar/${row}`);
    } catch {
      byId("similar-note").textContent = "The server cannot be reached.";
      return;
    }
    if (this.row !== row || !this.dialog.open) return;
    this.others = found.filter((other) => !this.page.roundView.answered(other.row));
    const own = this.others.filter((other) => other.own).length;
    byId("similar-note").textContent = this.others.length
      ? `${count(this.others.length, "image")} without a label, the nearest first; ${own} of them are those it stands for. Take out what differs.`
      : "No image without a label is like it.";
    this.slider.max = this.others.length;
    this.slider.value = Math.min(12, this.others.length);
    this.take(Number(this.slider.value), true);
    this.slider.focus();
  }

  /** Choose the nearest so many. */
  take(many, fresh = false) {
    this.chosen = new Set(this.others.slice(0, many).map(({ row }) => row));
    if (fresh) this.draw();
    else this.update();
  }

  draw() {
    const { pictures } = this.page;
    pictures.drop(this.list);
    this.list.replaceChildren(
      ...this.others.map(({ row, id, own }) => {
        const press = () => {
          if (!this.chosen.delete(row)) this.chosen.add(row);
          this.update();
        };
        const note = own ? make("span", { class: "own", title: "one of those it stands for" }, "•") : null;
        const button = make("button", { type: "button", title: id, "aria-label": id, onclick: press }, pictures.thumb(row, 160, ""), note);
        return make("li", {}, button);
      }),
    );
    const classes = this.page.panel.classes.map(({ name, hotkey }) =>
      make("button", { type: "button", "data-name": name, onclick: () => this.label(name) }, hotkey ? cap(hotkey.toUpperCase()) : null, name),
    );
    byId("similar-classes").replaceChildren(...classes);
    this.update();
  }

  update() {
    this.others.forEach(({ row }, place) => {
      this.list.children[place].firstChild.setAttribute("aria-pressed", String(this.chosen.has(row)));
    });
    const many = this.chosen.size;
    byId("similar-count").textContent = many ? `This picture and ${many} more` : "This picture alone";
    byId("similar-ask").textContent = `Label ${many + 1 === 1 ? "it" : `all ${many + 1}`} as`;
  }

  label(name) {
    const rows = [this.row, ...this.others.map(({ row }) => row).filter((row) => this.chosen.has(row))];
    this.dialog.close();
    this.page.answer("label", name, rows);
    say(`${count(rows.length, "image")} labelled ${name}. Backspace takes all back.`);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const name = this.page.panel.classOf(event.key.toLowerCase());
    if (!name || !this.page.shortcuts) return;
    event.preventDefault();
    event.stopPropagation(); // the page would take it for an answer to the next picture
    this.label(name);
  }
}
