/** A page with this text between its markers `<!-- generated: NAME -->` and `<!-- end -->`. */
export function withTable(page: string, name: string, table: string): string {
  const begin = `<!-- generated: ${name} -->\n`;
  const start = page.indexOf(begin);
  const end = page.indexOf('\n<!-- end -->', start);
  if (start === -1 || end === -1) throw new Error(`the page has no markers of "${name}"`);
  return page.slice(0, start + begin.length) + table + page.slice(end);
}
