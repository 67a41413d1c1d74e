import { isPlainObject } from "../chat/json.ts";
import type { ExampleOptions } from "../conversations/example-options.ts";
import type { Fields } from "../conversations/fields.ts";
import type { Format } from "../conversations/format.ts";
import { conversationFormats, labelledFormats, preferenceFormats } from "../conversations/known-formats.ts";
import { localFiles } from "../conversations/read-examples.ts";
import { DataError } from "../data-error.ts";
import { BadRows } from "../readers/bad-rows.ts";
import { readRows } from "../readers/read-rows.ts";

/** What files hold, which decides what they are read with. */
export type ExampleKindName = "conversations" | "preferences" | "labelled";

/** Most rows that are looked at. */
const mostRows = 1000;

/** Tells by the first row of a known format what files hold. Open Assistant's trees, which hold both, are conversations.
 *  @throws DataError `unknown-format` when no row is of a known format; those of reading rows */
export async function recogniseExamples(
  paths: readonly string[],
  options: ExampleOptions = {},
): Promise<ExampleKindName> {
  const { maxDocumentBytes = 64 * 1024 * 1024 } = options;
  const rowOptions = { ...options, maxRowBytes: maxDocumentBytes, invalidText: "error" as const };
  let seen = 0;
  let fields: readonly string[] = [];
  for await (const file of localFiles(paths, options.hub)) {
    if (file.format === "text") continue;
    for await (const { value } of readRows(file, rowOptions, new BadRows({ badRows: "skip" }))) {
      const kind = isPlainObject(value) ? kindOf(value) : undefined;
      if (kind !== undefined) return kind;
      if (isPlainObject(value)) fields = Object.keys(value);
      if (++seen === mostRows) break;
    }
  }
  const got = fields.length === 0 ? "no row with fields" : `the fields ${fields.slice(0, 12).join(", ")}`;
  const where = paths.join(", ");
  const message = `${where}: expected conversations, preferences or labelled completions of a known format, got ${got}`;
  throw new DataError("unknown-format", message, { paths, fields });
}

function kindOf(row: Fields): ExampleKindName | undefined {
  const nameIn = (formats: readonly Format<unknown>[]): string | undefined =>
    formats.find(({ recognises }) => recognises(row))?.name;
  const [conversation, preference] = [nameIn(conversationFormats), nameIn(preferenceFormats)];
  if (preference !== undefined && preference !== conversation) return "preferences";
  if (nameIn(labelledFormats) !== undefined) return "labelled";
  return conversation === undefined ? undefined : "conversations";
}
