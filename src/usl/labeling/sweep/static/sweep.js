// Sheets of pictures that are predicted to be one class: a glance, a few clicks, Enter.

import { byId, count, make, say, typing } from "/static/dom.js";
import { ask, tell } from "/static/exchange.js";
import { newKey, Outbox } from "/static/outbox.js";
import { Pictures } from "/static/pictures.js";
import { Status } from "/static/status.js";
import { tellForeign, tellHeld } from "/static/unsent.js";
import { Tiles } from "./tiles.js";
import { Waiting } from "./waiting.js";

const POLL = 5000; // ms between looks for what others did; a sheet is kept as long as they come
const GLANCE = 500; // ms that a sheet is looked at, at least: a second Enter is no second glance
const LONGEST = 600; // seconds; a longer look is a break

class SweepPage {
  constructor() {
    const { annotator, run } = document.body.dataset;
    Object.assign(this, { annotator, run, who: { as: annotator, mode: "label", page: tab() } });
    this.pictures = new Pictures();
    this.status = new Status();
    this.tiles = new Tiles(this);
    this.one = new Waiting(this);
    this.label = ""; // the class of the sheet, empty while there is none
    this.passed = new Set(); // classes that were not wanted now
    this.done = []; // { key, images, label } that can be taken back, the last one last; `label`: no sheet
    this.shownAt = 0; // when the sheet was drawn
  }

  async start() {
    this.outbox = new Outbox(
      this.run,
      `sweep/label/${this.annotator}`,
      (operations, signal) => tell("/api/sweep/operations", { ...this.who, since: 0, operations }, signal),
      (answer) => this.told(answer),
      (state, left, error = null) => this.status.saving(state === "saved" && this.outbox.held.size ? "held" : state, left, error),
    );
    this.learn(await ask("/api/sweep", this.who));
    this.done = this.facts.done;
    const begin = this.facts.predicted.some(({ name }) => name === this.facts.begin) ? this.facts.begin : "";
    byId("class").value = begin;
    this.listen();
    tellForeign(this);
    this.outbox.show();
    if (this.outbox.waiting.size) await this.outbox.flush(); // what an earlier page could not send
    await this.next();
    document.body.dataset.ready = "yes";
    setInterval(() => document.visibilityState === "visible" && this.poll(), POLL);
  }

  listen() {
    const does = {
      confirm: () => this.confirm(),
      flip: () => this.tiles.flip(),
      pass: () => this.pass(),
      undo: () => this.undo(),
      "one-by-one": () => this.one.open(),
    };
    for (const [id, action] of Object.entries(does)) byId(id).addEventListener("click", action);
    byId("class").addEventListener("change", () => this.next());
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("resize", () => this.tiles.arrange());
  }

  /** Take in what the server tells beside the sheets. */
  learn(facts) {
    this.facts = { ...this.facts, ...facts };
    this.waiting = this.facts.waiting;
    const select = byId("class");
    const chosen = select.value;
    const options = this.facts.predicted.filter(({ name, left }) => left || name === chosen);
    const known = options.map(({ name, left }) => new Option(`${name} (${left.toLocaleString("en")})`, name));
    if (document.activeElement !== select) {
      select.replaceChildren(new Option("the most promising", ""), ...known);
      select.value = chosen;
    }
    if (this.facts.fault) this.status.warn(this.facts.fault, "model");
    this.update();
  }

  /** Fetch the next sheet and draw it. */
  async next() {
    const asked = (this.asked = Symbol("sheet"));
    this.shownAt = 0;
    const label = byId("class").value;
    let sheet;
    try {
      sheet = await tell("/api/sweep/sheet", { ...this.who, size: this.tiles.size(), label, after: this.passed.has(this.label) ? "" : this.label, without: [...this.passed] });
    } catch (error) {
      this.status.saving("failed", this.outbox.waiting.size, error);
      this.failed = true; // until the server is heard of again
      return;
    }
    this.failed = false;
    if (this.asked !== asked) return; // another one is on its way
    if (!sheet.label && (label || this.passed.size)) {
      if (label) say(`No sheet of ${label} is left.`);
      byId("class").value = "";
      this.passed.clear();
      await this.next();
      return;
    }
    const changed = sheet.label !== this.label;
    Object.assign(this, { label: sheet.label, left: sheet.left });
    byId("question").classList.toggle("changed", changed && Boolean(sheet.label));
    byId("end").hidden = Boolean(sheet.label);
    this.tiles.show(sheet.images);
    if (sheet.label) this.tellSheet(sheet);
    else this.end();
    this.update();
  }

