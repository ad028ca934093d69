// Many pictures at once: select some, give them all one answer.

import { byId, count, make, say } from "./dom.js";
import { WORDS } from "./panel.js";

const PAGE = 48;

export class Grid {
  constructor(page) {
    this.page = page;
    this.list = byId("tiles");
    this.filter = byId("filter");
    this.rows = []; // on this page
    this.all = []; // in this filter
    this.start = 0;
    this.selected = new Set();
    this.at = 0; // place of the tile that has the focus
    this.anchor = 0; // where a range begins
    this.filter.addEventListener("change", () => this.load());
    byId("earlier").addEventListener("click", () => this.turn(-1));
    byId("later").addEventListener("click", () => this.turn(1));
    byId("select-all").addEventListener("click", () => this.selectAll());
    byId("select-none").addEventListener("click", () => this.clear());
    byId("open-one").addEventListener("click", () => page.openSingle(this.one));
    byId("like-one").addEventListener("click", () => page.openSimilar(this.one));
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  /** The only selected row, or the one with the focus. */
  get one() {
    return this.selected.size === 1 ? [...this.selected][0] : this.rows[this.at];
  }

  /** What an answer is about: the selected rows, else the one with the focus. */
  get targets() {
    if (this.selected.size) return this.rows.filter((row) => this.selected.has(row));
    return this.list.contains(document.activeElement) ? [this.rows[this.at]].filter((row) => row !== undefined) : [];
  }

  load({ keepPage = false } = {}) {
    const { roundView } = this.page;
    const [kind, label] = this.filter.value.split(/:(.*)/s);
    if (kind === "open") this.all = roundView.open();
    else if (kind === "all") this.all = [...roundView.order, ...[...roundView.said.keys()].filter((row) => !roundView.place.has(row) && roundView.current(row))];
    else this.all = roundView.rowsWith(kind, kind === "label" ? label : null);
    if (!keepPage) this.start = 0;
    if (this.start >= this.all.length) this.start = Math.max(0, Math.floor((this.all.length - 1) / PAGE) * PAGE);
    this.rows = this.all.slice(this.start, this.start + PAGE);
    this.selected.clear();
    this.at = this.anchor = 0;
    this.fill();
  }

  turn(direction) {
    const start = this.start + direction * PAGE;
    if (start < 0 || start >= this.all.length) return;
    this.start = start;
    this.rows = this.all.slice(start, start + PAGE);
    this.selected.clear();
    this.at = this.anchor = 0;
    this.fill();
    byId("grid").scrollTop = 0;
    this.focus();
  }

  /** Draw the tiles of this page anew. */
  async fill() {
    const { pictures, items } = this.page;
    pictures.drop(this.list);
    this.list.replaceChildren(
      ...this.rows.map((row, place) => {
        const tile = make("li", {
          role: "option", id: `tile-${row}`, tabindex: place === this.at ? "0" : "-1",
          onclick: (event) => this.click(place, event),
          ondblclick: () => this.page.openSingle(row),
          onfocus: () => this.move(place, false),
        });
        tile.append(make("span", { class: "picture" }, pictures.thumb(row, 320, "")), make("span", { class: "tile-name" }), make("span", { class: "mark" }));
        return tile;
      }),
    );
    const empty = byId("grid-empty");
    empty.hidden = this.rows.length > 0;
    empty.textContent = this.filter.value === "open" ? "Nothing is left to do here." : "No image is like that.";
    this.update();
    const rows = this.rows;
    if (rows.length) await items.fetch(rows);
    if (rows === this.rows) this.update();
  }

  /** Bring marks, names and counts up to date; the tiles stay. */
  update() {
    const { roundView, items } = this.page;
    this.rows.forEach((row, place) => {
      const tile = this.list.children[place];
      const now = roundView.current(row);
      const word = now === null ? "" : now.kind === "label" ? now.label : WORDS[now.kind];
      const name = items.known(row)?.id ?? "";
      tile.setAttribute("aria-selected", String(this.selected.has(row)));
      tile.setAttribute("aria-label", `${name}${word ? `, ${word}` : ""}`);
      tile.dataset.kind = now?.kind ?? "";
      tile.querySelector(".mark").textContent = word;
      tile.querySelector(".tile-name").textContent = name;
      tile.title = name;
    });
    const chosen = this.selected.size;
    byId("selected").textContent = chosen ? `${chosen} selected` : "";
    byId("select-none").disabled = !chosen;
    byId("open-one").disabled = byId("like-one").disabled = chosen !== 1;
    byId("like-one").hidden = !this.page.state.similar;
    const last = this.start + this.rows.length;
    byId("where").textContent = this.all.length ? `${(this.start + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${this.all.length.toLocaleString("en")}` : "";
    byId("earlier").disabled = this.start === 0;
    byId("later").disabled = last >= this.all.length;
  }

  /** After an answer: when nothing on this page is open any more, go on. */
  answered() {
    const { roundView } = this.page;
    this.selected.clear();
    if (this.filter.value === "open" && this.rows.every((row) => roundView.current(row))) {
      this.load();
      if (this.rows.length) say(`Next page, ${count(this.rows.length, "image")}.`);
    } else {
      const place = this.rows.findIndex((row) => !roundView.current(row));
      if (place >= 0) this.at = this.anchor = place;
      this.update();
    }
    this.focus();
  }

  /** After an undo: show the page again on which its images are. */
  undone(rows) {
    if (rows.some((row) => this.rows.includes(row))) this.update();
    else this.load();
    this.focus();
  }

  focus() {
    [...this.list.children].forEach((tile, place) => tile.setAttribute("tabindex", place === this.at ? "0" : "-1"));
    this.list.children[this.at]?.focus({ preventScroll: false });
  }

  move(place, focus = true) {
    this.at = Math.max(0, Math.min(this.rows.length - 1, place));
    if (focus) this.focus();
  }

  click(place, event) {
    this.move(place);
    if (event.shiftKey) this.range(place);
    else this.toggle(place);
  }

  toggle(place) {
    const row = this.rows[place];
    if (!this.selected.delete(row)) this.selected.add(row);
    this.anchor = place;
    this.update();
  }

  range(place) {
    const [from, to] = [this.anchor, place].sort((a, b) => a - b);
    for (const row of this.rows.slice(from, to + 1)) this.selected.add(row);
    this.update();
  }

  selectAll() {
    for (const row of this.rows) if (!this.page.roundView.answered(row) || this.filter.value !== "open") this.selected.add(row);
    this.update();
    say(`${this.selected.size} selected`);
  }

  clear() {
    this.selected.clear();
    this.update();
  }

  key(event) {
    const columns = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -this.rows.length, End: this.rows.length };
    if (event.key in steps && !event.altKey) {
      this.move(this.at + steps[event.key]);
      if (event.shiftKey) this.range(this.at);
    } else if (event.key === " ") this.toggle(this.at);
    else if (event.key === "Enter") this.page.openSingle(this.rows[this.at]);
    else if (event.key === "PageDown") this.turn(1);
    else if (event.key === "PageUp") this.turn(-1);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.selectAll();
    else if (event.key === "Escape") this.clear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
