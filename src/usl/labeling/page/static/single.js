// One picture, large; what it is called, and the images that its label will speak for.

import { byId, count, make } from "./dom.js";
import { Pictures } from "./pictures.js";
import { Zoom } from "./zoom.js";

const AHEAD = 4; // pictures fetched behind the one on show
const PATIENCE = 120; // ms before the stage says that it is loading

export class Single {
  /** @param page the page: roundView, pictures, items, and what to do when the strip is opened */
  constructor(page) {
    this.page = page;
    this.stage = byId("stage");
    this.row = null;
    this.shownAt = 0; // when the picture was drawn; 0 while it is not
    this.offline = false; // the picture is missing because the server is
    this.zoom = new Zoom(this.stage, () => this.sharpen());
    byId("open-similar").addEventListener("click", () => page.openSimilar(this.row));
    byId("zoom").addEventListener("click", () => this.zoom.toggle());
  }

  show(row) {
    this.row = row;
    this.shownAt = 0;
    this.offline = false;
    const { pictures, roundView } = this.page;
    const side = Pictures.side(this.stage);
    const picture = pictures.get(row, side);
    if (picture.here) this.draw(row, picture.image);
    else {
      this.stage.replaceChildren();
      this.zoom.attach(null);
      const slow = setTimeout(() => this.row === row && this.stage.classList.add("slow"), PATIENCE);
      picture.ready.then(() => {
        clearTimeout(slow);
        if (this.row !== row || this.shownAt) return;
        if (picture.here) this.draw(row, picture.image);
        else this.fail(row, picture.fault);
      });
    }
    const coming = roundView.ahead(row, AHEAD);
    pictures.ahead(coming, side);
    this.describe(row, coming);
  }

  draw(row, image) {
    this.stage.classList.remove("slow");
    image.alt = "";
    image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) < 200);
    this.stage.replaceChildren(image);
    this.zoom.attach(image);
    this.shownAt = performance.now();
    this.stage.dataset.row = row;
  }

  fail(row, fault) {
    this.stage.classList.remove("slow");
    const offline = fault === "offline";
    this.offline = offline;
    const text = offline ? "The server cannot be reached. Is usl label still running?" : fault;
    const box = make("div", { class: "fault" }, make("strong", {}, "No picture"), make("p", {}, text));
    if (offline) box.append(make("button", { type: "button", onclick: () => this.show(row) }, "Try again"));
    this.stage.replaceChildren(box);
    this.zoom.attach(null);
    this.stage.dataset.row = row;
    if (!offline) this.shownAt = performance.now(); // there is nothing more to see: it can be answered
  }

  /** Fetch the picture larger, once it is zoomed into. */
  async sharpen() {
    const { row, zoom } = this;
    const side = Math.min(4096, Pictures.side(this.stage) * zoom.scale);
    const shown = zoom.image;
    if (!shown || shown.dataset.sharp || Math.max(shown.naturalWidth, shown.naturalHeight) < 600) return;
    shown.dataset.sharp = "asked";
    const better = new Image();
    better.src = `/image/${row}/${Math.round(side)}`;
    try {
      await better.decode();
    } catch {
      return;
    }
    if (this.row === row && zoom.image === shown && zoom.active) shown.src = better.src;
  }

  async describe(row, coming) {
    const name = byId("name");
    const known = this.page.items.known(row);
    name.textContent = known?.id ?? "";
    const item = known ?? (await this.page.items.get(row, coming));
    if (this.row !== row || !item) return;
    this.page.items.get(coming[0], coming);
    name.textContent = item.id;
    name.title = item.id;
    this.stage.setAttribute("aria-label", `Picture ${item.id}`);
    this.page.panel.describe(row, item);
    this.strip(row, item);
  }

  strip(row, item) {
    const { pictures } = this.page;
    const list = byId("strip-list");
    pictures.drop(list);
    const others = item.strip ?? [];
    const text = others.length
      ? `Speaks for ${count(item.stands, "image")}, as these`
      : item.stands === 1
        ? "Speaks for itself alone"
        : "";
    byId("strip-title").textContent = text;
    byId("strip").classList.toggle("empty", !others.length);
    list.replaceChildren(...others.map((other) => make("li", {}, pictures.thumb(other, 160, ""))));
    list.scrollLeft = 0;
  }

  /** Whether there is something to answer for. */
  get ready() {
    return this.shownAt > 0;
  }
}
