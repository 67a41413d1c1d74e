import { checkInteger, DataError } from "../data-error.ts";
import { BadRows, type BadRowOptions } from "./bad-rows.ts";
import { listFiles, type SourceFile, type SourceFormat } from "./list-files.ts";
import { readBytes, type InflationLimits } from "./read-bytes.ts";
import { readRows, type Row } from "./read-rows.ts";
import { TextSplitter, type TextPiece } from "./split-text.ts";
import { byteOrderMarkLength, decodeUtf8, type InvalidText } from "./utf8.ts";

/** A text to train on. */
export interface TextDocument {
  readonly text: string;
  /** File that it comes from. */
  readonly source: string;
  /** Its number among all documents of the reading, from 0. */
  readonly index: number;
}

/** Settings of {@link readDocuments}. */
export interface ReadOptions extends InflationLimits, BadRowOptions {
  /** Format of files whose name does not tell it. */
  readonly format?: SourceFormat;
  /** Field of a JSON row that holds the text; `text` by default. */
  readonly field?: string;
  /** In text files, a line equal to this ends a document, and blank lines around it are dropped; `<|endoftext|>` by
   *  default, `null` to take every text file whole. */
  readonly documentSeparator?: string | null;
  /** Most bytes in a document or row; 64 MiB by default, and held in memory at once. */
  readonly maxDocumentBytes?: number;
  /** A text document past that: `error` (the default), or `split` after the last line that fits. */
  readonly longDocuments?: "error" | "split";
  /** Bytes that are not UTF-8, and lone surrogates in JSON: `error` (the default), or `replace` by U+FFFD. */
  readonly invalidText?: InvalidText;
  /** Told the number of bytes just taken from the disk, before inflation. */
  readonly onBytes?: (count: number) => void;
}

type Settings = ReadOptions & { readonly maxDocumentBytes: number; readonly invalidText: InvalidText };

const longestString = 512 * 1024 * 1024 - 25;

/** Documents of text, JSONL and JSON files, plain or gzip, in a fixed order: paths as given, folders sorted by name and
 *  read with all below. A text file is one document unless separator lines cut it; a row is a JSON string, or an object
 *  with the text in a field. Documents without a visible character are passed over and not numbered.
 *  @throws DataError `not-found`, `unreadable`, `unknown-format`, `empty-corpus` (a folder without files),
 *  `bad-encoding` (with file and byte offset), `bad-row` (as `file:line: reason`), `bad-gzip`, `inflation-limit`,
 *  `document-too-long`, `bad-option` */
export async function* readDocuments(
  paths: readonly string[],
  options: ReadOptions = {},
): AsyncGenerator<TextDocument, void, undefined> {
  const settings = { ...options, ...checked(options) };
  const badRows = new BadRows(options);
  let index = 0;
  try {
    for (const file of await listFiles(paths, options.format)) {
      const texts = file.format === "text" ? readTexts(file, settings) : readFields(file, settings, badRows);
      for await (const text of texts) {
        if (/\S/.test(text)) yield { text, source: file.path, index: index++ };
      }
    }
  } finally {
    badRows.close();
  }
}

function checked(options: ReadOptions): { maxDocumentBytes: number; invalidText: InvalidText } {
  const { maxDocumentBytes = 64 * 1024 * 1024, invalidText = "error" } = options;
  checkInteger("maxDocumentBytes", maxDocumentBytes, 16, longestString);
  if (options.documentSeparator !== undefined && /^$|[\r\n]/.test(options.documentSeparator ?? "-")) {
    throw new DataError("bad-option", "documentSeparator: expected a line of text without its line end, or null");
  }
  return { maxDocumentBytes, invalidText };
}

async function* readTexts(file: SourceFile, settings: Settings): AsyncGenerator<string, void, undefined> {
  const { documentSeparator = "<|endoftext|>", longDocuments = "error", maxDocumentBytes } = settings;
  const splitter = new TextSplitter({
    path: file.path,
    separator: documentSeparator,
    maxDocumentBytes,
    longDocuments,
  });
  const decode = (piece: TextPiece): string => decodePiece(piece, file.path, settings.invalidText);
  for await (const chunk of readBytes(file, settings, settings.onBytes)) {
    for (const piece of splitter.push(chunk)) yield decode(piece);
  }
  for (const piece of splitter.end()) yield decode(piece);
}

function decodePiece(piece: TextPiece, path: string, invalid: InvalidText): string {
  const mark = piece.offset === 0 ? byteOrderMarkLength(piece.bytes) : 0;
  const text = decodeUtf8(piece.bytes.subarray(mark), invalid, path, piece.offset + mark);
  const lines = text.includes("\r") ? text.replaceAll("\r\n", "\n") : text;
  return piece.separated ? withoutBlankEnds(lines) : lines;
}

function withoutBlankEnds(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text[start] === "\n") start++;
  while (end > start && text[end - 1] === "\n") end--;
  return text.slice(start, end);
}

async function* readFields(
  file: SourceFile,
  settings: Settings,
  badRows: BadRows,
): AsyncGenerator<string, void, undefined> {
  const field = settings.field ?? "text";
  const options = { ...settings, maxRowBytes: settings.maxDocumentBytes };
  for await (const row of readRows(file, options, badRows)) {
    const found = textOf(row, field, settings.invalidText);
    if ("reason" in found) badRows.report(file.path, row.raw.line, found.reason, row.raw.bytes);
    else yield found.text;
  }
}

function textOf(row: Row, field: string, invalid: InvalidText): { text: string } | { reason: string } {
  const text = fieldOf(row.value, field);
  if (typeof text !== "string") {
    return { reason: `expected text in field "${field}", found ${describe(row.value, field)}` };
  }
  // Node 20 has these two; the ES2023 library does not declare them yet.
  const unicode = text as string & { isWellFormed(): boolean; toWellFormed(): string };
  if (unicode.isWellFormed()) return { text };
  if (invalid === "replace") return { text: unicode.toWellFormed() };
  return { reason: `the text in field "${field}" has a lone surrogate, which no UTF-8 text can hold` };
}

function fieldOf(value: unknown, field: string): unknown {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, field) ? (value as Record<string, unknown>)[field] : undefined;
}

function describe(value: unknown, field: string): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value !== "object") return `a ${typeof value}`;
  if (Object.hasOwn(value, field)) {
    const held = (value as Record<string, unknown>)[field];
    return held === null ? "null in it" : `${Array.isArray(held) ? "an array" : `a ${typeof held}`} in it`;
  }
  const names = Object.keys(value);
  if (names.length === 0) return "an empty object";
  return `the fields ${names.slice(0, 8).join(", ")}${names.length > 8 ? ", …" : ""}`.slice(0, 200);
}
