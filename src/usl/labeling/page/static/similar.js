// Label a picture together with those like it: they are shown first, and undone as one.

import { ask, idOf } from "./exchange.js";
import { byId, cap, count, make, say } from "./dom.js";

export class SimilarDialog {
  constructor(page) {
    this.page = page;
    this.dialog = byId("similar");
    this.list = byId("similar-list");
    this.slider = byId("similar-many");
    this.others = []; // [{ image, id, own }], nearest first, without an answer
    this.chosen = new Set();
    this.slider.addEventListener("input", () => this.take(Number(this.slider.value)));
    this.dialog.addEventListener("close", () => page.pictures.drop(this.dialog));
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    byId("similar-close").addEventListener("click", () => this.dialog.close());
  }

  async open(ref) {
    if (ref === null || ref === undefined || !this.page.state.similar || this.dialog.open) return;
    this.ref = ref;
    byId("similar-title").textContent = `Like ${idOf(ref)}`;
    byId("similar-note").textContent = "Looking for images like it…";
    this.others = [];
    this.draw();
    this.dialog.showModal();
    let found;
    try {
      found = await ask("/api/similar", { image: ref });
    } catch (error) {
      byId("similar-note").textContent = error.fault ?? "The server cannot be reached.";
      return;
    }
    if (this.ref !== ref || !this.dialog.open) return;
    this.others = found.filter((other) => !this.page.roundView.answered(other.image));
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
    this.chosen = new Set(this.others.slice(0, many).map(({ image }) => image));
    if (fresh) this.draw();
    else this.update();
  }

  draw() {
    const { pictures } = this.page;
    pictures.drop(this.list);
    this.list.replaceChildren(
      ...this.others.map(({ image: ref, id, own }) => {
        const press = () => {
          if (!this.chosen.delete(ref)) this.chosen.add(ref);
          this.update();
        };
        const note = own ? make("span", { class: "own", title: "one of those it stands for" }, "•") : null;
        const button = make("button", { type: "button", title: id, "aria-label": id, onclick: press }, pictures.thumb(ref, 160, ""), note);
        return make("li", {}, button);
      }),
    );
    const classes = this.page.panel.offered.map(({ name, hotkey }) =>
      make("button", { type: "button", "data-name": name, onclick: () => this.label(name) }, hotkey ? cap(hotkey.toUpperCase()) : null, name),
    );
    byId("similar-classes").replaceChildren(...classes);
    this.update();
  }

  update() {
    this.others.forEach(({ image: ref }, place) => {
      this.list.children[place].firstChild.setAttribute("aria-pressed", String(this.chosen.has(ref)));
    });
    const many = this.chosen.size;
    byId("similar-count").textContent = many ? `This picture and ${many} more` : "This picture alone";
    byId("similar-ask").textContent = `Label ${many + 1 === 1 ? "it" : `all ${many + 1}`} as`;
  }

  label(name) {
    const refs = [this.ref, ...this.others.map(({ image }) => image).filter((ref) => this.chosen.has(ref))];
    this.dialog.close();
    this.page.answer("label", name, refs);
    say(`${count(refs.length, "image")} labelled ${name}. Backspace takes all back.`);
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
