// Draws line charts below each other as one SVG, which is readable on a light and on a dark page.

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
}

export interface Picture {
  readonly title: string;
  readonly about: string;
  /** Name of the horizontal axis. */
  readonly across: string;
  readonly panels: readonly Panel[];
}

const WIDTH = 800;
const LEFT = 64;
const RIGHT = 24;
const TOP = 64;
/** Height of a panel's plot, and of what stands above it (title, names of lines) and below it (days). */
const PLOT = 150;
const ABOVE = 46;
const BELOW = 34;
const PANEL = ABOVE + PLOT + BELOW;

/** Okabe and Ito's colours, which people with any colour vision tell apart, in a tone for each kind of page. */
const LIGHT = ['#0072b2', '#d55e00', '#00805e', '#9a4f80'];
const DARK = ['#56b4e9', '#f0884a', '#2fc49a', '#dd9cc4'];

export function picture({ title, about, across, panels }: Picture): string {
  const height = TOP + panels.length * PANEL;
  const end = Math.max(
    1,
    ...panels.flatMap(({ lines }) => lines.flatMap(({ points }) => points.map(([x]) => x))),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title about">`,
    `<title id="title">${text(title)}</title>`,
    `<desc id="about">${text(about)}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="${WIDTH}" height="${height}"/>`,
    `<text class="title" x="${LEFT}" y="28">${text(title)}</text>`,
    `<text x="${LEFT}" y="48">${text(about)}</text>`,
    ...panels.map((panel, index) => drawPanel(panel, TOP + index * PANEL, end, across)),
    '</svg>',
    '',
  ].join('\n');
}

const colours = (tones: readonly string[]): string =>
  tones.map((tone, index) => `.l${index}{stroke:${tone}}.n${index}{fill:${tone}}`).join('');

const STYLE = [
  'text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:18px;font-weight:600}.panel{font-weight:600}',
  '.page{fill:#fff}.grid{stroke:#ddd}.line{fill:none;stroke-width:1.5;stroke-linejoin:round}',
  colours(LIGHT),
  `@media(prefers-color-scheme:dark){text{fill:#ddd}.page{fill:#16181d}.grid{stroke:#3a3d45}${colours(DARK)}}`,
].join('');

function drawPanel({ title, unit, lines }: Panel, top: number, end: number, across: string): string {
  const highest = Math.max(0, ...lines.flatMap(({ points }) => points.map(([, y]) => y)));
  const rows = ticks(highest, 4);
  const most = rows.at(-1)!;
  const y = (value: number): number => top + ABOVE + PLOT * (1 - value / most);
  const x = (value: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * value) / end;
  const bottom = top + ABOVE + PLOT;
  return [
    `<text class="panel" x="${LEFT}" y="${top + 16}">${text(title)} (${text(unit)})</text>`,
    drawNames(lines, top + 36),
    ...rows.map(
      (value) =>
        `<path class="grid" d="M${LEFT} ${at(y(value))}H${WIDTH - RIGHT}"/><text x="${LEFT - 8}" y="${at(y(value) + 4)}" text-anchor="end">${format(value)}</text>`,
    ),
    ...ticks(end, 6)
      .filter((value) => value <= end)
      .map(
        (value) =>
          `<text x="${at(x(value))}" y="${bottom + 16}" text-anchor="middle">${value === 0 ? `${text(across)} 0` : format(value)}</text>`,
      ),
    ...lines.map(({ points }, index) => {
      const path = points.map(([day, value]) => `${at(x(day))} ${at(y(value))}`).join('L');
      return points.length === 0 ? '' : `<path class="line l${index}" d="M${path}"/>`;
    }),
  ].join('\n');
}

/** Names of the lines side by side, each in its line's colour. */
function drawNames(lines: readonly Line[], y: number): string {
  const spans = lines.map(
    ({ name }, index) => `<tspan class="n${index}" dx="${index === 0 ? 0 : 18}">━ ${text(name)}</tspan>`,
  );
  return `<text x="${LEFT}" y="${y}">${spans.join('')}</text>`;
}

/** Round values from 0 to the first one that is not below `highest`. */
export function ticks(highest: number, about: number): number[] {
  const rough = (highest || 1) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? rough;
  const count = Math.ceil((highest || 1) / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

const at = (value: number): string => value.toFixed(1);
const format = (value: number): string => value.toLocaleString('en');
const text = (value: string): string =>
  value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
