// Names of classes and images: which mean one class, which fits what was typed, how they are cut.

import { make } from "./dom.js";

const TAIL = 12; // characters of a long name that stay at its end

/** What is equal for names that differ in case, blanks or the form of their letters alone. */
export const folded = (name) => name.normalize("NFKC").toUpperCase().toLowerCase().replace(/[\s_-]+/gu, " ").trim();

/** Classes as they are offered: names that mean one class stand together, under the first of them. */
export function offered(classes) {
  const groups = new Map();
  for (const { name, hotkey } of classes) {
    const known = groups.get(folded(name) || name);
    if (known) {
      known.names.push(name);
      known.hotkey ||= hotkey;
    } else groups.set(folded(name) || name, { name, hotkey, names: [name] });
  }
  return [...groups.values()];
}

/**
 * What is offered for a text, best first: the class of that name, those that begin so, the text as a
 * new class, those with a word that begins so, those that hold it anywhere.
 */
export function matches(groups, text) {
  const wanted = folded(text);
  if (!wanted) return groups.map((one) => ({ ...one, add: false }));
  const ranked = groups.map((one) => ({ ...one, add: false, rank: rank(folded(one.name), wanted) })).filter((one) => one.rank < 9);
  if (!ranked.some((one) => one.rank === 0)) ranked.push({ name: text, hotkey: "", names: [text], add: true, rank: 2 });
  return ranked.sort((a, b) => a.rank - b.rank); // stable: else in the order of the list
}

function rank(name, wanted) {
  if (name === wanted) return 0;
  if (name.startsWith(wanted)) return 1;
  if (name.includes(` ${wanted}`)) return 3;
  return name.includes(wanted) ? 4 : 9;
}

/** Fill an element with a name that is cut in its middle where there is no room: the end tells most. */
export function cutInTheMiddle(element, name) {
  const letters = [...name];
  const tail = letters.length > 2 * TAIL ? letters.slice(-TAIL).join("") : "";
  element.classList.add("cut");
  element.title = name;
  element.replaceChildren(make("span", {}, tail ? letters.slice(0, -TAIL).join("") : name), make("span", {}, tail));
}
