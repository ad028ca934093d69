// The map answers: pointing at a dot, or going there by keys, shows what is known of it. Without
// script the page is complete, but the map is only a picture.

const REACH = { mouse: 14, pen: 16, touch: 24 }; // pixels from the pointer to a dot
const MARK = 13; // units from the middle of a pick to the rim of its mark
const HINT = "Point at a dot, or tap it, to see what it is; a click keeps it.";
const SWITCHES = " Press classes to see only those.";
const KEYS = "Arrows: go to a dot, further with Shift. N, P: next pick, previous. Enter: keep. " +
  "+, −, 0: magnify. Esc: close.";
const NUDGE = 4; // pixels before a press becomes a drag

class Explorer {
  constructor(figure, record) {
    const points = new Points(record);
    const svg = figure.querySelector("svg.map");
    this.stage = svg.parentNode;
    this.plot = el("div", { class: "plot" });
    this.stage.replaceWith(this.plot);
    this.plot.append(this.stage);
    this.stage.classList.add("live");
    Object.assign(this, { figure, points, svg, current: -1, pinned: false });
    this.plane = new Plane(svg, points);
    this.grid = new Grid(points.x, points.y, this.plane.width, this.plane.height);
    this.prepareMarks();
    this.prepareStage();
    this.card = new Card(this.plot, points, {
      group: (rank) => this.filters.setRank(rank),
      grouped: (rank) => this.filters.filter.rank === rank,
      close: () => this.release(true),
    });
    this.spoken = el("p", { class: "unseen", "aria-live": "polite" });
    this.filters = new Filters(figure, points, {
      changed: () => this.paint(),
      ranked: (point) => this.look(point, true),
      cleared: () => this.stage.focus({ preventScroll: true }),
    });
    this.keys = el("p", { class: "keys", id: "map-keys" }, KEYS);
    this.plot.append(this.keys, this.zoomButtons(), this.spoken);
    const hint = el("p", { class: "hint" }, HINT, this.filters.chips.length > 0 && SWITCHES);
    figure.querySelector("figcaption").before(hint);
    this.paint();
  }

  // --- Parts of the page ---

  /** Marks by pick; their tooltips become names, for the card says the same. */
  prepareMarks() {
    const place = new Map(this.points.picks.map(([, rank], number) => [rank, number]));
    this.marks = [];
    for (const mark of this.svg.querySelectorAll(".marks a")) {
      this.marks[place.get(Number(mark.dataset.rank))] = mark;
      mark.querySelector("title")?.remove();
      mark.removeAttribute("href"); // the card has that link, and the map the focus
      mark.removeAttribute("tabindex");
    }
    this.svg.querySelector("title")?.remove();
    for (const path of this.svg.querySelectorAll(".cloud, .rings")) path.remove();
    const { picks } = this.points;
    this.plane.ringed = picks.flatMap(([point], number) => (point < 0 || this.marks[number] ? [] : [point]));
    const shape = (name, of) => {
      const node = document.createElementNS(this.svg.namespaceURI, name);
      node.setAttribute("class", of);
      this.svg.querySelector(".marks").before(node);
      return node;
    };
    this.tie = shape("line", "tie");
    this.ring = shape("circle", "ring");
  }

