import { checkInteger, DataError } from "../data-error.ts";
import type { HubOptions } from "../hub/hub-options.ts";
import { resolveHubPath } from "../hub/resolve-hub-path.ts";
import { BadRows } from "../readers/bad-rows.ts";
import { listFiles, type SourceFile } from "../readers/list-files.ts";
import type { Origin } from "./conversation.ts";
import { ExampleFile } from "./example-file.ts";
import type { ExampleKind, ExampleOptions } from "./example-options.ts";
import type { Format } from "./format.ts";
import { checkSplit } from "./split.ts";

const longestString = 512 * 1024 * 1024 - 25;

/** Examples of files, in a fixed order: paths as given, folders sorted by name, rows as they stand. */
export async function* readExamples<T, R extends object>(
  paths: readonly string[],
  options: ExampleOptions,
  kind: ExampleKind<T, R>,
): AsyncGenerator<R & Origin, void, undefined> {
  if (options.split !== undefined) checkSplit(options.split);
  if (options.maxDocumentBytes !== undefined)
    checkInteger("maxDocumentBytes", options.maxDocumentBytes, 16, longestString);
  const forced = forcedFormat(options.format, kind);
  const badRows = new BadRows(options);
  try {
    for await (const file of localFiles(paths, options.hub)) {
      yield* new ExampleFile(file, options, kind, badRows, forced).examples();
    }
  } finally {
    badRows.close();
  }
}

/** The files behind paths, those of the hub downloaded when they are reached. */
export async function* localFiles(
  paths: readonly string[],
  hub: HubOptions | undefined,
): AsyncGenerator<SourceFile, void, undefined> {
  for (const path of paths) yield* await listFiles(await localPaths(path, hub));
}

async function localPaths(path: string, hub: HubOptions | undefined): Promise<readonly string[]> {
  if (!path.startsWith("hf:")) return [path];
  return (await resolveHubPath(path, hub)).files;
}

function forcedFormat<T, R>(name: string | undefined, { formats, reader }: ExampleKind<T, R>): Format<T> | undefined {
  const format = formats.find((one) => one.name === name);
  if (name === undefined || format !== undefined) return format;
  const known = formats.map((one) => one.name).join(", ");
  throw new DataError("bad-option", `format: expected one of ${known} for ${reader}, got "${name}"`, { format: name });
}
