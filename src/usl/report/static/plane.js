// The drawing surface of the map: dots on a canvas below the marks of the SVG, the part of it that
// is in view, and which dot is where. Places are in units of the drawing, as in the SVG.

const CLOSEST = 24; // how far the map can be magnified
const GHOST = 0.06; // opacity of what a filter leaves out

/** Dots by square cells, so that a search looks at few of them. */
class Grid {
  constructor(x, y, width, height, cell = 8) {
    Object.assign(this, { x, y, cell, across: Math.ceil(width / cell) + 1 });
    this.down = Math.ceil(height / cell) + 1;
    const at = Uint32Array.from(x, (_, i) => this.cellOf(x[i], y[i]));
    this.starts = new Uint32Array(this.across * this.down + 1);
    for (const number of at) this.starts[number + 1]++;
    for (let i = 1; i < this.starts.length; i++) this.starts[i] += this.starts[i - 1];
    const next = this.starts.slice();
    this.order = new Uint32Array(x.length);
    at.forEach((number, i) => (this.order[next[number]++] = i));
  }

  cellOf(x, y) {
    return Math.floor(y / this.cell) * this.across + Math.floor(x / this.cell);
  }

  /** The nearest dot that is `shown`, at most `reach` away; -1 for none. */
  nearest(px, py, reach, shown) {
    const { x, y, cell, across, down, starts, order } = this;
    const first = (v) => Math.max(0, Math.floor((v - reach) / cell));
    const last = (v, count) => Math.min(count - 1, Math.floor((v + reach) / cell));
    let best = -1, least = reach * reach;
    for (let row = first(py); row <= last(py, down); row++) {
      for (let column = first(px); column <= last(px, across); column++) {
        const number = row * across + column;
        for (let k = starts[number]; k < starts[number + 1]; k++) {
          const i = order[k];
          const squared = (x[i] - px) ** 2 + (y[i] - py) ** 2;
          if (shown[i] && squared <= least) [best, least] = [i, squared];
        }
      }
    }
    return best;
  }
}

