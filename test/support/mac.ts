import { parseMac, type Mac } from '../../src/network/mac.ts';

/** The MAC that a test writes down. @throws Error when the text is none */
export function mac(text: string): Mac {
  const found = parseMac(text);
  if (found === undefined) throw new Error(`${text} is no MAC`);
  return found;
}
