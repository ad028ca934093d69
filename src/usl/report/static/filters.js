// Which dots are shown: of some classes, of some confidence, of what one pick stands for.

const BARS = 25; // of the histogram of confidences
const NOTHING = () => ({ classes: new Set(), low: 0, high: 100, rank: 0, wrong: false });

/** The controls above the map, the legend's switches, and what they let through. */
class Filters {
  /** `does.changed` is called after every change, `does.ranked` with the dot of a chosen pick. */
  constructor(figure, points, does) {
    Object.assign(this, { figure, points, does, filter: NOTHING(), preview: null });
    this.shown = new Uint8Array(points.count).fill(1);
    figure.prepend(this.controls());
    this.chips = this.switches();
    this.say(points.count);
  }

  controls() {
    const { points } = this;
    const many = points.group.some((number) => number >= 0) && points.by !== "stands" &&
      points.colours.length > points.named;
    this.count = el("p", { class: "count", role: "status" });
    this.reset = el("button", { type: "button", click: () => this.clear() }, "Show all");
    return el(
      "div",
      { class: "controls", role: "group", "aria-label": "Filter the map" },
      points.sure && this.confidence(),
      many && this.classChoice(),
      points.stands && this.groupChoice(),
      points.truth && points.told && this.wrongChoice(),
      el("div", { class: "shown" }, this.count, this.reset),
    );
  }

  /** Two handles on one line, over a histogram of the confidences. */
  confidence() {
    const counts = new Array(BARS).fill(0);
    for (const sure of this.points.sure) {
      if (sure >= 0) counts[Math.min(BARS - 1, Math.floor((sure / 1000) * BARS))]++;
    }
    const most = Math.max(...counts, 1);
    this.bars = counts.map((count) => {
      const bar = el("span");
      bar.style.height = count ? `max(1px, ${(100 * Math.sqrt(count / most)).toFixed(1)}%)` : "0";
      return bar;
    });
    const handle = (name, value) => {
      const label = `${name} confidence, per cent`;
      const input = el("input", { type: "range", min: 0, max: 100, value, "aria-label": label });
      input.addEventListener("input", () => this.slide(input));
      return input;
    };
    this.low = handle("Least", 0);
    this.high = handle("Greatest", 100);
    this.between = el("output");
    return el(
      "div",
      { class: "confidence" },
      el("p", { class: "what" }, "Confidence ", this.between),
      el("div", { class: "histogram", "aria-hidden": "true" }, ...this.bars),
      el("div", { class: "handles" }, this.low, this.high),
    );
  }

  classChoice() {
    const { classes, colours } = this.points;
    const named = classes.slice(0, colours.length);
    const options = named.map((name, number) => el("option", { value: number }, name));
    this.choice = el("select", {}, el("option", { value: "" }, "all"), ...options);
    this.choice.addEventListener("change", () => {
      this.filter.classes = new Set(this.choice.value === "" ? [] : [Number(this.choice.value)]);
      this.apply();
    });
    return el("label", { class: "field" }, el("span", { class: "what" }, "Class"), this.choice);
  }

  groupChoice() {
    const last = this.points.picks.length;
    const range = { type: "number", min: 1, max: last, inputmode: "numeric" };
    this.rank = el("input", { ...range, placeholder: "any", id: "map-rank" });
    this.rank.addEventListener("input", () => this.setRank(Number(this.rank.value) || 0));
    const turn = (by) => {
      const next = this.filter.rank + by;
      this.setRank(next < 1 ? last : next > last ? 1 : next);
    };
    const button = (sign, label, by) =>
      el("button", { type: "button", "aria-label": label, click: () => turn(by) }, sign);
    return el(
      "div",
      { class: "field" },
      el("label", { class: "what", for: "map-rank" }, "Stood for by pick"),
      el("div", { class: "stepper" }, button("‹", "Previous pick", -1), this.rank, button("›", "Next pick", 1)),
    );
  }

  wrongChoice() {
    this.wrong = el("input", { type: "checkbox" });
    this.wrong.addEventListener("change", () => {
      this.filter.wrong = this.wrong.checked;
      this.apply();
    });
    return el("label", { class: "check" }, this.wrong, "Wrong predictions only");
  }

