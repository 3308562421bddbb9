// The place in the UI as the address says it behind `#`: a screen, its subject, and what the person chose there.

export const SCREENS = ['attention', 'fleet', 'node', 'change', 'history'] as const;
export type Screen = (typeof SCREENS)[number];

export interface Place {
  readonly screen: Screen;
  /** The name of a node, or a commit of main. */
  readonly subject: string;
  readonly query: Readonly<Record<string, string>>;
}

export function parsePlace(hash: string): Place {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?');
  const [name = '', subject = ''] = path.split('/');
  const screen = SCREENS.find((each) => each === name) ?? 'attention';
  return { screen, subject: decoded(subject), query: Object.fromEntries(new URLSearchParams(search)) };
}

/** @param query an empty value is left out */
export function formatPlace(
  screen: Screen,
  subject = '',
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) params.set(key, value);
  const search = params.toString();
  return `#/${screen}${subject === '' ? '' : `/${encodeURIComponent(subject)}`}${search === '' ? '' : `?${search}`}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
