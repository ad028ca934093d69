// Answers that stay in this browser because they cannot be sent: their images are not here, or not
// the same any more, or they belong to another run. They are told of, and kept until they are sent or
// the person has enough of them.

import { count } from "./dom.js";

/** Tell which answers the server could not take. */
export function tellHeld(page) {
  const held = [...page.outbox.held.values()];
  const many = held.reduce((sum, { images }) => sum + images, 0);
  const text = many
    ? `${count(many, "answer")} not stored: ${held[0].fault} ${many === 1 ? "It is" : "They are"} kept in this browser, and sent again whenever the page is loaded.`
    : "";
  const forget = () => {
    page.outbox.forget();
    tellHeld(page);
    page.outbox.show();
  };
  page.status.warn(text, "held", { name: "Forget", does: forget });
}

/** Tell of answers that were never sent to the run they belong to. */
export function tellForeign(page) {
  const { length } = page.outbox.foreign;
  const text = length
    ? `${count(length, "answer")} in this browser, never sent, belong${length === 1 ? "s" : ""} to another run that was served here, or to a page of an older version.`
    : "";
  const forget = () => {
    page.outbox.forgetForeign();
    tellForeign(page);
  };
  page.status.warn(text, "foreign", { name: "Forget", does: forget });
}
