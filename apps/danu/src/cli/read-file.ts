import { open } from "node:fs/promises";

import { InputError } from "./errors.ts";

/** Reads a file that the user named.
 *  @throws InputError when it is no file, too large or not readable */
export async function readInput(path: string, maxBytes: number): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const info = await file.stat();
    if (!info.isFile()) throw new InputError(`${path}: expected a file, got a folder or device`);
    if (info.size > maxBytes) throw new InputError(`${path}: expected at most ${maxBytes} bytes, got ${info.size}`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** Reads a text file in UTF-8. @throws InputError as `readInput`, or for other bytes */
export async function readText(path: string, maxBytes: number = 2 ** 29): Promise<string> {
  const bytes = await readInput(path, maxBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new InputError(`${path}: expected text in UTF-8, got other bytes`);
  }
}

/** Reads a JSON file. @throws InputError as `readText`, or when it is no JSON */
export async function readJson(path: string, maxBytes: number = 2 ** 26): Promise<unknown> {
  try {
    return JSON.parse(await readText(path, maxBytes)) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) throw new InputError(`${path}: expected JSON: ${error.message}`);
    throw error;
  }
}
