// Zoom and pan of the picture on the stage: wheel, pinch, drag, double click, keys.

const MOST = 12;
const TOGGLED = 3;

export class Zoom {
  /** @param sharper called when the picture is shown larger than it was asked for */
  constructor(stage, sharper) {
    Object.assign(this, { stage, sharper, image: null, scale: 1, x: 0, y: 0 });
    this.pointers = new Map();
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("dblclick", (event) => this.toggle(event));
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
  }

  attach(image) {
    this.image = image;
    this.pointers.clear();
    this.set(1, 0, 0);
  }

  get active() {
    return this.scale > 1;
  }

  set(scale, x, y) {
    this.scale = Math.min(MOST, Math.max(1, scale));
    const { clientWidth: width, clientHeight: height } = this.stage;
    const limit = (size) => ((this.scale - 1) * size) / 2;
    this.x = Math.max(-limit(width), Math.min(limit(width), x));
    this.y = Math.max(-limit(height), Math.min(limit(height), y));
    this.stage.classList.toggle("zoomed", this.active);
    if (!this.image) return;
    this.image.style.transform = this.active ? `translate(${this.x}px, ${this.y}px) scale(${this.scale})` : "";
    if (this.active) this.sharper();
  }

  /** Zoom by a factor; the point of the picture under (clientX, clientY) stays where it is. */
  by(factor, at = null) {
    const box = this.stage.getBoundingClientRect();
    const [px, py] = at ? [at.clientX - box.x - box.width / 2, at.clientY - box.y - box.height / 2] : [0, 0];
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const ratio = scale / this.scale;
    this.set(scale, px - (px - this.x) * ratio, py - (py - this.y) * ratio);
  }

  toggle(at = null) {
    if (this.active) this.set(1, 0, 0);
    else this.by(TOGGLED, at);
  }

  pan(dx, dy) {
    this.set(this.scale, this.x + dx, this.y + dy);
  }

  wheel(event) {
    if (!this.image) return;
    event.preventDefault();
    this.by(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0022)), event);
  }

  down(event) {
    this.pointers.set(event.pointerId, event);
    if (this.active || this.pointers.size > 1) this.stage.setPointerCapture(event.pointerId);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const others = [...this.pointers.values()].filter(({ pointerId }) => pointerId !== event.pointerId);
    this.pointers.set(event.pointerId, event);
    if (!others.length) {
      if (this.active) this.pan(event.clientX - before.clientX, event.clientY - before.clientY);
      return;
    }
    const reach = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY);
    const middle = {
      clientX: (event.clientX + others[0].clientX) / 2,
      clientY: (event.clientY + others[0].clientY) / 2,
    };
    if (reach(before) > 0) this.by(reach(event) / reach(before), middle);
  }
}
