// The unmarked images, one by one, in the gallery's own dialog: each gets a label of its own.

import { One } from "/static/look/one.js";

export class Waiting {
  /** @param page the page; `page.send(operation)` keeps an answer, `page.waiting` is what waits */
  constructor(page) {
    this.page = page;
    this.items = [];
    this.one = new One(this);
  }

  // What the dialog asks of its page.

  static said({ label }) {
    return label ?? "no label";
  }

  static by() {
    return "unmarked in a sheet";
  }

  get sheet() {
    return {
      total: this.items.length,
      get: async (place) => this.items[place] ?? null,
      focus: () => this.page.closed(),
    };
  }

  get classes() {
    return this.page.facts.classes;
  }

  open() {
    this.items = this.page.waiting.map((image) => ({ image, label: null, confidence: null, predicted: null, source: "none", subset: "train", flags: [] }));
    if (this.items.length) this.one.show(0);
  }

  /** An image was answered: on to the next. */
  correct(item, kind, label = null) {
    this.page.answer(item.image, kind, label);
    const place = this.items.indexOf(item);
    this.items.splice(place, 1);
    queueMicrotask(() => {
      if (this.items.length) this.one.show(Math.min(place, this.items.length - 1));
      else this.one.dialog.close();
    });
  }
}
