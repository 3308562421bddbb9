import type { Texts } from './en.ts';

/** A length of time in one unit. @param ms negative (a clock that differs): no time */
export function ageText(ms: number, { time }: Pick<Texts, 'time'>): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return time.seconds(seconds);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return time.minutes(minutes);
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? time.hours(hours) : time.days(Math.floor(hours / 24));
}
