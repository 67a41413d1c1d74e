import { isUtf8 } from "node:buffer";
import { type FileHandle, open } from "node:fs/promises";
import { assembleNested } from "hyparquet/src/assemble.js";
import { DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import type { SchemaTree } from "hyparquet";
import { asDataError, DataError } from "../../data-error.ts";
import type { BadRows } from "../bad-rows.ts";
import type { SourceFile } from "../list-files.ts";
import { checkInflation } from "../read-bytes.ts";
import type { Row, RowOptions } from "../read-rows.ts";
import { ColumnReader, type Values } from "./column-reader.ts";
import { readFooter, type RowGroup } from "./footer.ts";
import { jsonValue } from "./json-value.ts";

const leastPageLimit = 64 * 1024 * 1024;

/** Rows of a Parquet file as JSON would hold them, read page by page: what is held is a page of each column. The line
 *  of a row is its number, from 1. A row longer than `maxRowBytes` goes to `badRows`.
 *  @throws DataError `bad-parquet`, `inflation-limit`, `not-found`, `unreadable`, `bad-row` unless rows are skipped */
export async function* readParquetRows(
  source: SourceFile,
  options: RowOptions,
  badRows: BadRows,
): AsyncGenerator<Row, void, undefined> {
  let file: FileHandle | undefined;
  let group = -1;
  try {
    file = await open(source.path, "r");
    const footer = await readFooter(file, (await file.stat()).size);
    const progress = progressOf(source, options);
    let line = 1;
    for (group = 0; group < footer.groups.length; group++) {
      const { rows } = footer.groups[group]!;
      const columns = columnsOf(file, footer.groups[group]!, options, progress);
      for (let done = 0; done < rows; ) {
        const batch = await nextRows(columns, footer.schema);
        done += batch.length;
        for (const fields of batch) {
          const row = rowOf(fields, line++);
          if (row.size <= options.maxRowBytes) yield row;
          else badRows.report(source.path, row.raw.line, longRow(options.maxRowBytes), row.raw.bytes);
        }
      }
    }
  } catch (error) {
    throw asParquetError(error, source.path, group);
  } finally {
    await file?.close();
  }
}

function progressOf({ path }: SourceFile, options: RowOptions): (read: number, inflated: number) => void {
  let allRead = 0;
  let allInflated = 0;
  return (read, inflated) => {
    allRead += read;
    allInflated += inflated;
    options.onBytes?.(read);
    checkInflation(path, allRead, allInflated, options);
  };
}

function columnsOf(
  file: FileHandle,
  group: RowGroup,
  { maxRowBytes, invalidText }: RowOptions,
  onPage: (read: number, inflated: number) => void,
): ColumnReader[] {
  const decode = (bytes: Uint8Array): unknown =>
    invalidText === "replace" || isUtf8(bytes)
      ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
      : bytes;
  const maxPageBytes = Math.max(maxRowBytes, leastPageLimit);
  return group.columns.map(
    (chunk) => new ColumnReader(file, chunk, { rows: group.rows, maxPageBytes, onPage, decode }),
  );
}

/** As many rows as every column has at hand, one at least. */
async function nextRows(columns: readonly ColumnReader[], schema: SchemaTree): Promise<Record<string, unknown>[]> {
  for (const column of columns) {
    try {
      await column.fill();
    } catch (error) {
      throw error instanceof Error ? inColumn(error, column.name) : error;
    }
  }
  const count = Math.min(...columns.map(({ available }) => available));
  const values = new Map<string, Values>();
  for (const column of columns) values.set(column.name, column.take(count));
  for (const field of schema.children) {
    if (field.children.length > 0) assembleNested(values, field, DEFAULT_PARSERS);
  }
  const names = schema.children.map(({ element }) => element.name);
  return Array.from({ length: count }, (_, row) =>
    Object.fromEntries(names.map((name) => [name, values.get(name)?.[row] as unknown])),
  );
}

function rowOf(fields: Record<string, unknown>, line: number): Row & { readonly size: number } {
  const { value, size } = jsonValue(fields);
  const raw = {
    get bytes(): Buffer {
      return Buffer.from(JSON.stringify(value), "utf8");
    },
    line,
    offset: 0,
    unfinished: false,
    problem: null,
  };
  return { value, raw, size };
}

function longRow(limit: number): string {
  return `the row is longer than ${limit} bytes (maxDocumentBytes)`;
}

/** Names the column, unless the error has its own place: the disk's, or a limit of the whole file. */
function inColumn(error: Error, name: string): Error {
  const own = error instanceof DataError || "syscall" in error;
  return own ? error : new Error(`column ${name}: ${error.message}`, { cause: error });
}

function asParquetError(error: unknown, path: string, group: number): DataError {
  if (error instanceof DataError) return error;
  if (error instanceof Error && "syscall" in error) return asDataError(error, "unreadable", "cannot be read", path);
  const reason = error instanceof Error ? error.message : String(error);
  const place = group < 0 ? "" : `row group ${group}: `;
  return new DataError("bad-parquet", `${path}: not a whole Parquet file: ${place}${reason}`, { path, group }, error);
}
