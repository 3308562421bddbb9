// Theme, language, and who is signed in.

import type { ComponentChildren } from 'preact';
import { LANGUAGES, TEXTS, THEMES, type Preferences } from './preferences.ts';
import { useLive, useText, useUi } from './context.ts';

interface Props {
  readonly preferences: Preferences;
  readonly prefer: (preferences: Preferences) => void;
  readonly where: string;
}

export function Settings({ preferences, prefer, where }: Props): ComponentChildren {
  const { settings } = useText();
  const { access } = useUi();
  const { principal, version } = useLive().state.hello ?? {};
  return (
    <details class="settings">
      <summary>{principal?.name ?? settings.title}</summary>
      <div class="panel">
        {principal !== undefined && (
          <p>
            {settings.signedIn(principal.name)}
            <br />
            <small>{principal.role === 'write' ? settings.mayWrite : settings.mayRead}</small>
          </p>
        )}
        {access.author !== undefined && (
          <p>
            {settings.author}
            <br />
            <small>
              {access.author.name} {access.author.email !== '' && `<${access.author.email}>`}
            </small>
          </p>
        )}
        <p>
          {settings.where}
          <br />
          <small>
            {where} {version !== undefined && `(${version})`}
          </small>
        </p>
        <Choice
          label={settings.theme}
          values={THEMES}
          name={(each) => settings[each]}
          value={preferences.theme}
          choose={(theme) => prefer({ ...preferences, theme })}
        />
        <Choice
          label={settings.language}
          values={LANGUAGES}
          name={(each) => TEXTS[each].language}
          value={preferences.language}
          choose={(language) => prefer({ ...preferences, language })}
        />
      </div>
    </details>
  );
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly values: readonly T[];
  readonly value: T;
  readonly name: (value: T) => string;
  readonly choose: (value: T) => void;
}

function Choice<T extends string>({ label, values, value, name, choose }: ChoiceProps<T>): ComponentChildren {
  return (
    <div class="choice" role="group" aria-label={label}>
      <span>{label}</span>
      {values.map((each) => (
        <button key={each} type="button" aria-pressed={each === value} onClick={() => choose(each)}>
          {name(each)}
        </button>
      ))}
    </div>
  );
}
