// A line over the picture that says what was just done to the classes, and takes it back.

import { byId } from "./dom.js";

const SHOWN = 8000; // ms

let timer = 0;

/** Show a text for some seconds; with a button where it can be undone. */
export function toast(text, undo = null) {
  const box = byId("toast");
  byId("toast-text").textContent = text;
  const button = byId("toast-undo");
  button.hidden = undo === null;
  button.onclick = () => {
    hide();
    undo();
  };
  box.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(hide, SHOWN);
}

function hide() {
  clearTimeout(timer);
  byId("toast").hidden = true;
}
