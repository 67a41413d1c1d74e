import type { FileHandle } from "node:fs/promises";
import type { CompressionCodec, SchemaTree } from "hyparquet";
import { CompressionCodecs } from "hyparquet/src/constants.js";
import {
  integerIn,
  parseStruct,
  structIn,
  structsIn,
  textOf,
  type ThriftStruct,
  type ThriftValue,
} from "./compact-protocol.ts";
import { leavesOf, parseSchema } from "./schema.ts";

/** Where the values of one column lie in one group of rows. */
export interface ColumnChunk {
  /** From the root of the schema down to the column. */
  readonly path: SchemaTree[];
  readonly codec: CompressionCodec;
  /** First byte in the file. */
  readonly start: number;
  /** After the last byte. */
  readonly end: number;
}

/** A group of rows, column after column. */
export interface RowGroup {
  readonly rows: number;
  readonly columns: readonly ColumnChunk[];
}

/** What a Parquet file says of itself. */
export interface ParquetFooter {
  readonly schema: SchemaTree;
  readonly groups: readonly RowGroup[];
}

const longestFooter = 64 * 1024 * 1024;

/** Reads and checks the footer of a Parquet file: magic, schema, and that each column lies within the file.
 *  @param size of the file, in bytes  @throws Error with the reason */
export async function readFooter(file: FileHandle, size: number): Promise<ParquetFooter> {
  const head = await readAt(file, 0, Math.min(size, 4));
  const tail = await readAt(file, Math.max(size - 8, 0), Math.min(size, 8));
  const magic = tail.toString("latin1", 4);
  if (magic === "PARE") throw new Error("it is encrypted");
  if (head.toString("latin1") !== "PAR1") throw new Error("it does not begin as Parquet files do");
  if (size < 12 || magic !== "PAR1") throw new Error("it does not end as Parquet files do, it may be cut short");
  const length = tail.readUInt32LE(0);
  if (length > size - 12) throw new Error(`its footer of ${length} bytes does not fit in the file`);
  if (length > longestFooter) throw new Error(`its footer of ${length} bytes is longer than ${longestFooter}`);
  const { fields } = parseStruct(await readAt(file, size - 8 - length, length));
  return parseFooter(fields, size - 8 - length);
}

function parseFooter(fields: ThriftStruct, dataEnd: number): ParquetFooter {
  const schema = parseSchema(fields);
  const leaves = leavesOf(schema);
  const groups = structsIn(fields, 4, "the list of row groups").map((group) => {
    const columns = structsIn(group, 1, "the list of columns");
    if (columns.length !== leaves.length) throw new Error("a row group does not have the columns of the schema");
    const rows = integerIn(group, 3, "the number of rows of a group");
    return { rows, columns: columns.map((column, i) => parseChunk(column, leaves[i]!, dataEnd)) };
  });
  const rows = groups.reduce((sum, group) => sum + group.rows, 0);
  if (rows !== integerIn(fields, 3, "the number of rows")) throw new Error("its row groups do not add up");
  return { schema, groups };
}

function parseChunk(column: ThriftStruct, path: SchemaTree[], dataEnd: number): ColumnChunk {
  if (column.has(1)) throw new Error("its columns lie in other files");
  if (column.has(8) || column.has(9)) throw new Error("its columns are encrypted");
  const meta = structIn(column, 3, "the description of a column");
  const names = meta.get(3);
  const wanted = path.slice(1).map(({ element }) => element.name);
  const got = Array.isArray(names) ? names.map((name: ThriftValue) => textOf(name, "the name of a column")) : [];
  if (got.join("\0") !== wanted.join("\0")) throw new Error("a row group has its columns in another order");
  const codec = CompressionCodecs[integerIn(meta, 4, "the compression of a column")];
  if (codec === undefined) throw new Error("the compression of a column is unknown");
  const dictionary = meta.has(11) ? integerIn(meta, 11, "the place of a dictionary") : 0;
  const start = dictionary > 0 ? dictionary : integerIn(meta, 9, "the place of a column", 4);
  const end = start + integerIn(meta, 7, "the length of a column");
  if (start < 4 || end > dataEnd) throw new Error(`the column ${wanted.join(".")} does not lie within the file`);
  return { path, codec, start, end };
}

/** Bytes of a file. @throws Error if it ends before them */
export async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw new Error("it ends before its content does");
    done += bytesRead;
  }
  return bytes;
}
