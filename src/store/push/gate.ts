import type { Duplex } from 'node:stream';
import { formatAnswer, readQuestion, type Verdict } from '../git/hook.ts';

/** Decides the verdict on a hook's question. */
export type Judge = (question: ReadonlyMap<string, string>) => Promise<Verdict>;

/** The server's side of a hook: one question, one answer. A gate that closes without an answer refuses the push. */
export class Gate {
  readonly #socket: Duplex;
  readonly #judge: Judge;
  #text = '';
  #asked = false;

  constructor(socket: Duplex, judge: Judge) {
    this.#socket = socket;
    this.#judge = judge;
    // The end of receive-pack shows whether a hook was killed.
    socket.on('error', () => undefined);
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => void this.#receive(text));
  }

  /** Closes the gate after receive-pack has ended, when nobody waits for an answer. */
  close(): void {
    this.#socket.destroy();
  }

  async #receive(text: string): Promise<void> {
    this.#text += text;
    const question = readQuestion(this.#text);
    if (question === undefined || this.#asked) return;
    this.#asked = true;
    const verdict = await this.#judge(question);
    if (!this.#socket.destroyed) this.#socket.end(formatAnswer(verdict));
  }
}
