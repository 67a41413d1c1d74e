import { open } from "node:fs/promises";

import type { Output } from "../cli/io.ts";

/** Takes rows one after another. */
export interface RowSink {
  write(row: object): Promise<void>;
  close(): Promise<void>;
}

/** Writes rows as JSONL to a file, replacing it, or to an output; each row is there as soon as it is written. */
export async function openRowSink(path: string | undefined, output: Output): Promise<RowSink> {
  const line = (row: object): string => `${JSON.stringify(row)}\n`;
  if (path === undefined) return { write: async (row) => { output.write(line(row)); }, close: async () => undefined };
  const file = await open(path, "w");
  return { write: async (row) => { await file.write(line(row)); }, close: async () => file.close() };
}