  /** The entries of the legend become switches: none pressed shows all. */
  switches() {
    const { colours, named } = this.points;
    return [...this.figure.querySelectorAll(".legend li")].map((item, number) => {
      const numbers = number < named ? [number] : colours.map((_, i) => i).slice(named); // the others
      const chip = el("button", { type: "button", "aria-pressed": "false" }, ...item.childNodes);
      chip.addEventListener("click", () => {
        const { classes } = this.filter;
        const pressed = classes.has(number);
        for (const one of numbers) pressed ? classes.delete(one) : classes.add(one);
        this.preview = null;
        this.apply();
      });
      const hover = (value) => () => {
        this.preview = value;
        this.does.changed();
      };
      chip.addEventListener("pointerenter", (event) => {
        if (event.pointerType === "mouse" && !this.filter.classes.size) hover(new Set(numbers))();
      });
      chip.addEventListener("pointerleave", hover(null));
      item.replaceChildren(chip);
      return chip;
    });
  }

  slide(moved) {
    const other = moved === this.low ? this.high : this.low;
    const bound = moved === this.low ? Math.min : Math.max;
    moved.value = bound(Number(moved.value), Number(other.value));
    Object.assign(this.filter, { low: Number(this.low.value), high: Number(this.high.value) });
    this.apply();
  }

  /** Only what the pick of this rank stands for; 0 for all. The pick's own card is opened. */
  setRank(rank) {
    const number = this.points.picks.findIndex(([, given]) => given === rank);
    this.filter.rank = number < 0 ? 0 : rank;
    this.apply();
    const point = number < 0 ? -1 : this.points.picks[number][0];
    if (point >= 0 && this.shown[point]) this.does.ranked(point);
  }

  clear() {
    this.filter = NOTHING();
    if (this.low) [this.low.value, this.high.value] = [0, 100];
    if (this.choice) this.choice.value = "";
    if (this.wrong) this.wrong.checked = false;
    this.apply();
    this.does.cleared();
  }

  passes(i) {
    const { points, filter } = this;
    const { classes, low, high, rank, wrong } = filter;
    if (classes.size && !classes.has(points.group[i])) return false;
    if (low > 0 || high < 100) {
      const sure = points.sure[i];
      if (sure < 0 || sure < 10 * low || sure > 10 * high) return false;
    }
    if (rank && points.picks[points.standsFor(i)]?.[1] !== rank) return false;
    return !wrong || points.wrong(i);
  }

  /** What is drawn: of a class under the pointer in the legend, only that. */
  seen() {
    const { points, preview, shown } = this;
    return preview ? shown.map((on, i) => Number(on && preview.has(points.group[i]))) : shown;
  }

  /** Whether a class is to be named on the map. */
  names(number) {
    const { classes } = this.filter;
    return this.preview ? this.preview.has(number) : !classes.size || classes.has(number);
  }

  /** Find what the filters show. */
  apply() {
    let count = 0;
    for (let i = 0; i < this.points.count; i++) count += this.shown[i] = Number(this.passes(i));
    this.say(count);
    this.does.changed();
  }

  /** Bring count and controls up to date. */
  say(count) {
    const { points, filter, rank } = this;
    const { classes, low, high } = filter;
    const all = points.count.toLocaleString("en");
    this.count.textContent = count === points.count
      ? `All ${all} ${points.noun}s shown`
      : `${count.toLocaleString("en")} of ${all} ${points.noun}s shown`;
    const narrow = low > 0 || high < 100;
    this.reset.hidden = !(classes.size || narrow || filter.rank || filter.wrong);
    this.chips.forEach((chip, number) => chip.setAttribute("aria-pressed", classes.has(number)));
    this.figure.classList.toggle("chosen", classes.size > 0);
    if (rank && Number(rank.value) !== filter.rank) rank.value = filter.rank || "";
    if (!this.between) return;
    this.between.textContent = narrow ? `${low} to ${high}%` : "any";
    this.bars.forEach((bar, i) => {
      const middle = (100 * (i + 0.5)) / BARS;
      bar.classList.toggle("out", middle < low || middle > high);
    });
  }
}
