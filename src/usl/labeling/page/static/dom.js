// Small helpers around the document. Text is always set as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** An element with attributes (`class`, `on…` listeners, properties by value) and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A key as it is drawn on buttons. */
export const cap = (text) => make("kbd", { "aria-hidden": "true" }, text);

let voice = null;

/** Say something to a screen reader, once what it is saying now is done. */
export function say(text) {
  voice ??= byId("voice");
  // Two places in turn: the same words twice in one place would be said once.
  const [first, second] = voice.children;
  const free = first.textContent ? second : first;
  (free === first ? second : first).textContent = "";
  free.textContent = text;
}

/** "1 image", "2 images", "12,820 images". */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** A preference of this browser; `fallback` where there is no storage. */
export function remembered(name, fallback) {
  try {
    return localStorage.getItem(`usl/${name}`) ?? fallback;
  } catch {
    return fallback;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`usl/${name}`, value);
  } catch {
    // private windows may have none; it is only a preference
  }
}

/** Whether somebody is typing into the element. */
export function typing(element) {
  return within(element, "input:not([type=range], [type=checkbox]), textarea, select");
}

/** Whether Space and Enter belong to the element itself. */
export function pressable(element) {
  return within(element, "button, a[href], summary, input, select, [role=option]");
}

/** Whether an element that can be seen fits: one that was just hidden keeps the focus until the next frame. */
function within(element, selector) {
  return Boolean(element?.closest?.(selector)?.checkVisibility());
}
