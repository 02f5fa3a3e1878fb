// A line plot as SVG: labelled axes from zero, a legend, colours that the colour-blind can tell apart.

export type Point = readonly [x: number, y: number];

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
  /** Shows each point, for lines of few. */
  readonly dots?: boolean;
  /** A thin line across, at what is not to be had more of. */
  readonly limit?: { readonly name: string; readonly y: number };
}

const WIDTH = 760;
const HEIGHT = 420;
const LEFT = 70;
const RIGHT = 200;
const TOP = 44;
const BOTTOM = 56;
const TICKS = 6;
const LEGEND_STEP = 22;
/** Okabe and Ito's palette, the dark ones first. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
/** Tells lines apart where colours do not, as in print. */
const DASHES = ['', '7 3', '2 3', '9 3 2 3', '12 4', '4 4', '1 4'];

export function linePlot(plot: Plot): string {
  const points = plot.series.flatMap((series) => series.points);
  const xMax = niceMax(Math.max(...points.map(([x]) => x)));
  const yMax = niceMax(Math.max(...points.map(([, y]) => y), plot.limit?.y ?? 0));
  const x = (value: number) => LEFT + (value / xMax.top) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => HEIGHT - BOTTOM - (value / yMax.top) * (HEIGHT - TOP - BOTTOM);
  const at = ([px, py]: Point) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`;
  const parts = [
    text(LEFT, TOP - 20, plot.title, 'font-size="16" font-weight="bold"'),
    ...steps(xMax).flatMap((value) => [
      line(x(value), y(0), x(value), y(yMax.top), '#e4e4e4'),
      text(x(value), y(0) + 18, shown(value), 'text-anchor="middle"'),
    ]),
    ...steps(yMax).flatMap((value) => [
      line(x(0), y(value), x(xMax.top), y(value), value === 0 ? '#444444' : '#e4e4e4'),
      text(x(0) - 8, y(value) + 4, shown(value), 'text-anchor="end"'),
    ]),
    text((x(0) + x(xMax.top)) / 2, HEIGHT - 14, plot.xLabel, 'text-anchor="middle"'),
    text(
      0,
      0,
      plot.yLabel,
      `text-anchor="middle" transform="translate(18 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"`,
    ),
  ];
  const legend = (index: number, name: string, stroke: string) => {
    const row = TOP + 12 + index * LEGEND_STEP;
    parts.push(
      `<path d="M${WIDTH - RIGHT + 12} ${row}h28" ${stroke}/>`,
      text(WIDTH - RIGHT + 46, row + 4, name),
    );
  };
  const { limit } = plot;
  if (limit !== undefined) {
    parts.push(line(x(0), y(limit.y), x(xMax.top), y(limit.y), '#888888'));
    legend(plot.series.length, limit.name, 'stroke="#888888"');
  }
  for (const [index, series] of plot.series.entries()) {
    const stroke = `stroke="${COLOURS[index % COLOURS.length]}" stroke-width="2" stroke-dasharray="${DASHES[index % DASHES.length]}"`;
    parts.push(
      `<polyline fill="none" stroke-linejoin="round" ${stroke} points="${series.points.map(at).join(' ')}"/>`,
    );
    if (plot.dots) {
      const fill = `fill="${COLOURS[index % COLOURS.length]}"`;
      parts.push(
        ...series.points.map(
          ([px, py]) => `<circle cx="${x(px).toFixed(1)}" cy="${y(py).toFixed(1)}" r="3.5" ${fill}/>`,
        ),
      );
    }
    legend(index, series.name, stroke);
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escaped(plot.title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

interface Scale {
  readonly top: number;
  readonly step: number;
}

/** The end of an axis that has room for `value`, in steps of 1, 2 or 5 times a power of ten. */
function niceMax(value: number): Scale {
  const rough = Math.max(value, 1e-9) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough)!;
  return { top: Math.ceil(value / step) * step || step, step };
}

function steps({ top, step }: Scale): number[] {
  return Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
}

function shown(value: number): string {
  return String(Number(value.toPrecision(6)));
}

function line(x1: number, y1: number, x2: number, y2: number, stroke: string): string {
  return `<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" stroke="${stroke}"/>`;
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
