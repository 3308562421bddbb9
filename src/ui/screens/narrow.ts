import { useEffect, useMemo, useState } from 'preact/hooks';

/** Whether the window is so narrow that style.css lays tables out in another way. */
export function useNarrow(): boolean {
  const query = useMemo(() => matchMedia('(max-width: 720px)'), []);
  const [narrow, set] = useState(query.matches);
  useEffect(() => {
    const follow = (): void => set(query.matches);
    query.addEventListener('change', follow);
    return () => query.removeEventListener('change', follow);
  }, [query]);
  return narrow;
}
