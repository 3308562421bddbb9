import { useEffect, useState } from 'preact/hooks';
import { BEAT_MS } from '../../api/live.ts';
import { useLive, useUi } from './context.ts';

export interface Asked<T> {
  /** The newest good answer for this path. It stays while it is asked again, and when that fails. */
  readonly value: T | undefined;
  /** Time of the value, milliseconds since 1970. */
  readonly at: number;
  /** The reason why the newest question failed: the value is old, or there is none. */
  readonly error: string | undefined;
}

const NOTHING = { value: undefined, at: 0, error: undefined };

/**
 * An answer of the API, asked again when the path, the version or the run of the controller changes. A failed answer is
 * asked again with each new stream, because the controller can be reached then, and with each beat.
 * @param path undefined: nothing is asked
 * @param version a value that changes whenever the answer may change
 */
export function useAnswer<T>(path: string | undefined, version: unknown = ''): Asked<T> {
  const { access } = useUi();
  const { hello } = useLive().state;
  const [tries, setTries] = useState(0);
  const [newest, set] = useState<Asked<T> & { readonly path: string | undefined }>({ path, ...NOTHING });
  const asked = newest.path === path ? newest : NOTHING;
  const failed = asked.error !== undefined;
  useEffect(() => {
    if (!failed) return;
    const again = (): void => setTries((before) => before + 1);
    const timer = setInterval(again, BEAT_MS);
    return () => clearInterval(timer);
  }, [failed]);
  useEffect(() => {
    if (failed) setTries((before) => before + 1);
  }, [hello]);
  useEffect(() => {
    if (path === undefined) return;
    const stop = new AbortController();
    const ask = async (): Promise<void> => {
      try {
        const value = await access.get<T>(path, stop.signal);
        if (!stop.signal.aborted) set({ path, value, at: Date.now(), error: undefined });
      } catch (error) {
        if (stop.signal.aborted) return;
        set((before) => ({
          ...(before.path === path ? before : { path, ...NOTHING }),
          error: (error as Error).message,
        }));
      }
    };
    void ask();
    return () => stop.abort();
  }, [access, path, version, hello?.epoch, tries]);
  return asked;
}
