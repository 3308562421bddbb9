// Readers of foreign configuration, each as forgiving as the program that reads it on the host.

export type IniEntry = readonly [key: string, value: string];

/**
 * `Section.Key` and value of each assignment, in order, as systemd reads `.link` and `.network` files: a backslash at
 * the end continues a line, and a line without an assignment is ignored.
 * @returns undefined for a file with a broken section header: systemd ignores it as a whole
 */
export function unitEntries(content: string): IniEntry[] | undefined {
  const entries: IniEntry[] = [];
  let section: string | undefined;
  for (const line of continuedLines(content.split(/[\n\r\0]/), COMMENT)) {
    if (line.startsWith('[')) {
      section = /^\[(.+)\]$/.exec(line)?.[1];
      if (section === undefined) return undefined;
    } else if (section !== undefined) entries.push(...assignment(section, line));
  }
  return entries;
}

/**
 * `section.key` and value of each line, in order, as GLib reads a key file. NetworkManager's profiles are such files.
 * @returns undefined for a file that is broken: NetworkManager ignores it as a whole
 */
export function iniEntries(content: string): IniEntry[] | undefined {
  const entries: IniEntry[] = [];
  let section: string | undefined;
  for (const line of settings(content)) {
    const header = /^\[([^[\]]+)\]$/.exec(line);
    const found = section === undefined ? [] : assignment(section, line);
    if (header !== null) section = header[1];
    else if (found.length === 0) return undefined;
    else entries.push(...found);
  }
  return entries;
}

/** Rules of udev, each on one line. */
export function udevRules(content: string): string[] {
  return continuedLines(content.split('\n'), /^#/);
}

/** Lines with content. */
export function settings(content: string): string[] {
  return content
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !COMMENT.test(line));
}

/**
 * Shell assignments, as NetworkManager reads an ifcfg file: the last assignment of a key counts, and an empty value
 * counts as none.
 */
export function shellValues(content: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of settings(content)) {
    const [, key, text = ''] = /^([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    if (key === undefined) continue;
    values.delete(key);
    const value = unquoted(text);
    if (value !== '') values.set(key, value);
  }
  return values;
}

const COMMENT = /^[#;]/;
/** Matches an odd number of backslashes at the end of a line. */
const CONTINUED = /(?<!\\)(\\\\)*\\$/;

/** Lines without comments and blank ones, each joined with its continuations by a blank. */
function continuedLines(lines: readonly string[], comment: RegExp): string[] {
  const whole: string[] = [];
  let begun = '';
  for (const line of lines) {
    if (comment.test(line.trimStart())) continue;
    if (CONTINUED.test(line)) begun += `${line.slice(0, -1)} `;
    else {
      whole.push(`${begun}${line}`.trim());
      begun = '';
    }
  }
  return [...whole, begun.trim()].filter((line) => line !== '');
}

function assignment(section: string, line: string): IniEntry[] {
  const equals = line.indexOf('=');
  return equals < 1 ? [] : [[`${section}.${line.slice(0, equals).trim()}`, line.slice(equals + 1).trim()]];
}

/** The first word of a shell assignment's value, without its quotes; a comment may follow. */
function unquoted(value: string): string {
  const [word = ''] = /^(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\;#]|(?<=\S)#)*/.exec(value) ?? [];
  return word.replaceAll(/"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)/g, (_, double, single, escaped) =>
    double === undefined ? (single ?? escaped) : String(double).replaceAll(/\\(["\\$`])/g, '$1'),
  );
}
