// What is shown beside pictures, fetched in batches and kept.

import { tell } from "./exchange.js";

const KEPT = 3000;

export class Items {
  constructor(mode) {
    this.mode = mode;
    this.kept = new Map(); // ref -> item
    this.coming = new Map(); // ref -> promise
  }

  known(ref) {
    return this.kept.get(ref) ?? null;
  }

  forget() {
    this.kept.clear();
  }

  /** The item of an image; those of `more` are fetched along if they are missing. */
  async get(ref, more = []) {
    if (ref === undefined || ref === null) return null;
    await this.fetch([ref, ...more]);
    return this.known(ref);
  }

  async fetch(refs) {
    const missing = refs.filter((ref) => !this.kept.has(ref) && !this.coming.has(ref));
    if (missing.length) {
      const request = tell("/api/items", { mode: this.mode, images: missing })
        .then((found) => {
          for (const [ref, item] of Object.entries(found)) this.kept.set(ref, item);
          while (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
        })
        .catch(() => null) // names are a help; the pictures tell when the server is away
        .finally(() => missing.forEach((ref) => this.coming.delete(ref)));
      for (const ref of missing) this.coming.set(ref, request);
    }
    await Promise.all(refs.map((ref) => this.coming.get(ref)));
  }
}
