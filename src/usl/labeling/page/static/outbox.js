// Operations on their way to the server. Each is kept in localStorage until the server has
// acknowledged it, and is sent again until then; its key lets the server count it once.

const MOST = 50; // operations in one request
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
   * @param place prefix of the storage: one run, round and annotator
   * @param send  (operations) => the server's answer; rejects when there is none
   * @param told  called with the server's answer
   * @param state called with "saved", "saving", "lost" or "out", the number waiting, and a reason
   */
  constructor(place, send, told, state) {
    Object.assign(this, { place: `usl/out/${place}/`, send, told, state });
    this.waiting = new Map(); // key -> operation, in order
    this.busy = false;
    this.failures = 0;
    this.timer = 0;
    this.adopt();
    for (const name of ["online", "pageshow"]) addEventListener(name, () => this.flush());
    document.addEventListener("visibilitychange", () => this.flush());
  }

  /** Take over what earlier pages could not send. */
  adopt() {
    const found = [];
    try {
      for (let i = 0; i < localStorage.length; i += 1) {
        const name = localStorage.key(i);
        if (name.startsWith(this.place)) found.push(name);
      }
    } catch {
      return;
    }
    for (const name of found.sort()) {
      try {
        const operation = JSON.parse(localStorage.getItem(name));
        if (operation?.key) this.waiting.set(operation.key, operation);
      } catch {
        localStorage.removeItem(name);
      }
    }
  }

  push(operation) {
    this.waiting.set(operation.key, operation);
    try {
      localStorage.setItem(this.place + operation.key, JSON.stringify(operation));
    } catch {
      // storage is full or forbidden; the operation still waits in memory
    }
    this.show();
    this.flush();
  }

  /** Rows that an operation still waits for. */
  rows() {
    const rows = new Set();
    for (const operation of this.waiting.values()) for (const row of operation.rows ?? []) rows.add(row);
    return rows;
  }

  async flush() {
    if (this.busy || !this.waiting.size) return;
    clearTimeout(this.timer);
    this.busy = true;
    try {
      while (this.waiting.size) {
        const batch = [...this.waiting.values()].slice(0, MOST);
        const answer = await this.send(batch, AbortSignal.timeout(PATIENCE));
        this.failures = 0;
        for (const key of answer.done) this.drop(key);
        for (const { key } of answer.refused) this.drop(key);
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

  drop(key) {
    this.waiting.delete(key);
    try {
      localStorage.removeItem(this.place + key);
    } catch {
      // nothing was kept
    }
  }

  show(error = null) {
    const left = this.waiting.size;
    if (error) this.state(error.status === 403 ? "out" : "lost", left, error.fault ?? "");
    else if (!this.failures) this.state(left ? "saving" : "saved", left, "");
  }
}

/** Ask the server. Rejects with `status` and `fault` when it refuses, without when it is away. */
export async function ask(path, body = undefined, signal = undefined) {
  const options = { credentials: "same-origin", redirect: "error", signal };
  if (body !== undefined) {
    const text = JSON.stringify(body);
    const headers = { "content-type": "application/json" };
    // Kept alive, closing the tab does not call it back; browsers allow that up to 64 kB.
    Object.assign(options, { method: "POST", headers, body: text, keepalive: text.length < 50000 });
  }
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const fault = answer.fault ?? response.statusText;
  throw Object.assign(new Error(fault), { status: response.status, fault });
}
