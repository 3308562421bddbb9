// The words, the way to the API, and the place, for every part of the page.

import { createContext } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';
import type { ApiAccess } from '../live/api-access.ts';
import type { Connection, Live } from '../live/connection.ts';
import type { Place } from '../live/place.ts';
import { en, type Texts } from '../text/en.ts';
import type { Command } from './command.ts';

export const TextContext = createContext<Texts>(en);
export const useText = (): Texts => useContext(TextContext);

export interface Ui {
  readonly access: ApiAccess;
  readonly connection: Connection;
  readonly place: Place;
  /** Opens the dialog of a command. */
  readonly ask: (command: Command) => void;
}

const NOTHING: unknown = undefined;
export const UiContext = createContext<Ui>(NOTHING as Ui);
export const useUi = (): Ui => useContext(UiContext);

/** The live state; the part is drawn again when it changes. */
export function useLive(): Live {
  const { connection } = useUi();
  const [live, set] = useState(connection.live);
  useEffect(() => {
    set(connection.live);
    return connection.subscribe(() => set(connection.live));
  }, [connection]);
  return live;
}

/** The present time, again and again. */
export function useNow(everyMs: number): number {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
