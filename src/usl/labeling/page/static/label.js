// The labelling page: puts the parts together; what is on show, what is answered, what is new.

import { byId, count, remember, remembered, say, typing } from "./dom.js";
import { RoundView } from "./round_view.js";
import { drawEnd, drawReview } from "./finish.js";
import { Grid } from "./grid.js";
import { Items } from "./items.js";
import { KeysDialog } from "./keys.js";
import { Live } from "./live.js";
import { ask, idOf, tell } from "./exchange.js";
import { cutInTheMiddle } from "./names.js";
import { newKey, Outbox } from "./outbox.js";
import { Panel, WORDS } from "./panel.js";
import { Pictures } from "./pictures.js";
import { actionOf } from "./shortcuts.js";
import { SimilarDialog } from "./similar.js";
import { Single } from "./single.js";
import { Status } from "./status.js";
import { toast } from "./toast.js";
import { tellForeign, tellHeld } from "./unsent.js";

const POLL = 5000; // ms between looks for what other pages did
const PACE = 20; // answers that the time left is estimated from
const CHANGES = new Set(["class", "hotkey", "rename", "remove"]); // operations on the classes
const BREAK = 120; // seconds; a longer look is a break

class Page {
  constructor() {
    const { annotator, mode, run } = document.body.dataset;
    Object.assign(this, { annotator, mode, run });
    this.names = 0; // number of the newest change of the classes that is known
    this.pictures = new Pictures();
    this.items = new Items(mode);
    this.panel = new Panel(this);
    this.single = new Single(this);
    this.grid = new Grid(this);
    this.similar = new SimilarDialog(this);
    this.keys = new KeysDialog(this);
    this.status = new Status();
    this.live = new Live(this);
    this.trail = []; // images shown before, for going back
    this.old = false; // the server has another run or listing by now, and takes nothing from here
    this.view = "single"; // or "grid", "end"
    this.paces = [];
  }

  async start() {
    this.useShortcuts(remembered("shortcuts", "on") === "on");
    this.who = { as: this.annotator, mode: this.mode };
    this.state = await ask("/api/state", this.who);
    this.version = this.state.version;
    this.names = this.state.names;
    this.roundView = new RoundView(this.state);
    this.paces = this.state.pace === null ? [] : [this.state.pace];
    const place = `${this.state.round}/${this.mode}/${this.annotator}`;
    this.outbox = new Outbox(
      this.run,
      place,
      (operations, signal) => tell("/api/operations", { ...this.who, ...this.live.showing, since: this.version, operations }, signal),
      (answer) => this.told(answer),
      (...state) => this.saving(...state),
    );
    for (const operation of this.outbox.waiting.values()) this.roundView.apply(operation);
    this.live.news(this.state.live);
    this.channel = new BroadcastChannel(`usl/${this.run}/${place}`);
    this.channel.onmessage = ({ data }) => this.heard(data);
    this.setClasses(this.state.classes);
    if (this.mode === "review") drawReview(this.state);
    this.listen();
    const grid = remembered("view", "single") === "grid" && this.mode === "label" && !this.live.on;
    if (grid && this.roundView.next() !== null) this.openGrid();
    else this.go(this.roundView.next());
    tellForeign(this);
    this.outbox.show();
    this.outbox.flush();
    document.body.dataset.ready = "yes";
    setInterval(() => document.visibilityState === "visible" && this.poll(), POLL);
  }

  /** The parts of the page that depend on the round. */
  frame() {
    const { state } = this;
    byId("round").textContent = this.mode === "review" ? "Conflicts" : state.title;
    const who = byId("who");
    who.textContent = this.annotator || "your name?";
    if (state.fixed) who.removeAttribute("href");
    byId("review-link").hidden = this.mode === "review" || state.kind !== "labels" || state.people < 2;
    byId("look-link").hidden = this.mode === "review" || state.kind !== "labels";
    byId("sweep-link").hidden = this.mode === "review" || !state.sweep;
    byId("label-link").hidden = this.mode !== "review";
    byId("view-toggle").hidden = this.mode === "review";
    byId("open-similar").hidden = !state.similar;
    for (const option of [...byId("filter").options]) if (option.dataset.class) option.remove();
    for (const { name } of this.panel.classes) {
      const option = new Option(name, `label:${name}`);
      option.dataset.class = "yes";
      byId("filter").add(option);
    }
  }

