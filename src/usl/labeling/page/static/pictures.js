// Pictures ahead of need: the large one at once, the next few behind it, thumbnails last, so that
// they never hold up a picture somebody waits for.

import { pictureAddress, reason } from "./exchange.js";

const SIZES = [640, 960, 1280, 1600, 2048, 2880, 4096];
const KEPT = 16; // large pictures held decoded
const THUMBS_AT_ONCE = 2; // of the six connections that browsers open

export class Pictures {
  constructor() {
    this.large = new Map(); // ref -> { image, side, ready, state }
    this.thumbs = []; // { image, ref, side } still to load
    this.loading = 0; // large pictures under way
    this.running = 0; // thumbnails under way
  }

  /** The side to ask for, so that the picture is sharp in the element. */
  static side(element) {
    const wanted = Math.max(element.clientWidth, element.clientHeight, 320) * (devicePixelRatio || 1);
    return SIZES.find((size) => size >= wanted * 0.98) ?? SIZES.at(-1);
  }

  /** A picture, decoded when `ready` resolves; `here` tells whether, else `fault` and `status` why not. */
  get(ref, side) {
    const known = this.large.get(ref);
    if (known && known.side >= side && known.fault === undefined) {
      this.large.delete(ref); // to the end: used last
      this.large.set(ref, known);
      return known;
    }
    const image = new Image();
    image.decoding = "async";
    image.draggable = false;
    image.setAttribute("elementtiming", "picture");
    image.src = pictureAddress(ref, side);
    const found = { image, side, here: false, fault: undefined };
    this.loading += 1;
    found.ready = image
      .decode()
      .then(() => {
        found.here = true;
      })
      .catch(async () => {
        Object.assign(found, await reason(image.src));
      })
      .finally(() => {
        this.loading -= 1;
        this.pump();
      });
    this.large.delete(ref);
    this.large.set(ref, found);
    for (const other of this.large.keys()) {
      if (this.large.size <= KEPT) break;
      this.large.delete(other);
    }
    return found;
  }

  ahead(refs, side) {
    for (const ref of refs) this.get(ref, side);
  }

  /** An image element that gets its picture when there is time. */
  thumb(ref, side, alt) {
    const image = new Image();
    image.alt = alt;
    image.decoding = "async";
    image.draggable = false;
    this.thumbs.push({ image, ref, side });
    queueMicrotask(() => this.pump());
    return image;
  }

  /** Give up thumbnails below an element that is about to go. */
  drop(element) {
    this.thumbs = this.thumbs.filter(({ image }) => !element.contains(image));
  }

  pump() {
    while (this.thumbs.length && this.running < THUMBS_AT_ONCE && !this.loading) {
      const { image, ref, side } = this.thumbs.shift();
      this.running += 1;
      const done = () => {
        this.running -= 1;
        this.pump();
      };
      image.addEventListener("load", () => {
        image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) < 100);
        done();
      });
      image.addEventListener("error", () => {
        image.classList.add("broken");
        done();
      });
      image.src = pictureAddress(ref, side);
    }
  }
}
