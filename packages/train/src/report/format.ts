/** Text as HTML that shows it: nothing in it is markup. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A number in as few characters as tell it apart: `3.27`, `12.8k`, `4.1e-5`. */
export function formatNumber(x: number): string {
  if (!Number.isFinite(x) || x === 0) return String(x === 0 ? 0 : x);
  const size = Math.abs(x);
  if (size >= 1e4 && size < 1e15) {
    const power = Math.min(4, Math.floor(Math.log10(size) / 3));
    return `${shorten(x / 1000 ** power)}${["", "k", "M", "G", "T"][power]}`;
  }
  if (size < 1e-3 || size >= 1e15) return x.toExponential(2).replace(/\.?0+e/, "e");
  return shorten(x);
}

/** A length of time: `2 h 05 min`, `3 min 20 s`, `4.2 s`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "unknown";
  if (seconds < 60) return `${Math.round(seconds * 10) / 10} s`;
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
}

function shorten(x: number): string {
  return String(Number(x.toPrecision(4)));
}
