import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { asDataError } from "../data-error.ts";

/** SHA-256 of a file, 64 hexadecimal digits.
 *  @throws DataError `not-found`, `unreadable` */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk);
  } catch (error) {
    throw asDataError(error, "unreadable", "cannot be read", path);
  }
  return hash.digest("hex");
}
