import { expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { keepAsText } from './yaml-text.ts';

test.each([
  '12345678901234567890123456789012',
  '00000000000000000000000000000001',
  '1234567890123456789012345678e012',
])('the ID %s is the text that stands there, quoted or not', (id) => {
  const document = parseDocument(`machineId: ${id}\nother: "${id}"\nlist:\n- machineId: ${id}\nmtu: 1500\n`);
  keepAsText(document, 'machineId', 'other');
  expect(document.toJS()).toEqual({ machineId: id, other: id, list: [{ machineId: id }], mtu: 1500 });
});
