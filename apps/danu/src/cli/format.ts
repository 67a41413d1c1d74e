/** 12,345 */
export function withCommas(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** 1 step, 12,345 steps */
export function counted(count: number, noun: string): string {
  return `${withCommas(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Three digits and a letter: 6.25 M. */
export function short(value: number): string {
  for (const [size, letter] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (Math.abs(value) >= size * 0.9995) return `${Number((value / size).toPrecision(3))} ${letter}`;
  }
  return String(Number(value.toPrecision(3)));
}

/** 1.2 GB */
export function bytes(value: number): string {
  const text = short(value);
  return /[A-Z]$/i.test(text) ? `${text}B` : `${text} B`;
}

/** 1:02:03, or 2:03 below an hour. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const total = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const two = (n: number): string => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** 34 % */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Rows as aligned columns; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)));
  const numeric = head.map((_, i) => rows.every((row) => /^[\d,.:%\-–? ]*[a-zA-Z]{0,2}$/.test(row[i]!)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (numeric[i]! ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  return [line(head), ...rows.map(line)].join("\n");
}
