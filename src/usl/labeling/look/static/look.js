// The gallery of the whole collection: filters, a list that draws what is in sight, corrections.

import { byId, count, make, say, typing } from "/static/dom.js";
import { ask, idOf, tell } from "/static/exchange.js";
import { newKey, Outbox } from "/static/outbox.js";
import { Pictures } from "/static/pictures.js";
import { Status } from "/static/status.js";
import { tellForeign, tellHeld } from "/static/unsent.js";
import { Filters } from "./filters.js";
import { One } from "./one.js";
import { Sheet } from "./sheet.js";

const POLL = 4000; // ms between looks for what others did
const STUDY = 1000; // ms between looks how far a study is
const WORDS = { labelled: "by a person", predicted: "predicted", swept: "confirmed by sweep", conflict: "annotators differ", none: "none" };

class Look {
  constructor() {
    const { annotator, run } = document.body.dataset;
    Object.assign(this, { annotator, run, who: { as: annotator, mode: "label" }, last: 0, version: "", shown: "" });
    this.done = []; // { key, images } that can be taken back, the last one last
    this.pictures = new Pictures();
    this.status = new Status();
    this.filters = new Filters(() => this.find());
    this.sheet = new Sheet(this);
    this.one = new One(this);
  }

  async start() {
    this.outbox = new Outbox(
      this.run,
      `labels/label/${this.annotator}`,
      (operations, signal) => tell("/api/operations", { ...this.who, since: this.last, operations }, signal),
      (answer) => this.told(answer),
      (state, left, error = null) => this.status.saving(state === "saved" && this.outbox.held.size ? "held" : state, left, error),
    );
    await this.refresh();
    await this.find();
    byId("undo").addEventListener("click", () => this.undo());
    for (const kind of ["quality", "near"]) {
      byId(`study-${kind}`).addEventListener("click", () => this.study(kind === "near" ? "near-duplicates" : kind));
    }
    document.addEventListener("keydown", (event) => {
      const undo = event.key === "Backspace" || ((event.ctrlKey || event.metaKey) && event.key === "z");
      if (!undo || typing(event.target)) return;
      event.preventDefault();
      this.undo();
    });
    tellForeign(this);
    this.outbox.show();
    this.outbox.flush();
    document.body.dataset.ready = "yes";
    setInterval(() => document.visibilityState === "visible" && this.poll(), POLL);
    setInterval(() => document.visibilityState === "visible" && this.facts.study && this.poll(), STUDY);
  }

  /** What there is to filter by. */
  async refresh() {
    this.facts = await ask("/api/look");
    const { trained, fault, last, names, classes, study, version } = this.facts;
    Object.assign(this, { last, names, version, classes });
    this.filters.offer(this.facts);
    const missing = trained || fault ? fault : "Nothing is predicted yet: usl train makes a prediction for every image.";
    this.status.warn(missing, "model");
    byId("study").textContent = study ? `${study[0]}: ${study[1].toLocaleString("en")} of ${study[2].toLocaleString("en")}` : "";
    for (const button of [byId("study-quality"), byId("study-near")]) button.disabled = Boolean(study);
  }

  /** Show what the filters say, from the top. */
  async find(keep = false) {
    this.status.warn("", "find");
    try {
      await this.sheet.load(this.filters.asked(), keep);
    } catch (error) {
      this.status.warn(error.fault ?? "The server does not answer; is usl look still running?", "find");
    }
  }

  /** What a request for images brought beside them. */
  found({ total, counts, version }) {
    this.shown = version;
    this.filters.counted(counts);
    const all = this.facts.images;
    byId("total").textContent = total === all ? count(all, "image") : `${total.toLocaleString("en")} of ${count(all, "image")}`;
    byId("none").hidden = total > 0;
    byId("none").textContent = "No image is like that.";
  }

  async poll() {
    try {
      await this.refresh();
      if (this.version !== this.shown) await this.find(true);
      if (!this.outbox.waiting.size) this.outbox.show();
    } catch (error) {
      this.status.saving("failed", this.outbox.waiting.size, error);
    }
  }

  async study(kind) {
    try {
      await tell("/api/look/study", { study: kind });
      await this.refresh();
    } catch (error) {
      this.status.warn(error.fault ?? "The server does not answer.", "study");
    }
  }

  /** What an image's label is, in words. */
  static said({ label, source }) {
    return label ?? (source === "labelled" ? "no class" : source === "conflict" ? "in conflict" : "no label");
  }

  static by(item) {
    return WORDS[item.source];
  }

  /** Say what an image is. Refused where somebody else has answered since it was shown. */
  correct(item, kind, label = null) {
    const operation = { key: newKey(), type: "answer", images: [item.image], kind, label, seen: this.last, names: this.names };
    this.done.push({ key: operation.key, images: operation.images });
    Object.assign(item, { label, source: "labelled" });
    this.sheet.draw();
    this.outbox.push(operation);
    byId("undo").disabled = false;
    say(`${idOf(item.image)}: ${label ?? (kind === "bad" ? "bad image" : "cannot tell")}.`);
  }

  undo() {
    const last = this.done.pop();
    byId("undo").disabled = !this.done.length;
    if (!last) {
      say("There is nothing to take back.");
      return;
    }
    this.outbox.push({ key: newKey(), type: "undo", of: last.key, images: last.images });
    say(`Taken back: ${idOf(last.images[0])}.`);
  }

  told(answer) {
    for (const { key, fault } of answer.refused) {
      this.done = this.done.filter((one) => one.key !== key);
      this.status.warn(`Not kept: ${fault}`);
    }
    byId("undo").disabled = !this.done.length;
    if (answer.done.length) this.status.warn("");
    tellHeld(this);
    this.status.warn(answer.fault, "settle");
    if (!this.outbox.waiting.size) this.refresh().then(() => this.find(true));
  }
}

const look = new Look();
look.start().catch((error) => {
  look.status.warn(`The page could not start: ${error.fault ?? error.message}. Is usl look still running?`);
});
