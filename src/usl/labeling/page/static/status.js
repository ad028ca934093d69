// How far the work is, whether it is saved, and what went wrong.

import { byId, count, make } from "./dom.js";

const TEXTS = { saved: "Saved", saving: "Saving…", lost: "Not connected", out: "Signed out", old: "Out of date", held: "Not all saved" };

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

  /** Whether the answers are safe: "saved", "held", "saving" or "failed", how many wait, and why. */
  saving(state, left, error = null) {
    const why = error === null ? state : error.status === 403 ? "out" : error.status === 409 ? "old" : "lost";
    const box = byId("saving");
    if (box.dataset.state !== why) byId("saving-text").textContent = TEXTS[why];
    box.dataset.state = why;
    const kept = left
      ? `${count(left, "answer")} ${left === 1 ? "is" : "are"} kept in this browser${why === "old" ? "." : " and will be sent."}`
      : "";
    const reasons = {
      lost: `${error?.fault || "The server does not answer; is usl label still running?"} ${kept}`,
      out: `Open the address that usl label printed in the terminal, in this browser. ${kept}`,
      old: `${error?.fault} ${kept}`,
    };
    const reload = why === "old" ? { name: "Reload", does: () => location.reload() } : null;
    this.warn(reasons[why] ?? "", "saving", reload);
  }

  /** Show a warning, one per topic, with a button if something can be done; no text: no warning. */
  warn(text, topic = "refused", action = null) {
    if ((this.warnings.get(topic)?.text ?? "") === text) return;
    if (text) this.warnings.set(topic, { text, action });
    else this.warnings.delete(topic);
    const banner = byId("banner");
    const parts = [...this.warnings.values()].flatMap((one) => [
      `${one.text} `,
      one.action && make("button", { type: "button", onclick: one.action.does }, one.action.name),
    ]);
    banner.replaceChildren(...parts.filter(Boolean));
    banner.hidden = !parts.length;
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
