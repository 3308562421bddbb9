// The person's choice of theme and language, kept in this browser. Nothing else is kept.

import { en, type Texts } from '../text/en.ts';
import { ko } from '../text/ko.ts';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
export const LANGUAGES = ['en', 'ko'] as const;
export type Language = (typeof LANGUAGES)[number];

export const TEXTS: Readonly<Record<Language, Texts>> = { en, ko };

export interface Preferences {
  readonly theme: Theme;
  readonly language: Language;
}

export function readPreferences(): Preferences {
  const theme = THEMES.find((each) => each === kept('theme')) ?? 'auto';
  const wanted = navigator.languages.map((each) => each.slice(0, 2));
  const language =
    LANGUAGES.find((each) => each === kept('language')) ??
    wanted.flatMap((each) => LANGUAGES.find((known) => known === each) ?? []).at(0) ??
    'en';
  return { theme, language };
}

/** Shows and keeps a choice. */
export function applyPreferences({ theme, language }: Preferences): void {
  const { documentElement } = document;
  documentElement.lang = language;
  if (theme === 'auto') delete documentElement.dataset['theme'];
  else documentElement.dataset['theme'] = theme;
  keep('theme', theme);
  keep('language', language);
}

function kept(key: string): string | undefined {
  try {
    return localStorage.getItem(`multinic-${key}`) ?? undefined;
  } catch {
    // A browser may forbid local storage.
    return undefined;
  }
}

function keep(key: string, value: string): void {
  try {
    localStorage.setItem(`multinic-${key}`, value);
  } catch {
    // Without storage the choice lasts as long as the window.
  }
}
