import { escapeHtml } from "./format.ts";

/** The page may use what is in it and load nothing. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** A page that needs no network: a heading, and a body of HTML that has its texts escaped.
 *  Charts of `lineChart` show their values in it on hover. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${body}
<script>${script}</script>
</body>
</html>
`;
}

/** Style of the page; colours follow the reader's light or dark setting. */
const style = `
:root { color-scheme: light dark; --paper: #fbfbf9; --card: #fff; --ink: #1d2126; --quiet: #6a727c; --line: #e4e5e1;
  --a: #2563c4; --b: #c2570c; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --card: #1b1f24; --ink: #e3e6ea; --quiet: #939ca7; --line: #2d333a;
    --a: #6ea8ff; --b: #f0965a; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2.25rem 0 .75rem; }
.lead { color: var(--quiet); margin: 0 0 1.5rem; }
.warning { border-left: 4px solid var(--b); padding: .5rem .9rem; background: var(--card); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 1px; margin: 0 0 1.5rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
dl div { padding: .65rem .9rem; box-shadow: 0 0 0 1px var(--line); }
dt { color: var(--quiet); font-size: .8rem; }
dd { margin: 0; font-size: 1.05rem; line-height: 1.4; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1rem; }
.charts > :first-child { grid-column: 1 / -1; }
@media (max-width: 52rem) { .charts { grid-template-columns: 1fr; } }
figure { position: relative; margin: 0; padding: .8rem .9rem .5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; min-width: 0; }
figcaption { display: flex; flex-wrap: wrap; gap: 0 .7rem; align-items: baseline; font-size: .9rem; }
figcaption span { color: var(--quiet); font-size: .8rem; }
.key::before { content: ""; display: inline-block; width: 1.1em; height: 3px; margin-right: .4em; border-radius: 2px;
  vertical-align: middle; background: var(--tone); }
.a { --tone: var(--a); } .b { --tone: var(--b); } .faint { --tone: color-mix(in srgb, var(--a) 32%, transparent); }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--quiet); font-size: 11px; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--line); fill: none; }
.line { fill: none; stroke: var(--tone); stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
.line.faint { stroke-width: 1; }
.dot { fill: var(--tone); }
.cursor { stroke: var(--quiet); stroke-dasharray: 3 3; fill: none; }
output { position: absolute; top: .75rem; right: .9rem; font-size: .8rem; font-variant-numeric: tabular-nums;
  background: var(--card); padding-left: .6rem; }
.none { color: var(--quiet); }
pre { margin: 0; padding: .9rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  font: 13px/1.6 ui-monospace, "SF Mono", Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
pre + pre { margin-top: .75rem; }
table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--line); }
th, td { padding: .5rem .9rem; text-align: left; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th { color: var(--quiet); font-size: .8rem; font-weight: 400; }
a { color: var(--a); }
pre b { color: var(--a); font-weight: 600; }
summary { cursor: pointer; margin-bottom: .75rem; }
`;

/** Shows the values nearest to the pointer in every chart. */
const script = `
for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector("svg");
  if (!svg) continue;
  const { x: [x0, x1, left, right], series } = JSON.parse(figure.querySelector("script").textContent);
  const cursor = svg.querySelector(".cursor"), output = figure.querySelector("output");
  const nearest = (points, x) => points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
  svg.addEventListener("pointermove", (event) => {
    const at = (event.clientX - svg.getBoundingClientRect().left) * svg.viewBox.baseVal.width / svg.clientWidth;
    const x = x0 + (Math.min(right, Math.max(left, at)) - left) / (right - left) * (x1 - x0);
    const step = nearest(series.map(({ points }) => nearest(points, x)), x)[0];
    const values = series.map(({ name, points }) => name + " " + nearest(points, step)[1]);
    output.textContent = "step " + step + ": " + values.join(", ");
    const line = left + (step - x0) / (x1 - x0) * (right - left);
    cursor.setAttribute("d", "M" + line + " " + cursor.dataset.top + "V" + cursor.dataset.bottom);
  });
  svg.addEventListener("pointerleave", () => { output.textContent = ""; cursor.setAttribute("d", ""); });
}
`;
