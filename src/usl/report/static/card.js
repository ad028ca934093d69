// What is known of one dot, and the card that shows it. Names enter the page as text only.

/** An element: attributes, or listeners where the value is a function; children as text or nodes. */
function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** The data of the page: typed columns, and questions that several parts ask. */
class Points {
  constructor(record) {
    Object.assign(this, record);
    this.count = record.ids.length;
    this.x = Float32Array.from(record.x, (value) => value / 10);
    this.y = Float32Array.from(record.y, (value) => value / 10);
    this.group = Int32Array.from(record.ids, (_, i) => this.groupOf(i));
    this.pickOf = new Map(record.picks.map(([point], number) => [point, number]));
    this.pickOf.delete(-1);
    const { of = [], unread = [] } = record.pictures ?? {};
    this.unread = new Set(unread);
    this.tileOf = new Map(of.map((point, number) => [point, number]));
  }

  groupOf(i) {
    const { by, truth, told, given, stands } = this;
    if (by === "truth") return truth[i];
    if (by === "told") return told[i] >= 0 ? told[i] : given?.[i] ?? -1;
    return by === "stands" ? stands[i] : -1;
  }

  /** The pick that stands for a dot, as its number from 0; -1 for none. */
  standsFor(i) {
    return this.stands ? this.stands[i] : this.pickOf.get(i) ?? -1;
  }

  wrong(i) {
    return Boolean(this.truth && this.told && this.told[i] >= 0 && this.truth[i] >= 0) &&
      this.told[i] !== this.truth[i];
  }

  /** The class to name first, what it is, and whatever else is said about it. */
  answers(i) {
    const sure = this.sure?.[i] >= 0 ? `, ${Math.round(this.sure[i] / 10)}% sure` : "";
    const known = [
      [this.given?.[i] ?? -1, "label given"],
      [this.truth?.[i] ?? -1, "true class"],
      [this.told?.[i] ?? -1, "predicted", sure, this.wrong(i) ? "wrong" : ""],
    ];
    const again = (number, at) => at === 1 && number === known[0][0]; // the given label is true
    return known
      .filter(([number], at) => number >= 0 && !again(number, at))
      .map(([number, kind, more = "", verdict = ""]) => ({ name: this.classes[number], kind, more, verdict }));
  }

  /** One sentence for those who listen. */
  sentence(i) {
    const parts = [];
    const number = this.pickOf.get(i);
    if (number !== undefined) parts.push(`Pick ${this.picks[number][1]}`);
    if (this.said[i]) parts.push(this.said[i]);
    parts.push(...this.answers(i).map((a) => `${a.kind} ${a.name}${a.more} ${a.verdict}`.trim()));
    if (number === undefined && this.standsFor(i) >= 0) {
      parts.push(`stood for by pick ${this.picks[this.standsFor(i)][1]}`);
    }
    return [...parts, this.ids[i]].join(". ");
  }
}

/** The picture of a dot: that of the list of picks, one from a sheet, or why the page has none. */
class Pictures {
  constructor(points) {
    this.points = points;
    this.sheets = new Map();
  }

  of(i) {
    const { points } = this;
    const number = points.pickOf.get(i);
    const rank = number === undefined ? null : points.picks[number][1];
    const shown = rank && document.querySelector(`#pick-${rank} img`);
    if (shown) return el("img", { src: shown.src, class: shown.className, alt: "" });
    const tile = points.tileOf.get(i);
    return tile === undefined ? this.blank(i, rank) : this.cut(tile);
  }

  /** Why there is none: as the list of picks says, or because the image cannot be read, or for room. */
  blank(i, rank) {
    const { points } = this;
    const said = rank && document.querySelector(`#pick-${rank} .missing`)?.textContent;
    const why = said || (points.unread.has(i) ? "cannot be read" : "");
    return el("span", { class: "missing" }, why ? `No picture: ${why}.` : points.blank);
  }

