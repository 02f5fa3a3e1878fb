// Draws what a terminal showed as an SVG of plain text: reads what script(1) recorded, keeps the last screen. Knows the few
// control sequences that the demo and the commands below it use.
//
//   node scripts/demo/picture.ts RECORDING > docs/demo.svg

import { readFileSync } from 'node:fs';

/** One character on the screen with the colour it was written in. */
interface Cell {
  readonly text: string;
  readonly colour: string;
}

const DEFAULT_COLOUR = '#d8dee9';
const COLOURS: Readonly<Record<string, string>> = { '31': '#ff7b72', '32': '#7ee787', '36': '#79c0ff' };
const CELL_WIDTH = 8.4;
const LINE_HEIGHT = 18;
const MARGIN = 16;

// A control sequence (CSI, ECMA-48), or a single character.
// biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's language is made of them
const TOKEN = /\u001b\[([0-9;?]*)([A-Za-z])|([\s\S])/gu;

/** The lines of the screen after everything in `recording` was written to it. */
export function readScreen(recording: string): Cell[][] {
  const lines: Cell[][] = [[]];
  let row = 0;
  let column = 0;
  let colour = DEFAULT_COLOUR;
  const line = () => {
    while (lines.length <= row) lines.push([]);
    return lines[row]!;
  };
  for (const [, parameter = '', final, character] of recording.matchAll(TOKEN)) {
    if (character === '\r') column = 0;
    else if (character === '\n') row++;
    else if (character !== undefined) {
      const cells = line();
      while (cells.length < column) cells.push({ text: ' ', colour: DEFAULT_COLOUR });
      cells[column++] = { text: character, colour };
    } else if (final === 'A') row = Math.max(0, row - Number(parameter || 1));
    else if (final === 'K') line().length = Math.min(line().length, column);
    else if (final === 'm') colour = COLOURS[parameter] ?? DEFAULT_COLOUR;
  }
  return lines;
}

/** The screen as an SVG; each line is one text element, each run of one colour a span of it. */
export function drawScreen(lines: readonly (readonly Cell[])[]): string {
  const columns = Math.max(...lines.map((cells) => cells.length));
  const width = Math.ceil(columns * CELL_WIDTH + 2 * MARGIN);
  const height = lines.length * LINE_HEIGHT + 2 * MARGIN;
  const texts = lines.map((cells, index) => {
    const y = MARGIN + (index + 0.75) * LINE_HEIGHT;
    return cells.length === 0 ? '' : `<text x="${MARGIN}" y="${y}">${spans(cells)}</text>\n`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<style>text { font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre; fill: ${DEFAULT_COLOUR}; }</style>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${texts.join('')}</svg>
`;
}

function spans(cells: readonly Cell[]): string {
  let out = '';
  for (let start = 0; start < cells.length; ) {
    const { colour } = cells[start]!;
    let end = start;
    while (end < cells.length && cells[end]!.colour === colour) end++;
    const text = cells
      .slice(start, end)
      .map((cell) => cell.text)
      .join('');
    // The width is fixed, so that columns line up whatever font is at hand.
    const length = ((end - start) * CELL_WIDTH).toFixed(1);
    out += `<tspan textLength="${length}" lengthAdjust="spacingAndGlyphs" fill="${colour}">${escaped(text)}</tspan>`;
    start = end;
  }
  return out;
}

function escaped(text: string): string {
  return text.replace(/[&<>]/g, (found) => ({ '&': '&amp;', '<': '&lt;' })[found] ?? '&gt;');
}

if (import.meta.main) {
  const [path] = process.argv.slice(2);
  if (path === undefined) {
    console.error('usage: node scripts/demo/picture.ts RECORDING > PICTURE.svg');
    process.exit(2);
  }
  // script(1) puts a line of its own before and after.
  const recording = readFileSync(path, 'utf8')
    .replace(/^Script started.*\n/, '')
    .replace(/\n*Script done.*\n*$/, '');
  process.stdout.write(drawScreen(readScreen(recording.trimEnd())));
}
