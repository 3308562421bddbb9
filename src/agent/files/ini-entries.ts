/**
 * `section.key` and value of every line, in order, as forgiving as the OS's readers are: for files of others.
 * @returns undefined for a file that is broken: its reader ignores it as a whole
 */
export function iniEntries(content: string): (readonly [key: string, value: string])[] | undefined {
  const entries: (readonly [string, string])[] = [];
  let section: string | undefined;
  for (const line of settings(content)) {
    const header = /^\[([^[\]]+)\]$/.exec(line);
    const equals = line.indexOf('=');
    if (header !== null) section = header[1];
    else if (section === undefined || equals < 1) return undefined;
    else entries.push([`${section}.${line.slice(0, equals).trim()}`, line.slice(equals + 1).trim()]);
  }
  return entries;
}

/** Lines that say something. */
export function settings(content: string): string[] {
  return content
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^[#;]/.test(line));
}

/** Shell assignments, as an ifcfg file has them: the last of a key counts. */
export function shellValues(content: string): Map<string, string> {
  return new Map(
    settings(content).flatMap((line) => {
      const [, key, value = ''] = /^(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
      return key === undefined ? [] : [[key, value.replaceAll(/^["']|["']$/g, '')] as const];
    }),
  );
}
