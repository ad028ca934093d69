// What is shown beside pictures, fetched in batches and kept.

import { ask } from "./outbox.js";

const KEPT = 3000;

export class Items {
  constructor(mode) {
    this.mode = mode;
    this.kept = new Map(); // row -> item
    this.coming = new Map(); // row -> promise
  }

  known(row) {
    return this.kept.get(row) ?? null;
  }

  /** The item of a row; those of `more` are fetched along if they are missing. */
  async get(row, more = []) {
    if (row === undefined || row === null) return null;
    await this.fetch([row, ...more]);
    return this.known(row);
  }

  async fetch(rows) {
    const missing = rows.filter((row) => !this.kept.has(row) && !this.coming.has(row));
    if (missing.length) {
      const request = ask(`/api/items?mode=${this.mode}&rows=${missing.join(",")}`)
        .then((found) => {
          for (const [row, item] of Object.entries(found)) this.kept.set(Number(row), item);
          while (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
        })
        .catch(() => null) // names are a help; the pictures tell when the server is away
        .finally(() => missing.forEach((row) => this.coming.delete(row)));
      for (const row of missing) this.coming.set(row, request);
    }
    await Promise.all(rows.map((row) => this.coming.get(row)));
  }
}
