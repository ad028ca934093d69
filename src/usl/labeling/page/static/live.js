// A live round: the images in hand, which the server exchanges as it learns, and what the model says.

import { byId, count } from "./dom.js";

const SOON = 250; // ms until the page asks again, while the model learns from the last answer

export class Live {
  /** @param page the page; `on` tells whether its round is live */
  constructor(page) {
    this.page = page;
    this.on = false;
    this.model = {};
    this.timer = 0;
  }

  /** What every request tells: the image on the stage, or the one that comes once it is answered. */
  get showing() {
    if (!this.on) return {};
    const { roundView, single, view } = this.page;
    const ref = view === "single" ? single.ref : null;
    const open = ref !== null && !roundView.said.get(ref)?.length;
    return { showing: (open ? ref : roundView.next(ref)) ?? "" };
  }

  /** Take the server's word: a new hand, and the model's figures. */
  news(told) {
    this.on = Boolean(told);
    if (!told) return;
    const { items, roundView, single, view } = this.page;
    roundView.deal(told.hand, view === "single" ? single.ref : null);
    this.model = told;
    this.page.status.warn(told.fault, "live");
    const coming = single.prepare();
    items.get(coming[0], coming);
    clearTimeout(this.timer);
    if (told.learning && document.visibilityState === "visible") this.timer = setTimeout(() => this.page.poll(), SOON);
  }

  draw() {
    const done = this.page.roundView.done();
    const { estimate } = this.model;
    const bar = byId("bar");
    const share = estimate === null ? "" : percent(estimate);
    bar.setAttribute("aria-label", "Accuracy, as the model estimates it");
    bar.setAttribute("aria-valuemax", 100);
    bar.setAttribute("aria-valuenow", Math.round(100 * (estimate ?? 0)));
    bar.setAttribute("aria-valuetext", share || "not known yet");
    bar.firstElementChild.style.width = share || "0";
    byId("count").textContent = `${done.toLocaleString("en")} answered`;
    byId("left").textContent = share && `about ${share} right`;
    byId("left").title = "Of all labels, yours and the model’s, by the model’s own estimate. usl label --audit measures it.";
    byId("live").hidden = false;
    byId("live").textContent = this.words();
  }

  words() {
    const { learning, labels, more, changed, fault } = this.model;
    if (fault) return "";
    if (!labels) return learning ? "The model is getting ready." : "The model begins to learn once two classes have a label.";
    if (changed === null) return `Learnt from ${count(labels, "label")}.`;
    const last = more > 1 ? `the last ${more}` : more ? "the last one" : "what was corrected";
    return `Learnt from ${count(labels, "label")}; ${last} changed ${percent(changed)} of the predictions.`;
  }
}

/** "91%", and of a small share "0.4%". */
function percent(share) {
  const value = 100 * share;
  return `${value >= 10 || value === 0 ? Math.round(value) : value.toFixed(1)}%`;
}
