// A grid of any length that holds only the tiles in sight; what it shows is fetched in chunks.

import { ask, idOf } from "/static/exchange.js";
import { byId, make } from "/static/dom.js";

const CHUNK = 240; // images of one request
const KEPT = 12; // chunks held
const MORE = 2; // rows drawn above and below what is in sight

export class Sheet {
  constructor(page) {
    this.page = page;
    this.room = byId("gallery");
    this.list = byId("images");
    this.total = 0;
    this.at = 0; // the tile that has the focus
    this.asked = {};
    this.chunks = new Map(); // start -> items, or null while they come
    this.drawn = ""; // what is on the screen
    this.tiles = new Map(); // place -> tile
    let waiting = false;
    const later = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        this.draw();
      });
    };
    this.room.addEventListener("scroll", later, { passive: true });
    new ResizeObserver(later).observe(this.room);
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  /** Show what is asked for, from the top or, to `keep` the place, where it was. */
  async load(asked, keep = false) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const begin = keep ? Math.floor(this.first() / CHUNK) * CHUNK : 0;
    const found = await ask("/api/look/images", { ...asked, from: begin });
    if (turn !== this.turn) return; // something else is wanted by now
    this.asked = asked;
    this.chunks = new Map([[begin, found.images]]);
    this.total = found.total;
    if (!keep) {
      this.room.scrollTop = 0;
      this.at = 0;
    }
    this.at = Math.max(0, Math.min(this.at, this.total - 1));
    this.clear();
    this.page.found(found);
    this.draw();
  }

  clear() {
    this.page.pictures.drop(this.list);
    this.list.replaceChildren();
    this.tiles.clear();
    this.drawn = "";
  }

  /** Tiles in a row, and the height of a row with its gap. */
  shape() {
    const style = getComputedStyle(this.list);
    const columns = style.gridTemplateColumns.split(" ").filter(Boolean).length || 1;
    const gap = Number.parseFloat(style.rowGap) || 0;
    const height = (this.list.firstElementChild?.offsetHeight || (innerWidth <= 760 ? 160 : 196)) + gap;
    return { columns, height };
  }

  /** The first image in sight. */
  first() {
    const { columns, height } = this.shape();
    return Math.max(0, Math.floor((this.room.scrollTop - byId("sheet").offsetTop + this.room.offsetTop) / height)) * columns;
  }

  item(place) {
    return this.chunks.get(Math.floor(place / CHUNK) * CHUNK)?.[place % CHUNK] ?? null;
  }

  draw() {
    const { columns, height } = this.shape();
    const rows = Math.ceil(this.total / columns);
    byId("sheet").style.height = `${rows * height}px`;
    const top = Math.max(0, Math.floor(this.first() / columns) - MORE);
    const inSight = Math.ceil(this.room.clientHeight / height) + 2 * MORE + 1;
    const from = top * columns;
    const to = Math.min(this.total, (top + inSight) * columns);
    for (let start = Math.floor(from / CHUNK) * CHUNK; start < to; start += CHUNK) this.fetch(start);
    this.list.style.transform = `translateY(${top * height}px)`;
    for (const [place, tile] of this.tiles) {
      if (place >= from && place < to) continue;
      this.page.pictures.drop(tile);
      tile.remove();
      this.tiles.delete(place);
    }
    let before = null;
    for (let place = from; place < to; place += 1) {
      let tile = this.tiles.get(place);
      if (!tile) {
        tile = make("li", { role: "option", "aria-selected": "false", onclick: () => this.open(place) });
        this.tiles.set(place, tile);
        if (before) before.after(tile);
        else this.list.prepend(tile);
      }
      this.fill(tile, place);
      before = tile;
    }
    this.list.setAttribute("aria-label", `Images ${from + 1} to ${to} of ${this.total}`);
  }

  /** Draw one image, if it is there, and once. */
  fill(tile, place) {
    tile.tabIndex = place === this.at ? 0 : -1;
    const item = this.item(place);
    const state = item ? `${item.image} ${item.label} ${item.source}` : "";
    if (!item || tile.dataset.state === state) return;
    const { constructor: words } = this.page;
    const id = idOf(item.image);
    const sure = item.confidence === null || item.source !== "predicted" ? "" : `${Math.round(100 * item.confidence)}%`;
    tile.dataset.source = item.source;
    tile.title = [id, ...item.flags].join(" · ");
    tile.setAttribute("aria-label", `${id}, ${words.said(item)}${sure ? `, ${sure}` : ""}, ${words.by(item)}`);
    const what = make("span", { class: `what${item.label === null ? " unknown" : ""}` }, make("span", {}, words.said(item)), make("span", { class: "sure" }, sure || (["labelled", "swept"].includes(item.source) ? "✓" : "")));
    const picture = tile.dataset.image === item.image ? tile.firstElementChild : make("span", { class: "picture" }, this.page.pictures.thumb(item.image, 160, ""));
    tile.replaceChildren(picture, what, make("span", { class: "file" }, id));
    Object.assign(tile.dataset, { state, image: item.image });
  }

  async fetch(start) {
    if (this.chunks.has(start)) return;
    const { chunks, turn } = this;
    chunks.set(start, null);
    try {
      const found = await ask("/api/look/images", { ...this.asked, from: start });
      if (turn !== this.turn) return;
      chunks.set(start, found.images);
      const near = (one) => Math.abs(one - start);
      for (const one of [...chunks.keys()].sort((a, b) => near(b) - near(a)).slice(0, Math.max(0, chunks.size - KEPT))) chunks.delete(one);
      this.draw();
    } catch {
      chunks.delete(start); // asked for again when it is scrolled to
    }
  }

  /** The image at a place, fetched if need be. */
  async get(place) {
    if (place < 0 || place >= this.total) return null;
    if (!this.item(place)) {
      const start = Math.floor(place / CHUNK) * CHUNK;
      this.chunks.delete(start);
      await this.fetch(start);
    }
    return this.item(place);
  }

  open(place) {
    this.at = place;
    this.page.one.show(place);
  }

  /** Put the focus on a tile, and bring it into sight. */
  focus(place) {
    const { columns, height } = this.shape();
    this.at = Math.max(0, Math.min(this.total - 1, place));
    const top = Math.floor(this.at / columns) * height + byId("sheet").offsetTop - this.room.offsetTop;
    if (top < this.room.scrollTop) this.room.scrollTop = top - 4;
    else if (top + height > this.room.scrollTop + this.room.clientHeight) this.room.scrollTop = top + height - this.room.clientHeight + 4;
    this.draw();
    this.tiles.get(this.at)?.focus({ preventScroll: true });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { columns, height } = this.shape();
    const page = Math.max(1, Math.floor(this.room.clientHeight / height)) * columns;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page, Home: -this.total, End: this.total };
    if (event.key in steps) this.focus(this.at + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.open(this.at);
    else return;
    event.preventDefault();
  }
}