/** The canvas and the view that it shares with the SVG above it. */
class Plane {
  constructor(svg, points) {
    const { width, height } = svg.viewBox.baseVal;
    Object.assign(this, { svg, points, width, height, zoom: 1, left: 0, top: 0, asked: false });
    this.dot = parseFloat(svg.style.getPropertyValue("--dot")); // its width where all are shown
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.context = this.canvas.getContext("2d");
    svg.before(this.canvas);
    this.dots = document.createElement("canvas");
    this.rings = document.createElement("canvas");
    this.ringed = []; // dots that are picks without a mark in the SVG
    this.ringWidth = parseFloat(svg.style.getPropertyValue("--ring"));
    this.step = stride(points.x.length);
    this.show(new Uint8Array(points.x.length).fill(1));
    new ResizeObserver(() => this.redraw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  /** Draw these as they are, all others as ghosts. */
  show(shown) {
    this.shown = shown;
    this.many = 0;
    let across = 0;
    shown.forEach((on, i) => on && (this.many++, (across += this.points.x[i])));
    this.middle = this.many ? across / this.many : this.width / 2;
    this.redraw();
  }

  /** Pixels of the screen for one unit. */
  get scale() {
    return (this.canvas.clientWidth / this.width) * this.zoom;
  }

  unitsAt(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    return [this.left + (clientX - box.left) / this.scale, this.top + (clientY - box.top) / this.scale];
  }

  /** Where a dot is on the canvas, in pixels of the screen. */
  pixelsOf(i) {
    const { x, y } = this.points;
    return [(x[i] - this.left) * this.scale, (y[i] - this.top) * this.scale];
  }

  /** Magnify; what is at the place (x, y) stays where it is. */
  zoomAt(factor, x = this.left + this.width / this.zoom / 2, y = this.top + this.height / this.zoom / 2) {
    const zoom = Math.min(CLOSEST, Math.max(1, this.zoom * factor));
    const left = x - (x - this.left) * (this.zoom / zoom);
    const top = y - (y - this.top) * (this.zoom / zoom);
    this.zoom = zoom;
    this.moveTo(left, top);
  }

  moveTo(left, top) {
    this.left = Math.min(Math.max(0, left), this.width - this.width / this.zoom);
    this.top = Math.min(Math.max(0, top), this.height - this.height / this.zoom);
    const box = [this.left, this.top, this.width / this.zoom, this.height / this.zoom];
    this.svg.setAttribute("viewBox", box.join(" "));
    this.svg.style.setProperty("--zoom", this.zoom);
    this.redraw();
  }

  /** Bring a dot into view. */
  reveal(i) {
    const wide = this.width / this.zoom, high = this.height / this.zoom;
    const x = this.points.x[i] - this.left, y = this.points.y[i] - this.top;
    if (x < 0 || y < 0 || x > wide || y > high) {
      this.moveTo(this.points.x[i] - wide / 2, this.points.y[i] - high / 2);
    }
  }

  /** Draw at the next frame, however often this is called before. */
  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  draw() {
    const { canvas, points, shown, step } = this;
    const sharp = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * sharp);
    canvas.height = Math.round(canvas.clientHeight * sharp);
    if (!canvas.width) return;
    const room = Math.min(1.7, (points.x.length / Math.max(1, this.many)) ** 0.25) * this.zoom ** 0.35;
    const radius = Math.max(0.9, (this.dot / 2) * (this.scale / this.zoom) * room) * sharp;
    const ring = Math.max(2, (this.ringWidth / 2) * (this.canvas.clientWidth / this.width)) * sharp;
    this.prepare(radius, ring);
    const n = points.x.length, ghost = points.colours.length;
    const order = (visit) => {
      for (let k = 0, i = 0; k < n; k++, i = (i + step) % n) visit(i);
    };
    const colour = (i) => (points.group[i] < 0 ? ghost + 1 : points.group[i]);
    order((i) => shown[i] || this.put(this.dots, i, ghost));
    order((i) => shown[i] && this.put(this.dots, i, colour(i)));
    for (const i of this.ringed) if (shown[i]) this.put(this.rings, i, colour(i));
  }

  /** Copy a prepared dot or ring to where a dot is. */
  put(from, i, number) {
    const { canvas, points, left, top } = this;
    const { size, across } = from;
    const scale = (canvas.width / this.width) * this.zoom;
    const x = (points.x[i] - left) * scale - size / 2, y = (points.y[i] - top) * scale - size / 2;
    if (x < -size || y < -size || x > canvas.width || y > canvas.height) return;
    const sx = (number % across) * size, sy = Math.floor(number / across) * size;
    this.context.drawImage(from, sx, sy, size, size, x, y, size, size);
  }

  /** One dot and one ring of each colour to copy from, then a ghost and an unknown one. */
  prepare(radius, ring) {
    const ground = getComputedStyle(document.body).backgroundColor;
    const key = [radius, ring, ground].join();
    if (this.prepared === key) return;
    this.prepared = key;
    const faint = "var(--other)";
    const colours = resolved(this.svg.parentNode, [...this.points.colours, faint, faint]);
    const ghost = colours.length - 2;
    const squares = new Set(this.points.squares);
    atlas(this.dots, colours, radius, squares, (context, colour, i) => {
      context.globalAlpha = i === ghost ? GHOST : 0.85;
      context.fillStyle = colour;
      context.fill();
    });
    atlas(this.rings, this.ringed.length ? colours : [], ring * 0.775, squares, (context, colour) => {
      [context.fillStyle, context.strokeStyle, context.lineWidth] = [ground, colour, ring * 0.45];
      context.fill();
      context.stroke();
    });
  }
}

/**
 * Draw a circle, or a square, for each colour, side by side; the canvas learns the side of each and
 * how many lie in a row.
 */
function atlas(canvas, colours, radius, squares, paint) {
  canvas.size = Math.ceil(2.6 * radius) + 2;
  canvas.across = Math.ceil(Math.sqrt(colours.length));
  canvas.width = canvas.height = canvas.across * canvas.size;
  const context = canvas.getContext("2d");
  colours.forEach((colour, i) => {
    context.beginPath();
    const x = (i % canvas.across) * canvas.size, y = Math.floor(i / canvas.across) * canvas.size;
    const middle = canvas.size / 2, half = 0.89 * radius; // as large an area
    if (squares.has(i)) context.rect(x + middle - half, y + middle - half, 2 * half, 2 * half);
    else context.arc(x + middle, y + middle, radius, 0, 2 * Math.PI);
    paint(context, colour, i);
  });
}

/** A step that visits all of n in an order that looks like chance: no class lies above all others. */
function stride(n) {
  const divisor = (a, b) => (b ? divisor(b, a % b) : a);
  let step = Math.max(1, Math.round(n * 0.618034));
  while (divisor(step, n) !== 1) step++;
  return step;
}

/** Colours of the style sheet as a canvas takes them. */
function resolved(parent, colours) {
  const probe = document.createElement("span");
  parent.append(probe);
  const found = colours.map((colour) => {
    probe.style.color = colour;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return found;
}
