// Errors in the controller's log: one line without a stack where a message explains the error.

import { expect, test } from 'vitest';
import { MultinicError } from '../api/errors.ts';
import { serializeError } from './log-error.ts';

const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const unreachable = new MultinicError('StoreUnreachable', 'no answer', { cause: refused });

test.each<[string, Error, boolean]>([
  ['of ours', new MultinicError('Busy', 'ask again'), false],
  ['of ours about an error of the system', unreachable, false],
  ['of ours about an error of ours', new MultinicError('Busy', 'ask again', { cause: unreachable }), false],
  ['of the system', refused, true],
  ['of the program', new TypeError('x is undefined'), true],
  ['of ours about an error of the program', new MultinicError('Busy', 'x', { cause: new TypeError() }), true],
  [
    'of ours about an error of the program, deep below',
    new MultinicError('Busy', 'x', { cause: new MultinicError('Busy', 'y', { cause: new TypeError() }) }),
    true,
  ],
])('an error %s: its stack is there or not', (_, error, withStack) => {
  const serialized = serializeError(error) as { stack?: string; message: string };
  expect(serialized.stack !== undefined).toBe(withStack);
  expect(serialized.message).toContain(error.message);
});

test('the code, the data and the messages of the causes stay', () => {
  const error = new MultinicError('Busy', 'ask again', { cause: unreachable, data: { node: 'w' } });
  expect(serializeError(error)).toMatchObject({
    type: 'MultinicError',
    code: 'Busy',
    data: { node: 'w' },
    message: 'ask again: no answer: connect ECONNREFUSED',
  });
});