  tellSheet({ label, left, images }) {
    byId("question").replaceChildren("Are all of these ", make("b", {}, label), "?");
    const [most, least] = [images[0], images.at(-1)].map(({ confidence }) => `${Math.round(100 * confidence)}%`);
    byId("sure").textContent = `By the model ${most === least ? most : `${most} to ${least}`} sure; ${left ? `${left.toLocaleString("en")} more` : "the last ones"}`;
    say(`${count(images.length, "image")}, predicted to be ${label}. Unmark what is something else, then press Enter.`);
  }

  /** Nothing is left, of the class that was chosen or at all. */
  end() {
    const { fault, predicted, waiting } = this.facts;
    const more = predicted.some(({ left }) => left > 0);
    byId("question").textContent = "Sweep";
    byId("sure").textContent = "";
    const title = !predicted.length ? "Nothing is predicted yet" : more ? "Nothing is left for a glance" : "All is swept";
    byId("end-title").textContent = title;
    const unsure = "What is left is on other screens, or the model is less than half sure of it. Train with the new labels, or choose a class to go on with it.";
    const reasons = more ? unsure : "";
    byId("end-note").textContent = waiting.length ? `${count(waiting.length, "unmarked image")} wait${waiting.length === 1 ? "s" : ""} for a label. ${reasons}` : reasons;
    byId("end-command").textContent = `usl train ${this.facts.run}`;
    byId("end-next").hidden = Boolean(fault);
    say(title);
  }

  /** All pictures of the sheet are on the screen. */
  drawn() {
    if (this.shownAt || !this.tiles.drawn) return;
    this.shownAt = performance.now();
    document.body.dataset.sheet = this.label;
    setTimeout(() => this.update(), GLANCE + 10);
    if (!document.querySelector("dialog[open]") && !typing(document.activeElement)) this.tiles.focus();
  }

  get ready() {
    return Boolean(this.label) && this.shownAt > 0 && performance.now() - this.shownAt >= GLANCE;
  }

  /** Bring texts and buttons up to date. */
  update() {
    const { tiles, facts } = this;
    const { marked } = tiles;
    const text = !this.label ? "Nothing to confirm" : !tiles.drawn ? `Drawing, ${tiles.seen.size} of ${tiles.images.length}` : marked ? `${marked === 1 ? "This one is" : `These ${marked} are`} ${this.label}` : `None is ${this.label}`;
    byId("confirm-text").textContent = text;
    byId("confirm").disabled = !this.ready;
    byId("flip").disabled = byId("pass").disabled = !this.label;
    byId("flip-text").textContent = this.label && !marked ? "Mark all" : "Unmark all";
    byId("undo").disabled = !this.done.length;
    byId("one-by-one").hidden = !this.waiting?.length;
    byId("one-by-one-text").textContent = `Label the ${this.waiting?.length ?? 0} unmarked`;
    if (!facts) return;
    const { confirmed, seconds } = facts;
    const pace = confirmed ? ` in ${duration(seconds)}, ${(seconds / confirmed).toFixed(2)} s each` : "";
    byId("total").textContent = `${confirmed.toLocaleString("en")} confirmed${pace}`;
  }

