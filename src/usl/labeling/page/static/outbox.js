// Operations on their way to the server. Each is kept in localStorage until the server has
// acknowledged it, and is sent again until then; its key lets the server count it once. What it says
// is said of images by their references, so that it can wait for another start of the server.

const MOST = 50; // operations in one request
const MOST_TEXT = 500000; // characters of them, but for a single one
const ALL = "usl/out/"; // what every page's storage begins with
const FIRST_WAIT = 400; // ms before the first repetition, doubled up to LONGEST_WAIT
const LONGEST_WAIT = 8000;
const PATIENCE = 15000; // ms that a request may take

let counter = 0;

/** A key that no other tab and no other time makes; later ones sort after earlier ones. */
export function newKey() {
  const random = [...crypto.getRandomValues(new Uint8Array(8))].map((n) => n.toString(36).padStart(2, "0"));
  counter += 1;
  const time = Date.now().toString(36).padStart(9, "0");
  return `${time}-${counter.toString(36).padStart(4, "0")}-${random.join("")}`;
}

export class Outbox {
  /**
   * @param run   identity of the run
   * @param place prefix of the storage within it: one round and annotator
   * @param send  (operations) => the server's answer; rejects when there is none
   * @param told  called with the server's answer
   * @param state called with "saved", "saving" or "failed", the number waiting, and the error
   */
  constructor(run, place, send, told, state) {
    Object.assign(this, { place: `${ALL}${run}/${place}/`, send, told, state });
    this.waiting = new Map(); // key -> operation, in order
    this.held = new Map(); // key -> { images, fault }: of how many the server cannot take it, and why
    this.unkept = new Set(); // keys that the storage did not take
    this.foreign = []; // names in the storage of what was never sent to other runs
    this.busy = false;
    this.failures = 0;
    this.timer = 0;
    this.adopt(`${ALL}${run}/`);
    for (const name of ["online", "pageshow"]) addEventListener(name, () => this.flush());
    document.addEventListener("visibilitychange", () => this.flush());
    addEventListener("beforeunload", (event) => {
      if ([...this.unkept].some((key) => this.waiting.has(key))) event.preventDefault();
    });
  }

  /** Take over what earlier pages could not send to this run. */
  adopt(own) {
    const found = [];
    try {
      const names = Object.keys(localStorage).filter((name) => name.startsWith(ALL));
      this.foreign = names.filter((name) => !name.startsWith(own));
      found.push(...names.filter((name) => name.startsWith(this.place)));
    } catch {
      return;
    }
    for (const name of found.sort()) {
      try {
        const operation = JSON.parse(localStorage.getItem(name));
        if (name === this.place + operation.key) this.waiting.set(operation.key, operation);
      } catch {
        localStorage.removeItem(name);
      }
    }
  }

  push(operation) {
    if (this.held.delete(operation.of)) this.drop(operation.of); // all of it is taken back
    this.waiting.set(operation.key, operation);
    try {
      localStorage.setItem(this.place + operation.key, JSON.stringify(operation));
    } catch {
      this.unkept.add(operation.key); // storage is full or forbidden; it still waits in memory
    }
    this.show();
    this.flush();
  }

  /** Images that an operation still waits for. */
  images() {
    return new Set([...this.waiting.values()].flatMap(({ images }) => images ?? []));
  }

  /** What goes into the next request. */
  batch() {
    let length = 0;
    return [...this.waiting.values()].slice(0, MOST).filter((operation, place) => {
      length += JSON.stringify(operation).length;
      return place === 0 || length < MOST_TEXT;
    });
  }

  async flush() {
    if (this.busy || !this.waiting.size) return;
    clearTimeout(this.timer);
    this.busy = true;
    try {
      while (this.waiting.size) {
        const answer = await this.send(this.batch(), AbortSignal.timeout(PATIENCE));
        this.failures = 0;
        this.settle(answer);
        this.told(answer);
        this.show();
      }
    } catch (error) {
      this.failures += 1;
      const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (this.failures - 1));
      this.timer = setTimeout(() => this.flush(), wait * (0.8 + 0.4 * Math.random()));
      this.show(error);
    } finally {
      this.busy = false;
    }
  }

  /** What is done or makes no sense goes; what is about images that are not here stays, unsent. */
  settle(answer) {
    const undos = [...this.waiting.values()].filter(({ type }) => type === "undo");
    const undone = new Set(undos.map(({ of }) => of));
    const never = new Set(answer.held.map(({ key }) => key));
    // An answer that could not be kept and was taken back: both go, and nobody need hear of it.
    const silent = new Set(undos.filter(({ of }) => never.has(of)).map(({ key }) => key));
    for (const key of answer.done) this.drop(key);
    for (const { key } of answer.refused) this.drop(key);
    answer.refused = answer.refused.filter(({ key }) => !silent.has(key));
    for (const { key, images, fault } of answer.held) {
      if (undone.has(key)) this.drop(key);
      else this.held.set(key, { images, fault });
      this.waiting.delete(key);
    }
  }

  /** Forget what cannot be sent, for good. */
  forget() {
    for (const key of this.held.keys()) this.drop(key);
    this.held.clear();
  }

  /** Forget what was meant for other runs, for good. */
  forgetForeign() {
    for (const name of this.foreign) localStorage.removeItem(name);
    this.foreign = [];
  }

  drop(key) {
    this.waiting.delete(key);
    this.unkept.delete(key);
    try {
      localStorage.removeItem(this.place + key);
    } catch {
      // nothing was kept
    }
  }

  show(error = null) {
    const left = this.waiting.size;
    if (error) this.state("failed", left, error);
    else if (!this.failures) this.state(left ? "saving" : "saved", left);
  }
}
