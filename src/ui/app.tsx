// The page around the screens: sign-in, navigation, the state of the connection.

import type { ComponentChildren, FunctionComponent } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ApiAccess } from './live/api-access.ts';
import { Connection } from './live/connection.ts';
import { findWay } from './live/sign-in.ts';
import type { Command } from './parts/command.ts';
import { CommandDialog } from './parts/command-button.tsx';
import { focusContent, useFocusAfterDialog, useFocusKeeper } from './parts/focus.ts';
import { TextContext, UiContext, useLive, useText, useUi } from './parts/context.ts';
import { LinkMark } from './parts/link-mark.tsx';
import { Settings } from './parts/settings.tsx';
import { formatPlace, parsePlace, type Place, type Screen } from './live/place.ts';
import { applyPreferences, readPreferences, TEXTS } from './parts/preferences.ts';
import { AttentionScreen } from './screens/attention-screen.tsx';
import { ChangeScreen } from './screens/change-screen.tsx';
import { FleetScreen } from './screens/fleet-screen.tsx';
import { HistoryScreen } from './screens/history-screen.tsx';
import { NodeScreen } from './screens/node-screen.tsx';
import { ClosedScreen, SignInScreen } from './screens/sign-in-screen.tsx';

type Entry =
  | { readonly step: 'asking' | 'closed' | 'token' }
  | { readonly step: 'in'; readonly access: ApiAccess; readonly where: string };

export function App(): ComponentChildren {
  const [preferences, prefer] = useState(readPreferences);
  const [entry, enter] = useState<Entry>({ step: 'asking' });
  useEffect(() => applyPreferences(preferences), [preferences]);
  useEffect(() => {
    void findWay().then((found) =>
      enter(
        found.way === 'session'
          ? { step: 'in', access: found.access, where: found.where }
          : { step: found.way },
      ),
    );
  }, []);
  return (
    <TextContext.Provider value={TEXTS[preferences.language]}>
      {entry.step === 'closed' && <ClosedScreen />}
      {entry.step === 'token' && (
        <SignInScreen signedIn={(access) => enter({ step: 'in', access, where: location.host })} />
      )}
      {entry.step === 'in' && (
        <Page access={entry.access}>
          <Settings preferences={preferences} prefer={prefer} where={entry.where} />
        </Page>
      )}
    </TextContext.Provider>
  );
}

interface PageProps {
  readonly access: ApiAccess;
  readonly children: ComponentChildren;
}

function Page({ access, children }: PageProps): ComponentChildren {
  const place = usePlace();
  const connection = useMemo(() => new Connection(access), [access]);
  useEffect(() => {
    connection.start();
    return () => connection.close();
  }, [connection]);
  const [command, ask] = useState<Command>();
  useEffect(() => ask(undefined), [place.screen, place.subject]);
  useFocusKeeper();
  useFocusAfterDialog(command !== undefined);
  return (
    <UiContext.Provider value={{ access, connection, place, ask }}>
      <TopBar>{children}</TopBar>
      <main id="content" tabIndex={-1}>
        <Content />
      </main>
      {command && <CommandDialog command={command} close={() => ask(undefined)} />}
    </UiContext.Provider>
  );
}

function Content(): ComponentChildren {
  const { link } = useLive();
  const { place } = useUi();
  useTitle(place);
  useFocusOfScreen(place);
  if (link === 'closed') return <ClosedScreen again />;
  const Screen = SCREENS[place.screen];
  // Draws each subject as a new screen, without state of the screen before.
  return <Screen key={place.subject} />;
}

/** Sets the page's title to the screen's name, for the browser's history and screen readers. */
function useTitle({ screen, subject }: Place): void {
  const { nav } = useText();
  const name = screen === 'node' || screen === 'change' ? subject.slice(0, 60) : nav[screen];
  useEffect(() => {
    document.title = `${name} · multinic`;
  }, [name]);
}

/** Moves the focus to the new screen, because the link that led there is gone. */
function useFocusOfScreen({ screen, subject }: Place): void {
  const known = useRef(`${screen}/${subject}`);
  useEffect(() => {
    const present = `${screen}/${subject}`;
    if (present !== known.current) focusContent();
    known.current = present;
  }, [screen, subject]);
}

const SCREENS: Readonly<Record<Screen, FunctionComponent>> = {
  attention: AttentionScreen,
  fleet: FleetScreen,
  node: NodeScreen,
  change: ChangeScreen,
  history: HistoryScreen,
};
const TABS: readonly Exclude<Screen, 'node' | 'change'>[] = ['attention', 'fleet', 'history'];

function TopBar({ children }: { readonly children: ComponentChildren }): ComponentChildren {
  const text = useText();
  const { place } = useUi();
  const { state } = useLive();
  const waiting = useMemo(
    () => [...state.nodes.values()].filter(({ activity }) => activity === 'stuck').length,
    [state.nodes],
  );
  return (
    <header class="bar">
      <a class="skip" href="#content" onClick={skip}>
        {text.nav.skip}
      </a>
      <a class="brand" href={formatPlace('attention')}>
        multinic
      </a>
      <nav aria-label={text.nav.label}>
        {TABS.map((screen) => (
          <a
            key={screen}
            href={formatPlace(screen)}
            aria-current={place.screen === screen ? 'page' : undefined}
          >
            {text.nav[screen]}
            {screen === 'attention' && waiting > 0 && <span class="badge">{waiting}</span>}
          </a>
        ))}
      </nav>
      <LinkMark />
      {children}
    </header>
  );
}

/** A plain link to a part of the page would change the address, which names the screen. */
function skip(event: MouseEvent): void {
  event.preventDefault();
  focusContent();
}

function usePlace(): Place {
  const [place, set] = useState(() => parsePlace(location.hash));
  // Listens before the page is shown, so that no click on a link comes before.
  useLayoutEffect(() => {
    const follow = (): void => set(parsePlace(location.hash));
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return place;
}