  confirm() {
    if (!this.ready) {
      say("The sheet is not drawn yet.");
      return;
    }
    const { shown, unmarked } = this.tiles;
    if (!shown.length) {
      this.pass();
      return;
    }
    const seconds = Math.round((performance.now() - this.shownAt) / 10) / 100;
    const operation = { key: newKey(), type: "sheet", label: this.label, images: shown, unmarked: [...unmarked], names: this.facts.names };
    if (seconds < LONGEST) operation.seconds = seconds;
    this.done.push({ key: operation.key, images: shown.length });
    say(`${count(shown.length - unmarked.size, "image")}: ${this.label}.`);
    this.sent(operation);
  }

  /** Send what changes what there is to sweep; the next sheet comes once it is kept. */
  sent(operation) {
    this.shownAt = 0;
    this.fetching = true;
    byId("board").setAttribute("aria-busy", "true");
    this.update();
    this.outbox.push(operation);
  }

  /** Another class, for now. */
  pass() {
    if (!this.label) return;
    byId("class").value = "";
    this.passed.add(this.label);
    this.next();
  }

  answer(image, kind, label) {
    this.waiting = this.waiting.filter((ref) => ref !== image);
    const operation = { key: newKey(), type: "answer", images: [image], kind, label, names: this.facts.names };
    this.done.push({ key: operation.key, images: 1, label: true });
    this.outbox.push(operation);
    this.update();
  }

  undo() {
    const last = this.done.pop();
    if (!last) {
      say("There is nothing to take back.");
      return;
    }
    say(`Taken back: ${count(last.images, "image")}.`);
    const operation = { key: newKey(), type: "undo", of: last.key, images: [] };
    if (last.label) this.outbox.push(operation); // the sheet on the screen stays as it is
    else this.sent(operation);
  }

  told(answer) {
    for (const { key, fault } of answer.refused) {
      this.done = this.done.filter((one) => one.key !== key);
      this.status.warn(`Not kept: ${fault}`);
    }
    if (answer.done.length) this.status.warn("");
    const left = answer.left.reduce((sum, { images }) => sum + images, 0);
    if (left) this.status.warn(`${count(left, "image")} of the sheet ${left === 1 ? "was" : "were"} left out. ${answer.left[0].fault}`, "left");
    else if (answer.done.length) this.status.warn("", "left");
    tellHeld(this);
    this.status.warn(answer.fault, "settle");
    this.learn(answer.facts);
    if (this.fetching && !this.outbox.waiting.size) {
      this.fetching = false;
      byId("board").removeAttribute("aria-busy");
      this.next();
    }
  }

  /** After the dialog of unmarked images. */
  closed() {
    if (this.label) this.tiles.focus();
    else this.end();
  }

  async poll() {
    try {
      this.learn(await ask("/api/sweep", { ...this.who, news: 1 }));
      if (!this.outbox.waiting.size) this.outbox.show();
      if (this.failed) this.next();
    } catch (error) {
      this.status.saving("failed", this.outbox.waiting.size, error);
    }
  }

  key(event) {
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    const { key, target } = event;
    const undo = key === "Backspace" || ((event.ctrlKey || event.metaKey) && key === "z");
    if (undo && !typing(target)) {
      event.preventDefault();
      if (!event.repeat) this.undo();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(target)) return;
    const onTile = Boolean(target.closest?.("#tiles"));
    if (key === "Enter" && !onTile && target.closest?.("button, a")) return; // it is the button's own
    const does = { Enter: () => this.confirm(), a: () => this.tiles.flip(), n: () => this.pass(), l: () => this.one.open() };
    const action = does[key.length === 1 ? key.toLowerCase() : key];
    if (!action) return;
    event.preventDefault();
    if (!event.repeat) action();
  }
}

/** What tells this tab from others, also after it was loaded anew. */
function tab() {
  const fresh = newKey();
  try {
    const known = sessionStorage.getItem("usl/tab") ?? fresh;
    sessionStorage.setItem("usl/tab", known);
    return known;
  } catch {
    return fresh;
  }
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.round(seconds)} s`;
}

const page = new SweepPage();
page.start().catch((error) => {
  page.status.warn(`The page could not start: ${error.fault ?? error.message}. Is usl label still running?`);
});
