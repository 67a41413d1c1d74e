import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { asDataError, DataError } from "../data-error.ts";

/** How a file's content is cut into documents. */
export type SourceFormat = "text" | "jsonl" | "json" | "parquet";

/** One file to read. */
export interface SourceFile {
  readonly path: string;
  readonly format: SourceFormat;
  /** Compressed with gzip. */
  readonly gzip: boolean;
  /** Size on disk, in bytes. */
  readonly bytes: number;
}

const formatOfExtension: Readonly<Record<string, SourceFormat>> = {
  txt: "text",
  text: "text",
  raw: "text",
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "json",
  parquet: "parquet",
};

const known = ".txt, .text, .raw, .jsonl, .ndjson, .json, each also with .gz, and .parquet";

/** Files behind paths, in the order given; a folder stands for the readable files in it and below, sorted by name
 *  (by code unit, whatever the locale). In a folder, files of other kinds, dot files and links to folders are passed
 *  over.
 *  @param format treats every file named directly, and every file of a known extension, as of this format
 *  @throws DataError `not-found`, `unreadable`, `unknown-format` (a file named directly, of unknown extension),
 *  `empty-corpus` (a folder without any readable file) */
export async function listFiles(paths: readonly string[], format?: SourceFormat): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const path of paths) {
    try {
      await listPath(path, format, files);
    } catch (error) {
      throw asDataError(error, "unreadable", "cannot be read", path);
    }
  }
  return files;
}

async function listPath(path: string, format: SourceFormat | undefined, into: SourceFile[]): Promise<void> {
  const info = await stat(path);
  if (info.isDirectory()) {
    const before = into.length;
    await listFolder(path, format, into);
    if (into.length > before) return;
    throw new DataError("empty-corpus", `${path}: the folder has no file that can be read (${known})`, { path });
  }
  if (!info.isFile()) throw new DataError("unreadable", `${path}: expected a regular file or a folder`, { path });
  const kind = kindOfName(path);
  const chosen = format ?? kind.format;
  if (chosen === undefined) {
    throw new DataError(
      "unknown-format",
      `${path}: the format cannot be told from the name (known: ${known}); name the format`,
      { path },
    );
  }
  into.push({ path, format: chosen, gzip: kind.gzip, bytes: info.size });
}

async function listFolder(folder: string, format: SourceFormat | undefined, into: SourceFile[]): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await listFolder(path, format, into);
      continue;
    }
    const kind = kindOfName(entry.name);
    if (kind.format === undefined) continue;
    const info = await stat(path);
    if (info.isFile()) into.push({ path, format: format ?? kind.format, gzip: kind.gzip, bytes: info.size });
  }
}

/** How the content of a file of this name is cut into documents; `undefined` for a name that does not tell. */
export function formatOfName(name: string): SourceFormat | undefined {
  return kindOfName(name).format;
}

function kindOfName(name: string): { format: SourceFormat | undefined; gzip: boolean } {
  const lower = name.toLowerCase();
  const gzip = lower.endsWith(".gz");
  const extension = /\.([^./\\]+)$/.exec(gzip ? lower.slice(0, -3) : lower)?.[1] ?? "";
  const format = Object.hasOwn(formatOfExtension, extension) ? formatOfExtension[extension] : undefined;
  // Parquet files are compressed within, and read from their end.
  return { format: gzip && format === "parquet" ? undefined : format, gzip };
}
