import { parseMac, type Mac } from '../../src/network/mac.ts';

/** The MAC of a text in a test. @throws Error when the text is no MAC */
export function mac(text: string): Mac {
  const found = parseMac(text);
  if (found === undefined) throw new Error(`${text} is no MAC`);
  return found;
}
