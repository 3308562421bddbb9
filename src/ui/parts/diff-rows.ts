// Rows of a side-by-side view, from a unified diff. Pure.

export interface DiffFile {
  readonly path: string;
  /** `added`, `removed`: the file exists on one side only. */
  readonly kind: 'changed' | 'added' | 'removed';
  readonly rows: readonly DiffRow[];
}

export interface DiffRow {
  /** `gap`: lines that both sides have are left out here. */
  readonly kind: 'same' | 'changed' | 'gap';
  readonly left?: DiffLine;
  readonly right?: DiffLine;
}

export interface DiffLine {
  readonly number: number;
  readonly text: string;
}

const HUNK = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/;

export function parseDiff(text: string): DiffFile[] {
  const files: { path: string; kind: DiffFile['kind']; rows: DiffRow[] }[] = [];
  let hunk: Hunk | undefined;
  for (const line of text.split('\n')) {
    const file = files.at(-1);
    const head = HUNK.exec(line);
    if (line.startsWith('diff --git ')) {
      hunk?.end();
      hunk = undefined;
      files.push({ path: / b\/(.*)$/.exec(line)?.[1] ?? line.slice(11), kind: 'changed', rows: [] });
    } else if (file === undefined) continue;
    else if (head !== null) {
      hunk?.end();
      if (file.rows.length > 0) file.rows.push({ kind: 'gap' });
      hunk = new Hunk(file.rows, Number(head[1]), Number(head[2]));
    } else if (hunk === undefined) {
      if (line.startsWith('new file')) file.kind = 'added';
      if (line.startsWith('deleted file')) file.kind = 'removed';
    } else hunk.take(line);
  }
  hunk?.end();
  return files;
}

/** Puts removed lines beside added lines. */
class Hunk {
  readonly #rows: DiffRow[];
  #left: number;
  #right: number;
  readonly #gone: DiffLine[] = [];
  readonly #come: DiffLine[] = [];

  constructor(rows: DiffRow[], left: number, right: number) {
    this.#rows = rows;
    this.#left = left;
    this.#right = right;
  }

  take(line: string): void {
    const text = line.slice(1);
    if (line.startsWith('-')) {
      if (this.#come.length > 0) this.end();
      this.#gone.push({ number: this.#left++, text });
    } else if (line.startsWith('+')) this.#come.push({ number: this.#right++, text });
    else if (line.startsWith(' ')) {
      this.end();
      const [left, right] = [this.#left++, this.#right++];
      this.#rows.push({ kind: 'same', left: { number: left, text }, right: { number: right, text } });
    }
  }

  end(): void {
    const count = Math.max(this.#gone.length, this.#come.length);
    for (let index = 0; index < count; index += 1) {
      const [left, right] = [this.#gone[index], this.#come[index]];
      this.#rows.push({ kind: 'changed', ...(left && { left }), ...(right && { right }) });
    }
    this.#gone.length = 0;
    this.#come.length = 0;
  }
}
