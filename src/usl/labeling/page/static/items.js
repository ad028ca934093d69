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

  /** Begin anew; what is still on its way was true before, and is forgotten, too. */
  forget() {
    this.kept = new Map();
    this.coming = new Map();
  }

  /** The item of an image; those of `more` are fetched along if they are missing. */
  async get(ref, more = []) {
    if (ref === undefined || ref === null) return null;
    await this.fetch([ref, ...more]);
    return this.known(ref);
  }

  async fetch(refs) {
    const { kept, coming } = this;
    const missing = refs.filter((ref) => !kept.has(ref) && !coming.has(ref));
    if (missing.length) {
      const request = tell("/api/items", { mode: this.mode, images: missing })
        .then((found) => {
          for (const [ref, item] of Object.entries(found)) kept.set(ref, item);
          while (kept.size > KEPT) kept.delete(kept.keys().next().value);
        })
        .catch(() => null) // names are a help; the pictures tell when the server is away
        .finally(() => missing.forEach((ref) => coming.delete(ref)));
      for (const ref of missing) coming.set(ref, request);
    }
    await Promise.all(refs.map((ref) => coming.get(ref)));
  }
}
