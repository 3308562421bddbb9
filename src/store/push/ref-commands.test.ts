import { expect, test } from 'vitest';
import { FLUSH, pkt } from '../http/pktline.ts';
import { makeAtomic, readPushHeader } from './ref-commands.ts';

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);
const COMMANDS = [`${A} ${B} refs/heads/node/a`, `${A} ${B} refs/heads/node/b`];

test.each([
  ['without capabilities', ''],
  ['with an empty list of them', '\0'],
  ['with some', '\0 report-status agent=git/2.39'],
  ['that says so itself', '\0 atomic'],
])('a push %s is atomic', (_, list) => {
  for (const shallow of [[], [pkt(`shallow ${A}\n`)]]) {
    const [first = '', ...rest] = COMMANDS;
    const body = Buffer.concat([
      ...shallow,
      pkt(`${first}${list}`),
      ...rest.map((line) => pkt(line)),
      FLUSH,
      Buffer.from('PACK'),
    ]);
    const header = readPushHeader(body)!;
    const atomic = readPushHeader(makeAtomic(body, header))!;
    expect(atomic.commands).toEqual(header.commands);
    expect([...atomic.capabilities]).toEqual([...new Set([...header.capabilities, 'atomic'])]);
    expect(makeAtomic(body, header).subarray(atomic.end).toString()).toBe('PACK');
  }
});
