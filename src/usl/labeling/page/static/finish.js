// What is shown once nothing is left to ask, and the figures of a review.

import { byId, count, make } from "./dom.js";
import { ask } from "./exchange.js";
import { WORDS } from "./panel.js";

/** Draw the end of a round. */
export function drawEnd(page) {
  const { roundView, state } = page;
  const skipped = roundView.skipped().length;
  const title = skipped ? `All but ${count(skipped, "image")} answered` : roundView.order.length ? "All answered" : "Nothing is left to label";
  byId("end-title").textContent = page.mode === "review" ? (roundView.order.length ? "All conflicts are settled" : "No conflicts") : title;
  byId("end-note").textContent = note(page);
  const rows = [...roundView.counts()].sort((a, b) => b[1] - a[1]);
  for (const kind of ["unsure", "bad", "skip"]) {
    const many = roundView.imagesWith(kind).length;
    if (many) rows.push([WORDS[kind], many, "other"]);
  }
  const most = Math.max(1, ...rows.map(([, many]) => many));
  byId("end-counts").replaceChildren(
    ...rows.map(([name, many, kind = null]) => {
      const bar = make("span", { class: "share", "aria-hidden": "true" });
      bar.style.width = `${(100 * many) / most}%`;
      return make("tr", { class: kind }, make("th", { scope: "row" }, name), make("td", {}, String(many)), make("td", {}, bar));
    }),
  );
  byId("end-skipped").hidden = !skipped;
  byId("end-skipped").textContent = `Go through the ${count(skipped, "skipped image")}`;
  const command = state.kind === "audit" ? `usl report ${state.run}` : `usl train ${state.run}`;
  byId("end-command").textContent = command;
  drawAudit(page);
  byId("end-grid").hidden = page.mode === "review" || !roundView.order.length;
  byId("end-next").hidden = page.mode === "review" || !roundView.order.length;
}

/** What the audit says of all labels, once this person has judged everything and it is saved. */
async function drawAudit(page) {
  const box = byId("end-audit");
  const { roundView, state } = page;
  const over = state.kind === "audit" && page.mode === "label" && roundView.order.length > 0 && roundView.next() === null;
  box.hidden = !over || !page.outbox || page.outbox.waiting.size > 0;
  if (box.hidden) return;
  let found;
  try {
    found = await ask("/api/audit", page.who);
  } catch ({ fault }) {
    found = { text: fault ?? "The server cannot be reached.", share: "" };
  }
  byId("end-audit-share").textContent = found.share;
  byId("end-audit-text").textContent = found.text;
}

function note(page) {
  if (page.mode === "review") return "Images on which annotators differ appear here.";
  if (!page.roundView.order.length) return `No image waits for a label. Next: usl train ${page.state.run}, or for more questions: usl next ${page.state.run}.`;
  if (page.live.on) return "Nothing is left to ask: each image has an answer, or is with somebody else just now.";
  if (page.state.kind === "audit") return "Thank you. This is how accurate the labels are; the report tells it, too.";
  if (page.outbox.held.size) return "Some answers could not be stored; the note above tells why.";
  if (page.outbox.waiting.size) return "Leave this page open until it says that all is saved.";
  return "You can close this page, and stop the server with Ctrl-C.";
}

/** The figures above a review: who answered how much, and how far they agree. */
export function drawReview(state) {
  const box = byId("agreement");
  const people = Object.entries(state.answered).map(([name, many]) => make("div", {}, make("dt", {}, name), make("dd", {}, count(many, "answer"))));
  const found = state.agreement;
  const figures = [];
  if (found) {
    const value = found.value === null ? "–" : found.value.toFixed(2).replace("-", "−");
    figures.push(
      make("div", {}, make("dt", {}, `equal, of ${count(found.images, "image")} answered twice or more`), make("dd", {}, `${(100 * found.equal).toFixed(0)}%`)),
      make("div", {}, make("dt", {}, `${found.measure} (1 is perfect, 0 is chance)`), make("dd", {}, value)),
    );
  } else figures.push(make("p", {}, "No image has answers of two people yet."));
  box.replaceChildren(make("dl", { class: "tiles-row" }, ...figures), make("dl", { class: "people" }, ...people));
  box.hidden = false;
}
