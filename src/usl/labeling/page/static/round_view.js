// What this annotator has said, as far as the page knows: the server's answers, and over them
// those that are still on their way.

export class RoundView {
  constructor(state) {
    this.order = state.order;
    this.place = new Map(state.order.map((ref, place) => [ref, place]));
    this.said = new Map(); // ref -> answers, the last one counts: { key, kind, label }
    this.groups = state.groups.map(({ key, images }) => ({ key, images })); // what can be undone
    this.skips = new Map(state.skipped.map((ref, number) => [ref, number]));
    this.lastSkip = state.skipped.length;
    for (const [ref, what] of state.answers) {
      const label = typeof what === "number" ? state.labels[what] : null;
      this.said.set(ref, [{ key: "", kind: label === null ? what : "label", label }]);
    }
    const seen = new Set();
    for (const { key, images, before, kind, label } of state.groups) {
      images.forEach((ref, i) => {
        const [beforeKind, beforeLabel] = before[i];
        if (!seen.has(ref)) this.said.set(ref, beforeKind ? [{ key: "", kind: beforeKind, label: beforeLabel }] : []);
        seen.add(ref);
        this.said.get(ref).push({ key, kind, label });
      });
    }
  }

  current(ref) {
    return this.said.get(ref)?.at(-1) ?? null;
  }

  /** Whether an image has an answer; "skip" is none. */
  answered(ref) {
    const now = this.current(ref);
    return now !== null && now.kind !== "skip";
  }

  apply(operation) {
    if (operation.type === "answer") {
      const { key, images, kind, label } = operation;
      for (const ref of images) {
        if (!this.said.has(ref)) this.said.set(ref, []);
        this.said.get(ref).push({ key, kind, label: label ?? null });
        this.note(ref, kind);
      }
      this.groups.push({ key, images });
    } else if (operation.type === "rename") {
      this.relabel(operation.name, operation.to);
      this.groups.push({ key: operation.key, images: [] });
    } else if (operation.type === "remove") {
      this.relabel(operation.name, null);
      this.groups.push({ key: operation.key, images: [] });
    } else if (operation.type === "undo") {
      this.groups = this.groups.filter(({ key }) => key !== operation.of);
      for (const ref of operation.images) {
        const left = (this.said.get(ref) ?? []).filter(({ key }) => key !== operation.of);
        this.said.set(ref, left);
        this.note(ref, left.at(-1)?.kind);
      }
    }
  }

  /** A class has another name, or was removed (null); until the server tells what that comes to. */
  relabel(name, to) {
    for (const [ref, answers] of this.said) {
      if (!answers.some(({ label }) => label === name)) continue;
      const left = answers.map((one) => (one.label === name ? { ...one, label: to } : one));
      this.said.set(ref, left.filter(({ kind, label }) => kind !== "label" || label !== null));
    }
  }

  /** The server's word on some images, but for those that something is under way about. */
  correct(changes, busy) {
    let changed = false;
    for (const [ref, kind, label] of changes) {
      const now = this.current(ref);
      if (busy.has(ref) || ((now?.kind ?? "") === kind && (now?.label ?? null) === label)) continue;
      this.said.set(ref, kind ? [{ key: "", kind, label }] : []);
      this.note(ref, kind);
      changed = true;
    }
    return changed;
  }

  note(ref, kind) {
    if (kind === "skip") this.skips.set(ref, (this.lastSkip += 1));
    else this.skips.delete(ref);
  }

  open() {
    return this.order.filter((ref) => !this.said.get(ref)?.length);
  }

  skipped() {
    return this.order.filter((ref) => this.skips.has(ref)).sort((a, b) => this.skips.get(a) - this.skips.get(b));
  }

  done() {
    return this.order.reduce((sum, ref) => sum + this.answered(ref), 0);
  }

  /** In a live round: what has been answered, what is on the stage, and the hand that was dealt. */
  deal(hand, showing) {
    const said = [...this.said.keys()].filter((ref) => this.said.get(ref).length);
    this.order = [...new Set([...said, ...(showing === null ? [] : [showing]), ...hand])];
    this.place = new Map(this.order.map((ref, place) => [ref, place]));
  }

  /** What to ask after `ref`: the next open one, round to the start, then the skipped ones. */
  next(ref = null) {
    return this.ahead(ref, 1)[0] ?? null;
  }

  /** The next `many` to ask after `ref`, as far as can be told. */
  ahead(ref, many) {
    const found = [];
    const from = ref === null ? -1 : (this.place.get(ref) ?? -1);
    const n = this.order.length;
    for (let step = 1; step <= n && found.length < many; step += 1) {
      const other = this.order[(from + step + n) % n];
      if (other !== ref && !this.said.get(other)?.length) found.push(other);
    }
    if (found.length < many) found.push(...this.skipped().filter((other) => other !== ref));
    return found.slice(0, many);
  }

  /** How many images have which label. */
  counts() {
    const found = new Map();
    for (const ref of this.said.keys()) {
      const now = this.current(ref);
      if (now?.kind === "label") found.set(now.label, (found.get(now.label) ?? 0) + 1);
    }
    return found;
  }

  /** Images with an answer of this kind (and label), in order, those outside the round last. */
  imagesWith(kind, label = null) {
    const fits = (ref) => {
      const now = this.current(ref);
      return now?.kind === kind && (label === null || now.label === label);
    };
    const outside = [...this.said.keys()].filter((ref) => !this.place.has(ref) && fits(ref));
    return [...this.order.filter(fits), ...outside];
  }
}
