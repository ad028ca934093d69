// One picture, large; what it is called, and the images that its label will speak for.

import { byId, count, make } from "./dom.js";
import { ask, idOf, pictureAddress } from "./exchange.js";
import { cutInTheMiddle } from "./names.js";
import { Pictures } from "./pictures.js";
import { Zoom } from "./zoom.js";

const AHEAD = 4; // pictures fetched behind the one on show
const EIGHT_BITS = /\.(jpe?g|gif|webp|bmp)$/i; // names of pictures that cannot have more levels
const PATIENCE = 120; // ms before the stage says that it is loading

export class Single {
  /** @param page the page: roundView, pictures, items, and what to do when the strip is opened */
  constructor(page) {
    this.page = page;
    this.stage = byId("stage");
    this.ref = null;
    this.shownAt = 0; // when the picture was drawn; 0 while it is not
    this.offline = false; // the picture is missing because the server is
    this.fault = ""; // why there is none, or not the one that was meant
    this.zoom = new Zoom(this.stage, () => this.sharpen());
    byId("open-similar").addEventListener("click", () => page.openSimilar(this.ref));
    byId("zoom").addEventListener("click", () => this.zoom.toggle());
  }

  show(ref) {
    this.ref = ref;
    this.shownAt = 0;
    this.offline = false;
    this.fault = "";
    byId("levels").hidden = true;
    const { pictures } = this.page;
    const side = Pictures.side(this.stage);
    const picture = pictures.get(ref, side);
    if (picture.here) this.draw(ref, picture.image);
    else {
      this.stage.replaceChildren();
      this.zoom.attach(null);
      const slow = setTimeout(() => this.ref === ref && this.stage.classList.add("slow"), PATIENCE);
      picture.ready.then(() => {
        clearTimeout(slow);
        if (this.ref !== ref || this.shownAt) return;
        if (picture.here) this.draw(ref, picture.image);
        else this.fail(ref, picture);
      });
    }
    this.describe(ref, this.prepare());
  }

  /** Fetch what comes after the picture on show; those images. */
  prepare() {
    const { pictures, roundView } = this.page;
    const coming = this.ref === null ? [] : roundView.ahead(this.ref, AHEAD);
    pictures.ahead(coming, Pictures.side(this.stage));
    return coming;
  }

  draw(ref, image) {
    this.stage.classList.remove("slow");
    image.alt = "";
    image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) < 200);
    this.stage.replaceChildren(image);
    this.zoom.attach(image);
    this.shownAt = performance.now();
    this.tellLevels(ref);
  }

  /** Say which levels are shown of a picture that has more of them than a screen. */
  async tellLevels(ref) {
    if (EIGHT_BITS.test(idOf(ref))) return;
    const { text } = await ask("/api/levels", { image: ref, side: Pictures.side(this.stage) }).catch(() => ({ text: "" }));
    if (this.ref !== ref) return;
    const note = byId("levels");
    note.hidden = !text;
    note.textContent = note.title = text;
  }

  fail(ref, { fault, status }) {
    this.stage.classList.remove("slow");
    this.offline = ![404, 409, 422].includes(status); // it may come yet
    this.fault = fault || "The server cannot be reached. Is usl label still running?";
    const box = make("div", { class: "fault" }, make("strong", {}, "No picture"), make("p", {}, this.fault));
    if (this.offline) box.append(make("button", { type: "button", onclick: () => this.show(ref) }, "Try again"));
    this.stage.replaceChildren(box);
    this.zoom.attach(null);
    // One that cannot be decoded can be answered: there is nothing more to see. Any other fault says
    // nothing of the image.
    if (status === 422) this.shownAt = performance.now();
  }

  /** Fetch the picture larger, once it is zoomed into. */
  async sharpen() {
    const { ref, zoom } = this;
    const side = Math.min(4096, Pictures.side(this.stage) * zoom.scale);
    const shown = zoom.image;
    if (!shown || shown.dataset.sharp || Math.max(shown.naturalWidth, shown.naturalHeight) < 600) return;
    shown.dataset.sharp = "asked";
    const better = new Image();
    better.src = pictureAddress(ref, Math.round(side));
    try {
      await better.decode();
    } catch {
      return;
    }
    if (this.ref === ref && zoom.image === shown && zoom.active) shown.src = better.src;
  }

  async describe(ref, coming) {
    const name = byId("name");
    cutInTheMiddle(name, idOf(ref));
    this.stage.setAttribute("aria-label", `Picture ${idOf(ref)}`);
    const known = this.page.items.known(ref);
    if (!known) this.page.panel.describe({}); // what the model says of another image is not of this one
    const item = known ?? (await this.page.items.get(ref, coming));
    if (this.ref !== ref || !item) return;
    this.page.items.get(coming[0], coming);
    this.page.panel.describe(item);
    this.strip(ref, item);
  }

  strip(ref, item) {
    const { pictures } = this.page;
    const list = byId("strip-list");
    pictures.drop(list);
    const others = item.strip ?? [];
    const text = others.length
      ? `Speaks for ${count(item.stands, "image")}, as these`
      : item.stands > 1
        ? `Speaks for ${count(item.stands, "image")}`
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