  listen() {
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.poll(true));
    const does = {
      unsure: () => this.answer("unsure"),
      bad: () => this.answer("bad"),
      skip: () => this.answer("skip"),
      back: () => this.back(),
      forward: () => this.forward(),
      undo: () => this.undo(),
      "view-toggle": () => (this.view === "grid" ? this.openSingle() : this.openGrid()),
      "keys-open": () => this.keys.open(),
      theme: () => switchTheme(),
      "end-skipped": () => this.go(this.roundView.skipped()[0]),
      "end-grid": () => this.openGrid("all"),
    };
    for (const [id, action] of Object.entries(does)) {
      byId(id).addEventListener("click", (event) => {
        if (event.detail) document.activeElement?.blur();
        action();
      });
    }
    let timer = 0;
    addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.view === "single" && this.single.zoom.set(1, 0, 0), 150);
    });
  }

  // What is on show

  /** The answer to the picture on the stage. */
  shown() {
    return this.view === "single" && this.single.ref !== null ? this.roundView.current(this.single.ref) : null;
  }

  show(view) {
    this.view = view;
    byId("single").hidden = view !== "single";
    byId("grid").hidden = view !== "grid";
    byId("end").hidden = view !== "end";
    byId("panel").dataset.view = view;
    const toggle = byId("view-toggle");
    toggle.setAttribute("aria-pressed", String(view === "grid"));
  }

  /** Put an image on the stage; null is the end. */
  go(ref, { remember: keep = true } = {}) {
    if (ref === null || ref === undefined) {
      this.show("end");
      this.single.ref = null;
      this.panel.describe({}); // what the model said of the last image
      drawEnd(this);
      say(byId("end-title").textContent);
    } else {
      if (keep && this.single.ref !== null && this.single.ref !== ref) this.trail.push(this.single.ref);
      this.show("single");
      this.single.show(ref);
    }
    this.refresh();
  }

  refresh() {
    this.panel.draw();
    if (this.live.on) this.live.draw();
    else this.status.progress(this.roundView, this.paces);
    byId("undo").disabled = !this.roundView.groups.length;
    byId("back").disabled = !this.trail.length && this.view !== "end";
  }

  openGrid(filter = null) {
    if (this.mode === "review") return;
    if (filter) byId("filter").value = filter;
    this.show("grid");
    remember("view", "grid");
    this.grid.load();
    this.grid.focus();
    this.refresh();
    say("Grid. Arrows move, Space selects, a class key labels what is selected.");
  }

  openSingle(ref = null) {
    remember("view", "single");
    this.go(ref ?? this.roundView.next());
  }

  openSimilar(ref) {
    this.similar.open(ref);
  }

  back() {
    if (this.view === "grid") return;
    const ref = this.trail.pop();
    if (ref !== undefined) this.go(ref, { remember: false });
    else if (this.view === "end" && this.roundView.order.length) this.go(this.roundView.order.at(-1));
    else say("This is where you began.");
  }

  /** On without an answer, one place in the order. */
  forward() {
    if (this.view !== "single") return;
    const place = this.roundView.place.get(this.single.ref) ?? -1;
    this.go(this.roundView.order[place + 1] ?? this.roundView.next(this.single.ref) ?? null);
  }

  // Answers

  /** Answer for the picture on the stage, for what is selected, or for `images`. */
  answer(kind, label = null, images = null) {
    if (this.refuseOld()) return;
    const targets = images ?? (this.view === "grid" ? this.grid.targets : this.view === "single" ? [this.single.ref] : []);
    if (!targets.length) {
      say(this.view === "grid" ? "Nothing is selected." : "There is no picture to answer for.");
      return;
    }
    const alone = this.view === "single" && images === null;
    if (alone && !this.single.ready && kind !== "skip") {
      say(this.single.fault || "The picture is still loading.");
      return;
    }
    const operation = { key: newKey(), type: "answer", images: targets, kind, label, ...this.known() };
    if (alone && this.single.ready) {
      const seconds = (performance.now() - this.single.shownAt) / 1000;
      operation.seconds = Math.round(seconds * 100) / 100;
      if (kind !== "skip" && seconds < BREAK) this.paces = [...this.paces.slice(1 - PACE), seconds];
    }
    this.do(operation);
    const what = label ?? WORDS[kind];
    const done = `${this.roundView.done()}${this.live.on ? " answered" : ` of ${this.roundView.order.length}`}`;
    this.noteLast(targets, what);
    if (this.view === "grid") {
      this.grid.answered();
      this.refresh();
      say(`${count(targets.length, "image")}: ${what}. ${done}.`);
      return;
    }
    const next = this.roundView.next(this.single.ref);
    this.go(next);
    if (next !== null) say(`${what}. ${done}. ${idOf(next)}`);
  }

  do(operation) {
    this.roundView.apply(operation);
    this.channel.postMessage({ operation });
    this.outbox.push(operation);
  }

  /** Whether nothing more can be said on this page; if so, say why. */
  refuseOld() {
    if (this.old) say(byId("banner").textContent);
    return this.old;
  }

  undo() {
    if (this.refuseOld()) return;
    const group = this.roundView.groups.at(-1);
    if (!group) {
      say("There is nothing to take back.");
      return;
    }
    this.do({ key: newKey(), type: "undo", of: group.key, images: group.images });
    const what = group.images.length ? count(group.images.length, "image") : "the last change of the classes";
    say(`Taken back: ${what}.`);
    byId("last").textContent = "";
    if (!group.images.length) {
      this.refresh(); // what the classes are called now comes from the server
      return;
    }
    if (this.view === "grid") {
      this.grid.undone(group.images);
      this.refresh();
    } else this.go(group.images[0], { remember: false });
    this.trail = this.trail.filter((ref) => ref !== this.single.ref);
  }

  noteLast(images, what) {
    const name = images.length === 1 ? idOf(images[0]).split("/").at(-1) : count(images.length, "image");
    cutInTheMiddle(byId("last"), `${name} → ${what}`);
  }

  addClass(name) {
    const taken = new Set(this.panel.classes.map(({ hotkey }) => hotkey));
    const hotkey = [..."123456789"].find((digit) => !taken.has(digit)) ?? "";
    if (this.changeClasses({ type: "class", name }, [...this.panel.classes, { name, hotkey }])) {
      toast(`“${name}” is a new class.`);
    }
  }

  /** Change the list of classes, to what it is until the server has told; whether that can be done. */
  changeClasses(operation, classes) {
    if (this.refuseOld()) return false;
    this.do({ key: newKey(), ...this.known(), ...operation });
    this.setClasses(classes);
    this.refresh();
    return true;
  }

  setClasses(classes) {
    this.panel.set(classes);
    const several = this.panel.offered.find(({ names }) => names.length > 1);
    const names = several?.names.map((name) => `“${name}”`).join(" and ");
    const text = several ? `${names} differ in case or blanks alone; here they are one class.` : "";
    const merge = () => this.keys.merge(several);
    this.status.warn(text, "alike", { name: `Merge them into “${several?.name}”`, does: merge });
    this.frame();
    this.keys.update();
  }

  /** What the model says of an image, where the round may show it: `label` and `confidence`. */
  guess(ref) {
    const found = this.state.model?.[this.roundView.place.get(ref)];
    return found ? { label: found[0], confidence: found[1] } : null;
  }

  /** Whether own changes of the classes are on their way. */
  get changing() {
    return [...this.outbox.waiting.values()].some(({ type }) => CHANGES.has(type));
  }

  /** What an operation says of the names that it uses: as of when they are known. */
  known() {
    return this.changing ? {} : { names: this.names };
  }

  useShortcuts(wanted) {
    this.shortcuts = wanted;
    document.body.dataset.shortcuts = wanted ? "on" : "off";
    remember("shortcuts", wanted ? "on" : "off");
  }

  // The server and other tabs

  told(answer) {
    for (const { fault } of answer.refused) this.status.warn(`Not kept: ${fault}`);
    tellHeld(this);
    this.news(answer);
    if (this.view === "end") drawEnd(this); // it tells whether all is saved
    if (answer.refused.length || answer.held.length) this.resync().catch(() => {});
    if (answer.done.length) this.channel.postMessage({ look: true });
  }

  saving(state, left, error = null) {
    this.old = error?.status === 409;
    this.status.saving(state === "saved" && this.outbox.held.size ? "held" : state, left, error);
  }

  /** Begin anew from what the server knows; what is still on its way goes on top. */
  async resync() {
    do this.state = await ask("/api/state", this.who);
    while (this.state.version < this.version); // it was told before the newest answers were kept
    if (this.names !== this.state.names) this.items.forget(); // they name classes, too
    this.names = this.state.names;
    this.roundView = new RoundView(this.state);
    for (const operation of this.outbox.waiting.values()) this.roundView.apply(operation);
    this.live.news(this.state.live);
    if (this.view === "single") this.single.describe(this.single.ref, []);
    if (!this.changing) this.setClasses(this.state.classes);
    this.elsewhere();
  }

  news({ version, names, changes, classes, fault, live }) {
    this.version = version;
    this.old = false;
    if (!this.outbox.waiting.size) this.saving("saved", 0);
    if (this.view === "single" && this.single.offline) this.single.show(this.single.ref);
    const busy = this.outbox.images();
    const changed = this.roundView.correct(changes, busy);
    this.live.news(live);
    const same = JSON.stringify(classes) === JSON.stringify(this.panel.classes);
    if (!same && !this.changing) this.setClasses(classes);
    if (names !== this.names) this.resync().catch(() => {}); // else with the next news
    this.status.warn(fault, "settle");
    if (changed || live) this.elsewhere();
  }

  async poll(returning = false) {
    const before = this.single.ref;
    const wasOpen = before !== null && !this.roundView.answered(before);
    try {
      this.news(await ask("/api/changes", { ...this.who, ...this.live.showing, since: this.version }));
    } catch (error) {
      this.saving("failed", this.outbox.waiting.size, error);
      return;
    }
    // Back on this tab, and another one has answered meanwhile: go where work is left.
    if (returning && this.view === "single" && wasOpen && this.roundView.answered(before)) this.go(this.roundView.next(before));
  }

  /** Another tab did something. */
  heard({ operation, look }) {
    if (look) {
      if (document.visibilityState === "visible") this.poll();
      return;
    }
    if (operation.type !== "hotkey") {
      const hidden = document.visibilityState !== "visible";
      this.roundView.apply(operation);
      this.elsewhere();
      if (hidden && this.view === "single" && this.roundView.answered(this.single.ref)) this.go(this.roundView.next(this.single.ref));
    }
  }

  elsewhere() {
    if (this.view === "grid") this.grid.update();
    if (this.view === "end" && this.roundView.next() !== null) this.go(this.roundView.next());
    else this.refresh();
  }

  // Keys

  key(event) {
    if (document.querySelector("dialog[open]")) return;
    const { target, key } = event;
    if ((event.ctrlKey || event.metaKey) && key === "z" && !typing(target)) {
      event.preventDefault();
      this.undo();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(target)) return;
    if (!this.shortcuts && key !== "?" && key !== "Escape") return;
    const action = actionOf(this, event);
    if (!action) return;
    event.preventDefault();
    if (!event.repeat || key.startsWith("Arrow")) action();
  }
}

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  remember("theme", root.dataset.theme);
  say(dark ? "Light" : "Dark");
}

const page = new Page();
page.start().catch((error) => {
  page.status.warn(`The page could not start: ${error.fault ?? error.message}. Is usl label still running?`);
});
