import { useEffect, useState } from 'preact/hooks';
import { useLive, useUi } from './context.ts';

export interface Asked<T> {
  /** The newest answer; an answer for another path is forgotten. */
  readonly value: T | undefined;
  readonly error: string | undefined;
}

/**
 * An answer of the API, asked again when the path, the version or the run of the controller changes. A failed answer is
 * asked again with each new stream, because the controller can be reached then.
 * @param path undefined: nothing is asked
 * @param version a value that changes whenever the answer may change
 */
export function useAnswer<T>(path: string | undefined, version: unknown = ''): Asked<T> {
  const { access } = useUi();
  const { hello } = useLive().state;
  const [tries, setTries] = useState(0);
  const [asked, set] = useState<Asked<T> & { readonly path: string | undefined }>({
    path,
    value: undefined,
    error: undefined,
  });
  useEffect(() => {
    if (asked.error !== undefined) setTries((before) => before + 1);
  }, [hello]);
  useEffect(() => {
    if (path === undefined) return;
    const stop = new AbortController();
    access.get<T>(path, stop.signal).then(
      (value) => set({ path, value, error: undefined }),
      (error: unknown) => {
        if (!stop.signal.aborted) set({ path, value: undefined, error: (error as Error).message });
      },
    );
    return () => stop.abort();
  }, [access, path, version, hello?.epoch, tries]);
  return asked.path === path ? asked : { value: undefined, error: undefined };
}
