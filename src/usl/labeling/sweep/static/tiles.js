// The pictures of a sheet: how many there is room for, which are drawn, which are marked.

import { byId, make } from "/static/dom.js";
import { idOf, reason } from "/static/exchange.js";

const SMALL = 72; // px; smaller than that a picture tells nothing
const LARGE = 150;
const FEW = 12;
const USUAL = 24;
const MOST = 60;
const APART = 6; // px between two
const AGAIN = 2000; // ms until a picture that did not come is asked for once more
const GONE = [404, 409, 422]; // statuses of a picture that will not come

export class Tiles {
  /** @param page the page; `page.drawn()` is called when all pictures are there, or known not to come */
  constructor(page) {
    this.page = page;
    this.list = byId("tiles");
    this.board = byId("board");
    this.images = []; // { image, confidence }
    this.unmarked = new Set();
    this.lost = new Set(); // whose pictures cannot be shown
    this.seen = new Set();
    this.at = 0;
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  /** Width and height that the pictures have. */
  room() {
    const { paddingLeft: side, paddingTop: end } = getComputedStyle(this.board);
    return [this.board.clientWidth - 2 * parseFloat(side), this.board.clientHeight - 2 * parseFloat(end)];
  }

  /** How many pictures a sheet has on this screen: all of them in sight, none too small, little left bare. */
  size() {
    const [width, height] = this.room();
    let best = { many: FEW, worth: 0 };
    for (let columns = Math.max(1, Math.ceil((width + APART) / (LARGE + APART))); ; columns += 1) {
      const side = (width + APART) / columns - APART;
      if (side < SMALL) return best.many;
      const rows = Math.floor((height + APART) / (side + APART));
      const many = Math.min(MOST, Math.max(FEW, columns * rows));
      const worth = many < USUAL ? many : many * side * side; // a pixel is less than a picture
      if (worth > best.worth) best = { many, worth };
    }
  }

  /** Draw a sheet. */
  show(images) {
    Object.assign(this, { images, unmarked: new Set(), lost: new Set(), seen: new Set(), at: 0 });
    this.page.pictures.drop(this.list);
    this.list.replaceChildren(...images.map((one, place) => make("li", {}, this.tile(one, place))));
    this.arrange();
    this.board.scrollTop = 0;
  }

  tile({ image: ref, confidence }, place) {
    const side = this.side() * (devicePixelRatio || 1) > 160 ? 320 : 160;
    const picture = this.picture(ref, side);
    const button = make(
      "button",
      { type: "button", "aria-pressed": "true", tabindex: place ? "-1" : "0", title: idOf(ref), "aria-label": `${idOf(ref)}, ${Math.round(100 * confidence)}% sure` },
      picture,
    );
    button.addEventListener("click", () => this.toggle(place));
    button.addEventListener("focus", () => (this.at = place));
    return button;
  }

  /** A picture that says when it is here, or does not come. */
  picture(ref, side) {
    const picture = this.page.pictures.thumb(ref, side, "");
    picture.addEventListener("load", () => this.here(ref, picture));
    picture.addEventListener("error", () => this.missing(ref, picture, side));
    return picture;
  }

  /** A picture is loaded: it counts once it can be painted. */
  async here(ref, picture) {
    await picture.decode().catch(() => {});
    this.done(ref);
  }

  /** A picture did not come: it never will, or it is tried again. */
  async missing(ref, picture, side) {
    const { status } = await reason(picture.src);
    if (!this.images.some(({ image }) => image === ref) || !picture.isConnected) return;
    if (GONE.includes(status)) {
      this.lost.add(ref);
      const button = picture.closest("button");
      button.classList.add("lost");
      button.setAttribute("aria-disabled", "true");
      button.removeAttribute("aria-pressed");
      this.done(ref);
    } else setTimeout(() => picture.isConnected && this.replace(ref, side), AGAIN);
  }

  replace(ref, side) {
    const place = this.images.findIndex(({ image }) => image === ref);
    this.list.children[place].firstChild.replaceChildren(this.picture(ref, side));
  }

  done(ref) {
    if (!this.images.some(({ image }) => image === ref)) return; // of an earlier sheet
    this.seen.add(ref);
    this.page.update();
    if (this.drawn) requestAnimationFrame(() => requestAnimationFrame(() => this.page.drawn()));
  }

  get drawn() {
    return this.images.length > 0 && this.seen.size === this.images.length;
  }

  /** The images that can be answered, in order. */
  get shown() {
    return this.images.map(({ image }) => image).filter((ref) => !this.lost.has(ref));
  }

  get marked() {
    return this.shown.length - this.unmarked.size;
  }

  /** The largest side with which all pictures are in sight; a small one where they cannot be. */
  side() {
    const [width, height] = this.room();
    const many = this.images.length;
    for (let columns = 1; columns <= many; columns += 1) {
      const side = Math.floor((width + APART) / columns) - APART;
      const rows = Math.ceil(many / columns);
      if (rows * (side + APART) - APART <= height || side < SMALL) return Math.max(44, Math.min(side, height));
    }
    return SMALL;
  }

  arrange() {
    const side = this.side();
    this.list.style.setProperty("--apart", `${APART}px`);
    this.list.style.gridTemplateColumns = `repeat(auto-fit, ${side}px)`;
  }

  toggle(place) {
    const { image: ref } = this.images[place];
    this.at = place;
    if (this.lost.has(ref)) return;
    if (!this.unmarked.delete(ref)) this.unmarked.add(ref);
    this.update();
  }

  /** Unmark all, or mark all where none is marked. */
  flip() {
    const none = this.marked === 0;
    this.unmarked = new Set(none ? [] : this.shown);
    this.update();
  }

  update() {
    this.images.forEach(({ image: ref }, place) => {
      if (!this.lost.has(ref)) this.list.children[place].firstChild.setAttribute("aria-pressed", String(!this.unmarked.has(ref)));
    });
    this.page.update();
  }

  focus() {
    this.move(this.at);
  }

  move(place) {
    this.at = Math.max(0, Math.min(this.images.length - 1, place));
    [...this.list.children].forEach((item, other) => item.firstChild.setAttribute("tabindex", other === this.at ? "0" : "-1"));
    this.list.children[this.at]?.firstChild.focus();
  }

  key(event) {
    const columns = getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -this.images.length, End: this.images.length };
    if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    this.move(this.at + steps[event.key]);
    event.preventDefault();
  }
}
