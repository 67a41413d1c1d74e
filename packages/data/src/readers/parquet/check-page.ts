import type { PageHeader, SchemaTree } from "hyparquet";
import { deltaBinaryUnpack } from "hyparquet/src/delta.js";
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from "hyparquet/src/schema.js";
import { checkDelta, checkIndices, countAtLevel } from "./runs.ts";

/** Checks a page before it is decoded: that its runs lie within its bytes and give as many values as it says. A decoder
 *  that trusts them fills memory with what one flipped bit asks for.
 *  @param bytes of the page, not compressed  @param longest most bytes that its strings may have together
 *  @throws Error with the reason */
export function checkPage(bytes: Uint8Array, header: PageHeader, path: SchemaTree[], longest: number): void {
  const data = header.data_page_header ?? header.data_page_header_v2;
  if (data === undefined) return;
  const { offset, values } = checkLevels(bytes, header, path);
  if (data.encoding.endsWith("_DICTIONARY")) {
    const width = bytes[offset] ?? 0;
    checkIndices(bytes, offset + 1, bytes.length, width, values);
  } else if (data.encoding === "RLE") {
    const length = wordAt(bytes, offset);
    checkIndices(bytes, offset + 4, Math.min(offset + 4 + length, bytes.length), 1, values);
  } else if (data.encoding.startsWith("DELTA_")) {
    checkDelta(bytes, offset, values);
    if (data.encoding === "DELTA_BYTE_ARRAY") checkStrings(bytes, offset, values, longest);
  }
}

function checkLevels(bytes: Uint8Array, header: PageHeader, path: SchemaTree[]): { offset: number; values: number } {
  const repetition = getMaxRepetitionLevel(path);
  const definition = getMaxDefinitionLevel(path);
  const v2 = header.data_page_header_v2;
  const count = (v2 ?? header.data_page_header)?.num_values ?? 0;
  let offset = 0;
  let values = count;
  for (const [highest, length2] of [
    [repetition, v2?.repetition_levels_byte_length],
    [definition, v2?.definition_levels_byte_length],
  ] as const) {
    if (highest === 0 && length2 === undefined) continue;
    const start = length2 === undefined ? offset + 4 : offset;
    const end = start + (length2 ?? wordAt(bytes, offset));
    if (end > bytes.length) throw new Error("the levels of a page go on past it");
    if (highest > 0) values = countAtLevel(bytes, start, end, highest, count);
    offset = end;
  }
  if (definition === 0) values = count;
  if (v2 !== undefined && v2.num_nulls !== count - values) throw new Error("a page has other nulls than it says");
  return { offset, values };
}

/** Strings that share their beginnings grow without growing the page. */
function checkStrings(bytes: Uint8Array, offset: number, values: number, longest: number): void {
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset };
  const shared = new Int32Array(values);
  deltaBinaryUnpack(reader, values, shared);
  checkDelta(bytes, reader.offset, values);
  const sum = shared.reduce((total, length) => total + Math.max(length, 0), 0);
  if (sum > longest) throw new Error(`the strings of a page have over ${longest} bytes`);
}

function wordAt(bytes: Uint8Array, offset: number): number {
  if (offset + 4 > bytes.length) throw new Error("a page ends inside its levels");
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset, true);
}
