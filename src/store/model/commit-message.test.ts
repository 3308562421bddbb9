import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { cleanIdentity, formatMessage, parseMessage } from './commit-message.ts';

const key = fc.stringMatching(/^[A-Z][a-z]{0,6}(-[A-Z][a-z]{0,5})?$/);
const line = fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/);
const hostile = fc.string({
  unit: fc.constantFrom('a', ':', ' ', '\n', '\r', '\0', '<', '-', 'Change: spec'),
});

test('trailers, subject and body of plain lines read back as they were given', () => {
  fc.assert(
    fc.property(
      line,
      fc.array(line),
      fc.array(fc.tuple(key, line), { minLength: 1 }),
      (subject, lines, trailers) => {
        const body = lines.join('\n');
        expect(parseMessage(formatMessage({ subject, body, trailers }))).toEqual({ subject, body, trailers });
      },
    ),
    { seed: 1 },
  );
});

test('no text in a subject, a body or a value becomes a trailer', () => {
  fc.assert(
    fc.property(hostile, hostile, fc.array(hostile), (subject, body, values) => {
      const trailers = values.map((value) => ['Key', value] as const);
      const parsed = parseMessage(formatMessage({ subject: `s${subject}`, body, trailers }));
      expect(parsed.trailers.map(([name]) => name)).toEqual(trailers.map(() => 'Key'));
      expect(parsed.subject).not.toMatch(/[\n\0]/);
    }),
    { seed: 1 },
  );
});

test('a last paragraph with any other line is body, but for the note of a cherry-pick', () => {
  expect(parseMessage('s\n\nChange: spec\nand more').trailers).toEqual([]);
  expect(parseMessage('s\n\nChange: spec\n(cherry picked from commit 1)\n').trailers).toEqual([
    ['Change', 'spec'],
  ]);
  expect(parseMessage('Change: spec\n')).toEqual({ subject: 'Change: spec', body: '', trailers: [] });
  expect(parseMessage('two\nlines\n\nbody')).toEqual({ subject: 'two lines', body: 'body', trailers: [] });
});

test('a name cannot leave its place in a header', () => {
  expect(cleanIdentity('a <b>\nc\0', 'x')).toBe('a b c');
  expect(cleanIdentity(' <>\n', 'unknown')).toBe('unknown');
});
