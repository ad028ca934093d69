// How far the work is, whether it is saved, and what went wrong.

import { byId, count } from "./dom.js";

const TEXTS = { saved: "Saved", saving: "Saving…", lost: "Not connected", out: "Signed out" };

export class Status {
  constructor() {
    this.warnings = new Map(); // by topic
  }

  progress(roundView, paces) {
    const done = roundView.done();
    const all = roundView.order.length;
    const bar = byId("bar");
    bar.setAttribute("aria-valuemax", all);
    bar.setAttribute("aria-valuenow", done);
    bar.setAttribute("aria-valuetext", `${done} of ${all}`);
    bar.firstElementChild.style.width = all ? `${(100 * done) / all}%` : "0";
    byId("count").textContent = `${done.toLocaleString("en")} of ${all.toLocaleString("en")}`;
    byId("left").textContent = done < all ? timeLeft(all - done, paces) : "";
  }

  /** Whether the answers are safe: state, how many are waiting, and why if not. */
  saving(state, left, fault) {
    const box = byId("saving");
    if (box.dataset.state !== state) byId("saving-text").textContent = TEXTS[state];
    box.dataset.state = state;
    const kept = left
      ? `${count(left, "answer")} ${left === 1 ? "is" : "are"} kept in this browser and will be sent.`
      : "";
    const reasons = {
      lost: `${fault || "The server does not answer; is usl label still running?"} ${kept}`,
      out: `Open the address that usl label printed in the terminal, in this browser. ${kept}`,
    };
    this.warn(reasons[state] ?? "", "saving");
  }

  /** Show a warning, one per topic; an empty text takes it away. */
  warn(text, topic = "refused") {
    if (text) this.warnings.set(topic, text);
    else this.warnings.delete(topic);
    const banner = byId("banner");
    const all = [...this.warnings.values()].join(" ");
    if (banner.textContent !== all) banner.textContent = all;
    banner.hidden = !all;
  }
}

/** From the median of the latest answers. */
function timeLeft(left, paces) {
  if (!paces.length) return "";
  const sorted = [...paces].sort((a, b) => a - b);
  const seconds = sorted[sorted.length >> 1] * left;
  if (seconds < 50) return "less than a minute left";
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min left` : `about ${(minutes / 60).toFixed(1)} h left`;
}