  cut(tile) {
    const { side, across, sizes, sheets } = this.points.pictures;
    const number = Math.floor(tile / (across * across));
    const place = tile % (across * across);
    const [width, height] = sizes[tile];
    const tiny = Math.max(width, height) <= 32 ? "tiny" : null;
    const canvas = el("canvas", { width, height, class: tiny });
    if (!this.sheets.has(number)) {
      const sheet = new Image();
      sheet.src = `data:image/jpeg;base64,${sheets[number]}`;
      this.sheets.set(number, sheet.decode().then(() => sheet));
    }
    this.sheets.get(number).then((sheet) => {
      const x = (place % across) * side, y = Math.floor(place / across) * side;
      canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, width, height);
    });
    return canvas;
  }
}

/** The card beside a dot. `actions` are what its buttons do. */
class Card {
  constructor(parent, points, actions) {
    Object.assign(this, { points, actions, pictures: new Pictures(points) });
    this.node = el("div", { class: "point-card", role: "group", "aria-label": "The chosen point", hidden: true });
    parent.append(this.node);
  }

  hide() {
    this.node.hidden = true;
  }

  /** Beside the place (x, y) of a box: on the left if that is asked for and there is room. */
  show(i, pinned, [x, y], [width, height], onTheLeft) {
    this.fill(i, pinned);
    const { node } = this;
    node.hidden = false;
    node.classList.toggle("pinned", pinned);
    const gap = 18;
    const wide = gap + node.offsetWidth;
    const left = x + wide > width || (onTheLeft && x > wide) ? x - wide : x + gap;
    node.style.left = `${Math.max(0, Math.min(left, width - node.offsetWidth))}px`;
    const top = y - node.offsetHeight / 3;
    node.style.top = `${Math.max(6, Math.min(top, height - node.offsetHeight - 6))}px`;
  }

  fill(i, pinned) {
    const { points } = this;
    const [first, ...others] = points.answers(i);
    const number = points.pickOf.get(i);
    const stands = points.standsFor(i);
    const picture = this.pictures.of(i);
    const pick = number === undefined ? null : points.picks[number];
    const parts = [
      el("div", { class: picture.className === "missing" ? "picture none" : "picture" }, picture),
      points.said[i] && el("p", { class: "class" }, points.said[i]),
      first && el("p", { class: "class" }, first.name),
      first && answer(first, false),
      ...others.map((other) => answer(other, true)),
      el("p", { class: "id", title: points.ids[i] }, points.ids[i]),
      pick && el("p", {}, el("strong", {}, `Pick ${pick[1]}`), reach(pick[2], points.noun)),
      !pick && stands >= 0 && el("p", {}, "Stood for by ", el("strong", {}, `pick ${points.picks[stands][1]}`)),
      pinned && this.buttons(stands, pick),
    ];
    this.node.replaceChildren(...parts.filter(Boolean));
  }

  buttons(stands, pick) {
    const { points, actions } = this;
    const rank = stands >= 0 ? points.picks[stands][1] : null;
    const listed = rank && document.getElementById(`pick-${rank}`);
    return el(
      "div",
      { class: "actions" },
      points.stands && rank && !actions.grouped(rank) &&
        el("button", { type: "button", click: () => actions.group(rank) }, "Show its group"),
      listed && el("a", { href: `#pick-${rank}` }, pick ? "To the list" : `To pick ${rank}`),
      el("button", { type: "button", class: "close", "aria-label": "Close", click: actions.close }, "×"),
    );
  }
}

/** `predicted cat, 83% sure wrong`; without the name where that stands above. */
function answer({ name, kind, more, verdict }, named) {
  const mark = verdict && el("span", { class: "verdict" }, verdict);
  return el("p", { class: "kind" }, kind, named && " ", named && el("strong", {}, name), more, mark && " ", mark || "");
}

function reach(represents, noun) {
  return represents == null ? "" : `, stands for ${counted(represents, noun)}`;
}