  prepareStage() {
    const { stage, svg } = this;
    svg.setAttribute("aria-hidden", "true");
    const label = `Map of ${counted(this.points.count, this.points.noun)}`;
    const attributes = { tabindex: 0, role: "application", "aria-label": label, "aria-describedby": "map-keys" };
    for (const [key, value] of Object.entries(attributes)) stage.setAttribute(key, value);
    this.fingers = new Map();
    const listen = (kind, does) => stage.addEventListener(kind, does.bind(this), { passive: false });
    listen("pointermove", this.onMove);
    listen("pointerdown", this.onDown);
    for (const kind of ["pointerup", "pointercancel"]) listen(kind, this.onUp);
    listen("pointerleave", () => this.pinned || this.look(-1));
    listen("click", this.onClick);
    listen("wheel", this.onWheel);
    listen("keydown", this.onKey);
    listen("focus", () => {
      if (stage.matches(":focus-visible") && this.current < 0) this.goToPick(1, -1);
    });
    this.plot.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.release(true);
    });
    new ResizeObserver(() => this.current >= 0 && this.place()).observe(stage);
  }

  zoomButtons() {
    const button = (sign, label, does) =>
      el("button", { type: "button", "aria-label": label, title: label, click: does }, sign);
    this.whole = button("↺", "Show the whole map", () => this.zoom(0));
    return el(
      "div",
      { class: "zoom" },
      button("+", "Magnify", () => this.zoom(1.6)),
      button("−", "Make smaller", () => this.zoom(1 / 1.6)),
      this.whole,
    );
  }

  /** Draw what the filters show. */
  paint() {
    const { points, plane, filters } = this;
    plane.show(filters.seen());
    points.picks.forEach(([point], number) => {
      this.marks[number]?.classList.toggle("off", point >= 0 && !plane.shown[point]);
    });
    for (const name of this.svg.querySelectorAll(".name")) {
      name.classList.toggle("off", !filters.names(Number(name.dataset.group)));
    }
    if (this.current >= 0 && !filters.shown[this.current]) this.release();
  }

  // --- One dot ---

  /** Show a dot's card, and keep it there if `pinned`; none for -1. */
  look(i, pinned = false) {
    this.current = i;
    this.pinned = pinned && i >= 0;
    if (i < 0) {
      this.card.hide();
      this.stage.classList.remove("looking");
      return;
    }
    this.stage.classList.add("looking");
    this.place();
  }

  /** Put ring, line to the pick and card where the dot is. */
  place() {
    const { points, plane, current: i, ring, tie } = this;
    ring.setAttribute("cx", points.x[i]);
    ring.setAttribute("cy", points.y[i]);
    ring.classList.toggle("around", points.pickOf.has(i));
    const pick = points.standsFor(i) >= 0 ? points.picks[points.standsFor(i)][0] : -1;
    const to = pick >= 0 ? pick : i;
    const ends = { x1: points.x[i], y1: points.y[i], x2: points.x[to], y2: points.y[to] };
    for (const [key, value] of Object.entries(ends)) tie.setAttribute(key, value);
    const { clientWidth, clientHeight } = this.stage;
    const onTheLeft = plane.many < points.count && plane.middle > points.x[i];
    this.card.show(i, this.pinned, plane.pixelsOf(i), [clientWidth, clientHeight], onTheLeft);
  }

  /** Let go of the dot; `back` returns the focus from the card to the map. */
  release(back = false) {
    if (back && this.card.node.contains(document.activeElement)) this.stage.focus({ preventScroll: true });
    this.look(-1);
  }

  /** The dot under a pointer: a pick's mark lies above all dots. */
  hit(event) {
    const { points, plane } = this;
    const { shown } = this.filters;
    const [x, y] = plane.unitsAt(event.clientX, event.clientY);
    const reach = (REACH[event.pointerType] ?? REACH.mouse) / plane.scale;
    const rim = Math.max(MARK / plane.zoom, event.pointerType === "touch" ? reach / 2 : 0);
    let best = -1, least = rim * rim;
    for (const [point] of points.picks) {
      if (point < 0 || !shown[point]) continue;
      const squared = (points.x[point] - x) ** 2 + (points.y[point] - y) ** 2;
      if (squared <= least) [best, least] = [point, squared];
    }
    return best >= 0 ? best : this.grid.nearest(x, y, reach, shown);
  }

  // --- Pointers and keys ---

  onMove(event) {
    const before = this.fingers.get(event.pointerId);
    if (before) return this.drag(event, before);
    if (event.pointerType === "touch" || this.pinned) return;
    const found = this.hit(event);
    if (found !== this.current) this.look(found);
  }

  onDown(event) {
    if (event.button > 0) return;
    this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.fingers.size === 1) this.dragged = false;
  }

  onUp(event) {
    this.fingers.delete(event.pointerId);
  }

  /** One finger moves the magnified map, two magnify it. */
  drag(event, before) {
    const { plane, fingers } = this;
    const moved = { x: event.clientX - before.x, y: event.clientY - before.y };
    if (!this.dragged && Math.hypot(moved.x, moved.y) < NUDGE) return;
    if (fingers.size === 1 && plane.zoom === 1) return;
    this.dragged = true;
    this.stage.setPointerCapture(event.pointerId);
    if (fingers.size > 1) {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const spread = (at) => Math.hypot(at.x - other.x, at.y - other.y);
      const now = { x: event.clientX, y: event.clientY };
      const middle = plane.unitsAt((now.x + other.x) / 2, (now.y + other.y) / 2);
      plane.zoomAt(spread(now) / Math.max(1, spread(before)), ...middle);
    } else {
      plane.moveTo(plane.left - moved.x / plane.scale, plane.top - moved.y / plane.scale);
    }
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.moved();
  }

  onClick(event) {
    if (this.dragged) return;
    const found = this.hit(event);
    if (found >= 0 && !(this.pinned && found === this.current)) this.look(found, true);
    else this.look(-1);
  }

  onWheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // the wheel alone scrolls the page
    event.preventDefault();
    this.plane.zoomAt(Math.exp(-event.deltaY / 200), ...this.plane.unitsAt(event.clientX, event.clientY));
    this.moved();
  }

  /** Magnify around the chosen dot, or the middle; 0 shows the whole map. */
  zoom(factor) {
    const { plane, points, current: i } = this;
    if (factor === 0) plane.zoomAt(0);
    else if (i >= 0) plane.zoomAt(factor, points.x[i], points.y[i]);
    else plane.zoomAt(factor);
    this.moved();
  }

  moved() {
    this.stage.classList.toggle("zoomed", this.plane.zoom > 1);
    if (this.current >= 0) this.place();
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const far = event.shiftKey ? 60 : 5;
    const does = {
      ArrowLeft: () => this.goBeside(-1, 0, far),
      ArrowRight: () => this.goBeside(1, 0, far),
      ArrowUp: () => this.goBeside(0, -1, far),
      ArrowDown: () => this.goBeside(0, 1, far),
      n: () => this.goToPick(1),
      p: () => this.goToPick(-1),
      Home: () => this.goToPick(1, -1),
      End: () => this.goToPick(-1, this.points.picks.length),
      "+": () => this.zoom(1.6),
      "=": () => this.zoom(1.6),
      "-": () => this.zoom(1 / 1.6),
      0: () => this.zoom(0),
      Enter: () => this.current >= 0 && this.look(this.current, !this.pinned),
      " ": () => this.current >= 0 && this.look(this.current, !this.pinned),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  }

  /** The nearest dot that is shown in a direction, at least `far` away. */
  goBeside(dx, dy, far) {
    const { points, plane, current } = this;
    const { shown } = this.filters;
    if (current < 0) return this.goToPick(1, -1);
    let best = -1, least = Infinity;
    for (let i = 0; i < points.count; i++) {
      if (!shown[i]) continue;
      const x = points.x[i] - points.x[current], y = points.y[i] - points.y[current];
      const along = x * dx + y * dy, across = Math.abs(x * dy - y * dx);
      if (along * plane.zoom < far || across > along) continue;
      if (along + 2 * across < least) [best, least] = [i, along + 2 * across];
    }
    if (best >= 0) this.arrive(best);
  }

  /** The next pick that is shown, by rank; counted from pick number `from`. */
  goToPick(by, from = this.current < 0 ? -1 : this.points.standsFor(this.current)) {
    const { picks } = this.points;
    const { shown } = this.filters;
    for (let number = from + by; number >= 0 && number < picks.length; number += by) {
      const [point] = picks[number];
      if (point >= 0 && shown[point]) return this.arrive(point);
    }
  }

  arrive(i) {
    this.plane.reveal(i);
    this.look(i, this.pinned);
    this.spoken.textContent = this.points.sentence(i);
  }
}

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

const block = document.getElementById("map-data");
if (block && "DecompressionStream" in window) {
  const record = await unpack(block.textContent);
  new Explorer(document.querySelector("#map figure"), record);
}
