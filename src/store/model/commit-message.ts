// A commit's message: one line of subject, a body, and trailers as the last paragraph.

import { MultinicError } from '../../api/errors.ts';

export interface Message {
  readonly subject: string;
  readonly body?: string;
  readonly trailers: readonly (readonly [key: string, value: string])[];
}

const TRAILER = /^([A-Za-z][A-Za-z0-9-]*): ?(.*)$/;
const TRAILER_KEY = /^[A-Za-z][A-Za-z0-9-]*$/;
// oxlint-disable-next-line no-control-regex -- they are what is cleaned away
const CONTROL = /[\u0000-\u001f\u007f]+/g;

/**
 * The message as git stores it. Text from a CR or a person cannot forge other parts: a subject or a value is one line,
 * and a body that ends like trailers does not become trailers.
 */
export function formatMessage(message: Message): string {
  const subject = oneLine(message.subject);
  if (subject === '') {
    throw new MultinicError('InvalidBatch', 'a commit needs a subject; this is a defect, please report it');
  }
  const trailers = message.trailers.map(([key, value]) => {
    if (!TRAILER_KEY.test(key)) {
      throw new MultinicError(
        'InvalidBatch',
        `${JSON.stringify(key)} cannot be a trailer's key; use letters and dashes`,
      );
    }
    return `${key}: ${oneLine(value)}`;
  });
  const body = formatBody(message.body ?? '', trailers.length > 0);
  return [subject, body, trailers.join('\n')].filter((part) => part !== '').join('\n\n') + '\n';
}

/** Splits a stored message. If a line of the last paragraph is no trailer, the paragraph belongs to the body. */
export function parseMessage(text: string): { subject: string; body: string; trailers: [string, string][] } {
  const paragraphs = text.trim().split(/\n[ \t]*\n\s*/);
  const subject = (paragraphs.shift() ?? '').replaceAll('\n', ' ');
  const trailers = parseTrailers(paragraphs.at(-1) ?? '');
  if (trailers.length > 0) paragraphs.pop();
  return { subject, body: paragraphs.join('\n\n'), trailers };
}

/** A name or an address, without the characters that would end its place in a commit's header. */
export function cleanIdentity(text: string, otherwise: string): string {
  return text.replace(CONTROL, ' ').replace(/[<>]/g, '').trim() || otherwise;
}

function parseTrailers(paragraph: string): [string, string][] {
  const trailers: [string, string][] = [];
  for (const line of paragraph.split('\n')) {
    // `git cherry-pick -x` adds its note to the trailers that it keeps.
    if (line.startsWith('(cherry picked from commit ')) continue;
    const match = TRAILER.exec(line);
    if (match === null) return [];
    trailers.push([match[1] ?? '', (match[2] ?? '').trim()]);
  }
  return trailers;
}

function oneLine(text: string): string {
  return text.replace(CONTROL, ' ').trim();
}

function formatBody(text: string, trailersFollow: boolean): string {
  const body = text.replaceAll('\r\n', '\n').replaceAll('\0', ' ').trim();
  if (trailersFollow) return body;
  const paragraphs = body.split(/\n[ \t]*\n\s*/);
  const last = paragraphs.pop() ?? '';
  const harmless = parseTrailers(last).length > 0 ? last.replaceAll(/^/gm, ' ') : last;
  return [...paragraphs, harmless].join('\n\n');
}
