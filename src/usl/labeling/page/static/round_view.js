// What this annotator has said, as far as the page knows: the server's answers, and over them
// those that are still on their way.

export class RoundView {
  constructor(state) {
    this.order = state.order;
    this.place = new Map(state.order.map((row, place) => [row, place]));
    this.said = new Map(); // row -> answers, the last one counts: { key, kind, label }
    this.groups = state.groups.map(({ key, rows }) => ({ key, rows })); // what can be undone
    this.skips = new Map(state.skipped.map((row, number) => [row, number]));
    this.lastSkip = state.skipped.length;
    for (const [row, what] of state.answers) {
      const label = typeof what === "number" ? state.labels[what] : null;
      this.said.set(row, [{ key: "", kind: label === null ? what : "label", label }]);
    }
    const seen = new Set();
    for (const { key, rows, before, kind, label } of state.groups) {
      rows.forEach((row, i) => {
        const [beforeKind, beforeLabel] = before[i];
        if (!seen.has(row)) this.said.set(row, beforeKind ? [{ key: "", kind: beforeKind, label: beforeLabel }] : []);
        seen.add(row);
        this.said.get(row).push({ key, kind, label });
      });
    }
  }

  current(row) {
    return this.said.get(row)?.at(-1) ?? null;
  }

  /** Whether the row has an answer; "skip" is none. */
  answered(row) {
    const now = this.current(row);
    return now !== null && now.kind !== "skip";
  }

  apply(operation) {
    if (operation.type === "answer") {
      const { key, rows, kind, label } = operation;
      for (const row of rows) {
        if (!this.said.has(row)) this.said.set(row, []);
        this.said.get(row).push({ key, kind, label: label ?? null });
        this.note(row, kind);
      }
      this.groups.push({ key, rows });
    } else if (operation.type === "undo") {
      this.groups = this.groups.filter(({ key }) => key !== operation.of);
      for (const row of operation.rows) {
        const left = (this.said.get(row) ?? []).filter(({ key }) => key !== operation.of);
        this.said.set(row, left);
        this.note(row, left.at(-1)?.kind);
      }
    }
  }

  /** The server's word on some rows, but for those that something is under way about. */
  correct(changes, busy) {
    let changed = false;
    for (const [row, kind, label] of changes) {
      const now = this.current(row);
      if (busy.has(row) || ((now?.kind ?? "") === kind && (now?.label ?? null) === label)) continue;
      this.said.set(row, kind ? [{ key: "", kind, label }] : []);
      this.note(row, kind);
      changed = true;
    }
    return changed;
  }

  note(row, kind) {
    if (kind === "skip") this.skips.set(row, (this.lastSkip += 1));
    else this.skips.delete(row);
  }

  open() {
    return this.order.filter((row) => !this.said.get(row)?.length);
  }

  skipped() {
    return this.order.filter((row) => this.skips.has(row)).sort((a, b) => this.skips.get(a) - this.skips.get(b));
  }

  done() {
    return this.order.reduce((sum, row) => sum + this.answered(row), 0);
  }

  /** What to ask after `row`: the next open one, round to the start, then the skipped ones. */
  next(row = null) {
    return this.ahead(row, 1)[0] ?? null;
  }

  /** The next `many` to ask after `row`, as far as can be told. */
  ahead(row, many) {
    const found = [];
    const from = row === null ? -1 : (this.place.get(row) ?? -1);
    const n = this.order.length;
    for (let step = 1; step <= n && found.length < many; step += 1) {
      const other = this.order[(from + step + n) % n];
      if (other !== row && !this.said.get(other)?.length) found.push(other);
    }
    if (found.length < many) found.push(...this.skipped().filter((other) => other !== row));
    return found.slice(0, many);
  }

  /** How many images have which label. */
  counts() {
    const found = new Map();
    for (const row of this.said.keys()) {
      const now = this.current(row);
      if (now?.kind === "label") found.set(now.label, (found.get(now.label) ?? 0) + 1);
    }
    return found;
  }

  /** Rows with an answer of this kind (and label), in order, those outside the round last. */
  rowsWith(kind, label = null) {
    const fits = (row) => {
      const now = this.current(row);
      return now?.kind === kind && (label === null || now.label === label);
    };
    const outside = [...this.said.keys()].filter((row) => !this.place.has(row) && fits(row));
    return [...this.order.filter(fits), ...outside];
  }
}
