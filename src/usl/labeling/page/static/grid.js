// Many pictures at once: select some, give them all one answer.

import { byId, count, make, say } from "./dom.js";
import { idOf } from "./exchange.js";
import { cutInTheMiddle } from "./names.js";
import { WORDS } from "./panel.js";

const PAGE = 48;

export class Grid {
  constructor(page) {
    this.page = page;
    this.list = byId("tiles");
    this.filter = byId("filter");
    this.refs = []; // on this page
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

  /** The only selected image, or the one with the focus. */
  get one() {
    return this.selected.size === 1 ? [...this.selected][0] : this.refs[this.at];
  }

  /** What an answer is about: the selected images, else the one with the focus. */
  get targets() {
    if (this.selected.size) return this.refs.filter((ref) => this.selected.has(ref));
    return this.list.contains(document.activeElement) ? [this.refs[this.at]].filter((ref) => ref !== undefined) : [];
  }

  load({ keepPage = false } = {}) {
    const { roundView } = this.page;
    const [kind, label] = this.filter.value.split(/:(.*)/s);
    if (kind === "open") this.all = roundView.open();
    else if (kind === "all") this.all = [...roundView.order, ...[...roundView.said.keys()].filter((ref) => !roundView.place.has(ref) && roundView.current(ref))];
    else this.all = roundView.imagesWith(kind, kind === "label" ? label : null);
    if (!keepPage) this.start = 0;
    if (this.start >= this.all.length) this.start = Math.max(0, Math.floor((this.all.length - 1) / PAGE) * PAGE);
    this.refs = this.all.slice(this.start, this.start + PAGE);
    this.selected.clear();
    this.at = this.anchor = 0;
    this.fill();
  }

  turn(direction) {
    const start = this.start + direction * PAGE;
    if (start < 0 || start >= this.all.length) return;
    this.start = start;
    this.refs = this.all.slice(start, start + PAGE);
    this.selected.clear();
    this.at = this.anchor = 0;
    this.fill();
    byId("grid").scrollTop = 0;
    this.focus();
  }

  /** Draw the tiles of this page anew. */
  fill() {
    const { pictures } = this.page;
    pictures.drop(this.list);
    this.list.replaceChildren(
      ...this.refs.map((ref, place) => {
        const tile = make("li", {
          role: "option", tabindex: place === this.at ? "0" : "-1",
          onclick: (event) => this.click(place, event),
          ondblclick: () => this.page.openSingle(ref),
          onfocus: () => this.move(place, false),
        });
        const picture = make("span", { class: "picture" }, pictures.thumb(ref, 320, ""), make("span", { class: "model" }), make("span", { class: "mark" }));
        const name = make("span", { class: "tile-name" });
        cutInTheMiddle(name, idOf(ref));
        tile.append(picture, name);
        return tile;
      }),
    );
    const empty = byId("grid-empty");
    empty.hidden = this.refs.length > 0;
    empty.textContent = this.filter.value === "open" ? "Nothing is left to do here." : "No image is like that.";
    this.update();
  }

  /** Bring marks, names and counts up to date; the tiles stay. */
  update() {
    const { roundView } = this.page;
    this.list.classList.toggle("to-do", this.filter.value === "open"); // there the answered ones recede
    this.refs.forEach((ref, place) => {
      const tile = this.list.children[place];
      const now = roundView.current(ref);
      const word = now === null ? "" : now.kind === "label" ? now.label : WORDS[now.kind];
      const name = idOf(ref);
      tile.setAttribute("aria-selected", String(this.selected.has(ref)));
      const guess = this.page.guess(ref);
      const says = guess ? `${guess.label} ${Math.round(100 * guess.confidence)}%` : "";
      tile.setAttribute("aria-label", `${name}${word ? `, ${word}` : ""}${says ? `, the model says ${says}` : ""}`);
      tile.dataset.kind = now?.kind ?? "";
      tile.querySelector(".mark").textContent = word;
      tile.querySelector(".model").textContent = says;
      tile.title = says ? `${name}\nThe model says ${says}` : name;
    });
    const chosen = this.selected.size;
    byId("selected").textContent = chosen ? `${chosen} selected` : "";
    byId("select-none").disabled = !chosen;
    byId("open-one").disabled = byId("like-one").disabled = chosen !== 1;
    byId("like-one").hidden = !this.page.state.similar;
    const last = this.start + this.refs.length;
    byId("where").textContent = this.all.length ? `${(this.start + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${this.all.length.toLocaleString("en")}` : "";
    byId("earlier").disabled = this.start === 0;
    byId("later").disabled = last >= this.all.length;
  }

  /** After an answer: when nothing on this page is open any more, go on. */
  answered() {
    const { roundView } = this.page;
    this.selected.clear();
    if (this.filter.value === "open" && this.refs.every((ref) => roundView.current(ref))) {
      this.load();
      if (this.refs.length) say(`Next page, ${count(this.refs.length, "image")}.`);
    } else {
      const place = this.refs.findIndex((ref) => !roundView.current(ref));
      if (place >= 0) this.at = this.anchor = place;
      this.update();
    }
    this.focus();
  }

  /** After an undo: show the page again on which its images are. */
  undone(refs) {
    if (refs.some((ref) => this.refs.includes(ref))) this.update();
    else this.load();
    this.focus();
  }

  focus() {
    [...this.list.children].forEach((tile, place) => tile.setAttribute("tabindex", place === this.at ? "0" : "-1"));
    this.list.children[this.at]?.focus({ preventScroll: false });
  }

  move(place, focus = true) {
    this.at = Math.max(0, Math.min(this.refs.length - 1, place));
    if (focus) this.focus();
  }

  click(place, event) {
    this.move(place);
    if (event.shiftKey) this.range(place);
    else this.toggle(place);
  }

  toggle(place) {
    const ref = this.refs[place];
    if (!this.selected.delete(ref)) this.selected.add(ref);
    this.anchor = place;
    this.update();
  }

  range(place) {
    const [from, to] = [this.anchor, place].sort((a, b) => a - b);
    for (const ref of this.refs.slice(from, to + 1)) this.selected.add(ref);
    this.update();
  }

  selectAll() {
    for (const ref of this.refs) if (!this.page.roundView.answered(ref) || this.filter.value !== "open") this.selected.add(ref);
    this.update();
    say(`${this.selected.size} selected`);
  }

  clear() {
    this.selected.clear();
    this.update();
  }

  key(event) {
    const columns = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -this.refs.length, End: this.refs.length };
    if (event.key in steps && !event.altKey) {
      this.move(this.at + steps[event.key]);
      if (event.shiftKey) this.range(this.at);
    } else if (event.key === " ") this.toggle(this.at);
    else if (event.key === "Enter") this.page.openSingle(this.refs[this.at]);
    else if (event.key === "PageDown") this.turn(1);
    else if (event.key === "PageUp") this.turn(-1);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.selectAll();
    else if (event.key === "Escape") this.clear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
