import { escapeHtml, formatNumber } from "./format.ts";

/** A value at a step. */
export type Point = readonly [step: number, value: number];

/** One line of a chart. */
export interface Series {
  readonly name: string;
  /** Class of the style sheet that colours it: `a`, `b`, or `faint` for what lies behind another line. */
  readonly tone: "a" | "b" | "faint";
  readonly points: readonly Point[];
}

/** What a chart shows. */
export interface ChartOptions {
  readonly title: string;
  /** Unit of the values, for the heading. */
  readonly unit: string;
  readonly series: readonly Series[];
  readonly width: number;
  readonly height: number;
  /** Lets the vertical axis begin at 0. */
  readonly fromZero?: boolean;
}

const margin = { left: 56, right: 14, top: 10, bottom: 34 };
const maxBuckets = 500;

/** Draws lines over steps as an SVG figure with axes, gridlines and a legend; the page's script shows values on hover.
 *  Values that are not finite leave a gap. */
export function lineChart({ title, unit, series, width, height, fromZero = false }: ChartOptions): string {
  const drawn = series.filter(({ points }) => points.length > 0).map((line) => ({ ...line, points: thin(line.points) }));
  const name = `<b>${escapeHtml(title)}</b> <span>${escapeHtml(unit)}</span>`;
  const heading = `<figcaption>${name}${legend(drawn)}</figcaption>`;
  const finite = series.flatMap(({ points }) => points).filter(([, y]) => Number.isFinite(y));
  if (finite.length === 0) return `<figure>${heading}<p class="none">nothing recorded</p></figure>`;

  const [x0, x1] = rangeOf(finite.map(([x]) => x));
  const xTicks = niceTicks(x0, x1, Math.floor(width / 110)).filter((x) => Number.isInteger(x) && x >= x0 && x <= x1);
  const yTicks = niceTicks(...rangeOf(finite.map(([, y]) => y).concat(fromZero ? [0] : [])), 5);
  const [y0, y1] = [yTicks[0]!, yTicks.at(-1)!];
  const plot = { right: width - margin.right, bottom: height - margin.bottom };
  const px = (x: number): number => margin.left + ((x - x0) / (x1 - x0)) * (plot.right - margin.left);
  const py = (y: number): number => plot.bottom - ((y - y0) / (y1 - y0)) * (plot.bottom - margin.top);

  const grid = yTicks.map((y) => `<path class="grid" d="M${margin.left} ${round(py(y))}H${plot.right}"/>`
    + `<text x="${margin.left - 8}" y="${round(py(y) + 4)}" text-anchor="end">${formatNumber(y)}</text>`);
  const steps = xTicks.map((x) => (
    `<text x="${round(px(x))}" y="${plot.bottom + 18}" text-anchor="middle">${formatNumber(x)}</text>`
  ));
  const lines = drawn.map(({ tone, points }) => `<path class="line ${tone}" d="${path(points, px, py)}"/>`
    + (points.length <= 40 && tone !== "faint" ? dots(points, tone, px, py) : ""));
  const data = {
    x: [x0, x1, margin.left, plot.right],
    series: drawn.map(({ name, points }) => ({ name, points: points.map(([x, y]) => [x, formatNumber(y)]) })),
  };
  return `<figure>${heading}
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(title)} over steps">
${grid.join("")}${steps.join("")}<text class="axis" x="${plot.right}" y="${height - 1}" text-anchor="end">step</text>
${lines.join("\n")}
<path class="cursor" d="" data-top="${margin.top}" data-bottom="${plot.bottom}"/>
</svg><output></output>
<script type="application/json">${JSON.stringify(data).replaceAll("<", "\\u003c")}</script></figure>`;
}

/** At most two points a bucket, the lowest and the highest, so that a spike of one step stays visible. */
export function thin(points: readonly Point[]): readonly Point[] {
  if (points.length <= 2 * maxBuckets) return points;
  const size = points.length / maxBuckets;
  return Array.from({ length: maxBuckets }, (_, i) => {
    const bucket = points.slice(Math.floor(i * size), Math.floor((i + 1) * size));
    let [low, high] = [bucket[0]!, bucket[0]!];
    for (const point of bucket) {
      // A value that is not finite must survive: it is what one looks for.
      if (!Number.isFinite(point[1])) return [point];
      if (point[1] < low[1]) low = point;
      if (point[1] > high[1]) high = point;
    }
    if (low === high) return [low];
    return low[0] < high[0] ? [low, high] : [high, low];
  }).flat();
}

/** Round numbers that cover a range, spaced by 1, 2 or 5 times a power of ten. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const spacing = power * [1, 2, 5, 10].find((step) => step * power >= rough * 0.999)!;
  const [first, last] = [Math.floor(low / spacing + 1e-9), Math.ceil(high / spacing - 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * spacing).toPrecision(12)));
}

/** Smallest and largest; widened where they are the same. */
function rangeOf(values: readonly number[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (high > low) return [low, high];
  const margin = Math.abs(low) * 0.1 || 1;
  return [low - margin, high + margin];
}

function path(points: readonly Point[], px: (x: number) => number, py: (y: number) => number): string {
  let pen = "M";
  return points.map(([x, y]) => {
    if (!Number.isFinite(y)) {
      pen = "M";
      return "";
    }
    const move = `${pen}${round(px(x))} ${round(py(y))}`;
    pen = "L";
    return move;
  }).join("");
}

function dots(points: readonly Point[], tone: string, px: (x: number) => number, py: (y: number) => number): string {
  return points.filter(([, y]) => Number.isFinite(y))
    .map(([x, y]) => `<circle class="dot ${tone}" cx="${round(px(x))}" cy="${round(py(y))}" r="2.5"/>`).join("");
}

function legend(series: readonly Series[]): string {
  if (series.length < 2) return "";
  return series.map(({ name, tone }) => `<span class="key ${tone}">${escapeHtml(name)}</span>`).join("");
}

function round(x: number): number {
  return Math.round(x * 10) / 10;
}
