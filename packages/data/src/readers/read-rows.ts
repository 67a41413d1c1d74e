import { DataError } from "../data-error.ts";
import type { BadRows } from "./bad-rows.ts";
import type { SourceFile } from "./list-files.ts";
import type { RawRow, RowSplitter } from "./raw-row.ts";
import { readBytes, type InflationLimits } from "./read-bytes.ts";
import { JsonSplitter } from "./split-json.ts";
import { LineSplitter } from "./split-lines.ts";
import { decodeUtf8, type InvalidText } from "./utf8.ts";

/** A parsed row of a JSONL, JSON or Parquet file. */
export interface Row {
  readonly value: unknown;
  readonly raw: RawRow;
}

/** Settings of {@link readRows}. */
export interface RowOptions extends InflationLimits {
  /** Most bytes in one row. */
  readonly maxRowBytes: number;
  readonly invalidText: InvalidText;
  readonly onBytes?: (count: number) => void;
}

/** Rows of one JSONL, JSON or Parquet file, parsed one by one; a row that cannot be parsed goes to `badRows`. A row of
 *  Parquet has its number in place of a line.
 *  @throws DataError `bad-row` as `file:line: reason`, unless bad rows are skipped; `bad-parquet`; the errors of
 *  {@link readBytes} */
export async function* readRows(
  file: SourceFile,
  options: RowOptions,
  badRows: BadRows,
): AsyncGenerator<Row, void, undefined> {
  if (file.format === "parquet") {
    const { readParquetRows } = await import("./parquet/read-parquet.ts");
    yield* readParquetRows(file, options, badRows);
    return;
  }
  const { maxRowBytes } = options;
  const splitter: RowSplitter = file.format === "json" ? new JsonSplitter(maxRowBytes) : new LineSplitter(maxRowBytes);
  const parse = function* (rows: Iterable<RawRow>): Generator<Row, void, undefined> {
    for (const raw of rows) {
      const parsed = parseRow(raw, file.path, options.invalidText);
      if ("reason" in parsed) badRows.report(file.path, raw.line, parsed.reason, raw.bytes);
      else yield { value: parsed.value, raw };
    }
  };
  for await (const chunk of readBytes(file, options, options.onBytes)) yield* parse(splitter.push(chunk));
  yield* parse(splitter.end());
}

function parseRow(raw: RawRow, path: string, invalid: InvalidText): { value: unknown } | { reason: string } {
  if (raw.problem !== null) return { reason: raw.problem };
  try {
    return { value: JSON.parse(decodeUtf8(raw.bytes, invalid, path, raw.offset)) as unknown };
  } catch (error) {
    if (error instanceof DataError) return { reason: `byte ${String(error.data["offset"])} is not valid UTF-8` };
    const hint = raw.unfinished ? "; the file ends here without a line end and may be cut short" : "";
    return { reason: `not valid JSON: ${(error as Error).message.slice(0, 200)}${hint}` };
  }
}
