// What to show: a class, where labels come from, how sure, and in which order. Kept in the address.

import { byId, make } from "/static/dom.js";
import { idOf } from "/static/exchange.js";

const FIELDS = ["order", "source", "subset", "flag", "least", "most", "name"];
const START = { order: "surest", source: "", subset: "", flag: "", least: "0", most: "100", name: "" };
const PATIENCE = 250; // ms after the last letter

export class Filters {
  /** @param changed called when something else is wanted */
  constructor(changed) {
    this.changed = changed;
    this.label = null; // a class, or null for all
    this.like = ""; // reference of an image whose nearest are shown
    this.timer = 0;
    this.read();
    for (const name of FIELDS) {
      byId(name).addEventListener("input", () => {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.change(), byId(name).tagName === "SELECT" ? 0 : PATIENCE);
      });
    }
    byId("reset").addEventListener("click", () => this.reset());
    byId("like-end").addEventListener("click", () => this.near(""));
    byId("filters-open").addEventListener("click", () => this.open(!byId("filters").classList.contains("open")));
  }

  open(yes) {
    byId("filters").classList.toggle("open", yes);
    byId("filters-open").setAttribute("aria-expanded", String(yes));
  }

  /** From the address, as it was when the page was left. */
  read() {
    const kept = new URLSearchParams(location.hash.slice(1));
    this.wished = Object.fromEntries(FIELDS.map((name) => [name, kept.get(name) ?? START[name]]));
    this.label = kept.get("label");
    for (const [name, value] of Object.entries(this.wished)) if (byId(name).tagName === "INPUT") byId(name).value = value;
    byId("order").value = this.wished.order;
    byId("source").value = this.wished.source;
  }

  change() {
    const kept = new URLSearchParams();
    for (const name of FIELDS) if (byId(name).value !== START[name]) kept.set(name, byId(name).value);
    if (this.label !== null) kept.set("label", this.label);
    history.replaceState(null, "", `#${kept}`);
    this.changed();
  }

  reset() {
    for (const [name, value] of Object.entries(START)) byId(name).value = value;
    this.label = null;
    this.near("");
  }

  choose(label) {
    this.label = label;
    this.change();
  }

  /** Show the nearest of an image first; "" for none. */
  near(ref) {
    this.like = ref;
    byId("like").hidden = !ref;
    byId("like-text").textContent = ref ? `The nearest to ${idOf(ref)} come first.` : "";
    this.change();
  }

  /** The parameters of a request. */
  asked() {
    const share = (name, otherwise) => {
      const value = Number.parseFloat(byId(name).value);
      return Number.isFinite(value) ? Math.min(100, Math.max(0, value)) / 100 : otherwise;
    };
    const asked = { least: share("least", 0), most: share("most", 1) };
    for (const name of ["order", "source", "subset", "flag", "name"]) asked[name] = byId(name).value;
    if (this.label !== null) asked.label = this.label;
    if (this.like) asked.like = this.like;
    return asked;
  }

  /** The choices that the run has; what is chosen stays. */
  offer({ subsets, flags }) {
    fill(byId("subset"), "any", subsets.map((name) => [name, name]), this.wished.subset);
    const known = Object.entries(flags).map(([name, many]) => [name, `${name} (${many.toLocaleString("en")})`]);
    fill(byId("flag"), "everything", known, this.wished.flag);
    this.wished.subset = this.wished.flag = "";
  }

  /** Draw the classes with how many images each has under the filters. */
  counted(counts) {
    const all = Object.values(counts).reduce((sum, many) => sum + many, 0);
    const entry = (title, label, many) =>
      make("li", {}, make("button", { type: "button", "aria-pressed": this.label === label, title, onclick: () => this.choose(label) }, make("span", {}, title), make("span", { class: "number" }, many.toLocaleString("en"))));
    const { "": bare = 0, ...named } = counts;
    const shown = Object.entries(named).sort(([, a], [, b]) => b - a);
    const list = byId("class-list");
    const focused = list.contains(document.activeElement);
    list.replaceChildren(entry("All", null, all), ...shown.map(([name, many]) => entry(name, name, many)));
    if (bare) list.append(make("li", { class: "soft" }, `${bare.toLocaleString("en")} without a class`));
    for (const button of list.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.title === (this.label ?? "All")));
    if (focused) list.querySelector('[aria-pressed="true"]')?.focus();
  }
}

function fill(select, any, choices, wished) {
  const chosen = wished || select.value;
  select.replaceChildren(new Option(any, ""), ...choices.map(([value, text]) => new Option(text, value)));
  select.value = choices.some(([value]) => value === chosen) ? chosen : "";
}
