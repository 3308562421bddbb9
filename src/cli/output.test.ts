import { describe, expect, test } from 'vitest';
import { printable, printableJson } from '../network/text.ts';
import { forTerminal } from './output.ts';

describe('text for a terminal', () => {
  test('keeps colours and lines, and nothing else that a terminal obeys', () => {
    const red = '\u001b[31mred\u001b[39m';
    expect(forTerminal(`${red}\nnext \u001b[2J\u001b]0;title\u0007 \u009b31m a\rb \u202Eevil\n`)).toBe(
      `${red}\nnext ?[2J?]0;title? ?31m a?b ?evil\n`,
    );
  });

  test('keeps letters and joiners of all scripts', () => {
    for (const name of ['Zoë', '포트', 'می\u200Cخواهم', 'क्‍ष', '👍']) expect(printable(name)).toBe(name);
  });

  test('as JSON says the same to a program', () => {
    const value = { name: 'a\u009b31m\u202E\u{E0041}é' };
    const json = printableJson(JSON.stringify(value));
    expect(json).toBe('{"name":"a\\u009b31m\\u202e\\udb40\\udc41é"}');
    expect(JSON.parse(json)).toEqual(value);
  });
});
