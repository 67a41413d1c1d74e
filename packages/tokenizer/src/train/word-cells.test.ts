import { expect, it } from "vitest";
import { countOf, HEADER, SYMBOL_CELLS, WordCells } from "./word-cells.ts";

it("counts beyond 32 bits, and words of one symbol", () => {
  const words = new WordCells();
  const starts = [7, 2 ** 31, 2 ** 32 + 5, 2 ** 52 + 2 ** 31 + 1].map((count) => {
    const start = words.length;
    for (const symbol of [3, 1, 4]) words.push(symbol);
    words.endWord(count);
    words.push(9);
    words.endWord(1);
    words.endWord(1);
    return [start, count] as const;
  });
  for (const [start, count] of starts) {
    expect(countOf(words.cells, start)).toBe(count);
    expect(words.cells[start]).toBe(3);
    expect([0, 1, 2].map((i) => words.cells[start + HEADER + i * SYMBOL_CELLS])).toEqual([3, 1, 4]);
  }
  expect(words.length).toBe(4 * (HEADER + 3 * SYMBOL_CELLS));
});
