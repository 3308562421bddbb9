import { MultinicError } from '../../api/errors.ts';

/** Maximum number of bytes of all request bodies in memory together. */
const TOTAL = 48 * 1024 * 1024;
/** Maximum number of bytes of one caller: half, so that a slow sender blocks nobody else. */
const SHARE = TOTAL / 2;

/** Bytes of request bodies in memory. A body counts until its request is answered. */
export class ByteBudget {
  readonly #total: number;
  readonly #share: number;
  readonly #byCaller = new Map<string, number>();
  #used = 0;

  constructor(total = TOTAL, share = SHARE) {
    this.#total = total;
    this.#share = share;
  }

  get used(): number {
    return this.#used;
  }

  /** An account of one request, by the name of its caller. */
  account(caller: string): ByteAccount {
    let taken = 0;
    return {
      take: (bytes) => {
        const ofCaller = (this.#byCaller.get(caller) ?? 0) + bytes;
        if (this.#used + bytes > this.#total || ofCaller > this.#share)
          throw new MultinicError(
            'Busy',
            'too many bytes are on their way at once: send less, or try again in a few seconds',
          );
        this.#used += bytes;
        this.#byCaller.set(caller, ofCaller);
        taken += bytes;
      },
      close: () => {
        this.#used -= taken;
        const left = (this.#byCaller.get(caller) ?? 0) - taken;
        if (left > 0) this.#byCaller.set(caller, left);
        else this.#byCaller.delete(caller);
        taken = 0;
      },
    };
  }
}

export interface ByteAccount {
  /** @throws MultinicError `Busy` when the bytes do not fit any more */
  take(bytes: number): void;
  close(): void;
}
