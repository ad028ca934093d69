// One image of the gallery, large: what is known of it, and what its class really is.

import { byId, cap, make, typing } from "/static/dom.js";
import { idOf, pictureAddress } from "/static/exchange.js";
import { Pictures } from "/static/pictures.js";

export class One {
  constructor(page) {
    this.page = page;
    this.dialog = byId("one");
    this.place = 0;
    this.item = null;
    const does = {
      "one-close": () => this.dialog.close(),
      "one-back": () => this.move(-1),
      "one-next": () => this.move(1),
      "one-unsure": () => this.answer("unsure"),
      "one-bad": () => this.answer("bad"),
      "one-like": () => this.like(),
    };
    for (const [id, action] of Object.entries(does)) byId(id).addEventListener("click", action);
    this.find = byId("find");
    this.find.addEventListener("input", () => this.classes());
    this.dialog.addEventListener("close", () => this.page.sheet.focus(this.place));
    this.dialog.addEventListener("keydown", (event) => this.key(event));
  }

  async show(place) {
    const item = await this.page.sheet.get(place);
    if (item === null) return;
    Object.assign(this, { place, item });
    this.find.value = "";
    this.draw();
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.focus();
    this.picture();
  }

  picture() {
    const { image: ref } = this.item;
    const stage = byId("one-stage");
    const image = new Image();
    image.alt = "";
    image.decoding = "async";
    image.addEventListener("load", () => image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) < 100));
    image.addEventListener("error", () => stage.replaceChildren(make("p", { class: "fault" }, "This picture cannot be shown: its file is gone, damaged, or another one by now.")));
    image.src = pictureAddress(ref, Pictures.side(stage));
    stage.replaceChildren(image);
  }

  draw() {
    const { item, page } = this;
    const { constructor: words } = page;
    byId("one-name").textContent = idOf(item.image);
    const sure = item.confidence === null ? "" : ` (${(100 * item.confidence).toFixed(0)}%)`;
    const facts = {
      Class: item.source === "predicted" ? null : `${words.said(item)}, ${words.by(item)}`,
      Predicted: item.predicted === null ? null : `${item.predicted}${sure}`,
      Subset: item.subset,
      Known: item.flags.join(", ") || null,
    };
    const rows = Object.entries(facts).filter(([, value]) => value !== null);
    byId("one-facts").replaceChildren(...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
    byId("one-stage").setAttribute("aria-label", `Picture ${idOf(item.image)}, ${words.said(item)}`);
    byId("one-back").disabled = this.place === 0;
    byId("one-next").disabled = this.place >= page.sheet.total - 1;
    this.classes();
  }

  /** The classes that fit what is typed; Enter takes the first, or adds a new one. */
  classes() {
    const typed = this.find.value.trim();
    const folded = typed.toLowerCase();
    const names = this.page.classes.map(({ name }) => name);
    const rank = (name) => (name.toLowerCase() === folded ? 0 : name.toLowerCase().startsWith(folded) ? 1 : 2);
    this.fitting = names.filter((name) => name.toLowerCase().includes(folded)).sort((a, b) => (typed ? rank(a) - rank(b) : 0));
    if (typed && !names.some((name) => name.toLowerCase() === folded)) this.fitting.push(typed);
    const known = new Map(this.page.classes.map(({ name, hotkey }) => [name, hotkey]));
    const current = this.item.source === "labelled" ? this.item.label : null;
    byId("one-classes").replaceChildren(
      ...this.fitting.map((name) =>
        make("li", {}, make("button", { type: "button", "aria-pressed": String(name === current), onclick: () => this.answer("label", name) },
          known.get(name) && !typed ? cap(known.get(name).toUpperCase()) : null, known.has(name) ? name : `Add “${name}”`)),
      ),
    );
  }

  answer(kind, label = null) {
    this.page.correct(this.item, kind, label);
    if (label !== null && !this.page.classes.some(({ name }) => name === label)) this.page.classes.push({ name: label, hotkey: "" });
    this.find.value = "";
    this.draw();
    this.dialog.focus(); // keys are not letters of a class any more
  }

  move(step) {
    this.show(this.place + step);
  }

  like() {
    this.place = 0;
    this.dialog.close();
    this.page.filters.near(this.item.image);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === this.find) {
      if (event.key !== "Enter" || !this.fitting.length || !this.find.value.trim()) return;
      event.preventDefault();
      this.answer("label", this.fitting[0]);
      return;
    }
    const one = this.page.classes.find(({ hotkey }) => hotkey && hotkey === event.key.toLowerCase());
    if (event.key === "ArrowLeft") this.move(-1);
    else if (event.key === "ArrowRight") this.move(1);
    else if (event.key === "/") this.find.focus();
    else if (one && !typing(event.target)) this.answer("label", one.name);
    else return;
    event.preventDefault();
  }
}
