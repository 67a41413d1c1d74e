import { expect, test } from "vitest";
import { counting, streamOf } from "../../test/support.ts";
import { sequentialBatches } from "./sequential.ts";

test("gives the rows in order, the last batch as long as they last", () => {
  const stream = streamOf([counting(4 * 7 + 2)]);
  const batches = [...sequentialBatches(stream, { sequenceLength: 4, rows: 3 })];
  expect(batches.map((batch) => batch.rows)).toEqual([3, 3, 1]);
  expect(batches.flatMap((batch) => [...batch.ids])).toEqual(counting(28));
  expect(batches.flatMap((batch) => [...batch.targets])).toEqual(counting(29).slice(1));
  const few = [...sequentialBatches(stream, { sequenceLength: 4, rows: 3, maxRows: 4 })];
  expect(few.map((batch) => batch.rows)).toEqual([3, 1]);
});

test("refuses a stream without one sequence", () => {
  expect(() => sequentialBatches(streamOf([counting(4)]), { sequenceLength: 4, rows: 1 }).next()).toThrow(/needs 5/);
});
