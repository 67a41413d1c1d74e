import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { asDataError, DataError } from "../data-error.ts";
import type { SourceFile } from "./list-files.ts";

/** Bounds on what a compressed file may grow to. */
export interface InflationLimits {
  /** Most bytes that one file may inflate to; no bound by default. */
  readonly maxInflatedBytes?: number;
  /** Most bytes out for one byte in, judged after the first 16 MiB; 200 by default (English text gives 3 to 10). */
  readonly maxInflationRatio?: number;
}

const ratioGrace = 16 * 1024 * 1024;
const chunkBytes = 256 * 1024;

/** The bytes of a file in chunks, inflated if it is gzip.
 *  @param onBytes told the number of bytes just taken from the disk, before inflation
 *  @throws DataError `not-found`, `unreadable`, `bad-gzip`, `inflation-limit` */
export async function* readBytes(
  file: SourceFile,
  limits: InflationLimits = {},
  onBytes: (count: number) => void = () => {},
): AsyncGenerator<Buffer, void, undefined> {
  const disk = createReadStream(file.path, { highWaterMark: chunkBytes });
  const progress = { read: 0 };
  disk.on("data", (chunk) => {
    progress.read += chunk.length;
    onBytes(chunk.length);
  });
  disk.pause();
  try {
    if (file.gzip) yield* inflate(disk, file, limits, progress);
    else yield* disk as AsyncIterable<Buffer>;
  } catch (error) {
    const isZlib = String((error as NodeJS.ErrnoException).code).startsWith("Z_");
    throw isZlib ? badGzip(file.path, error as Error) : asDataError(error, "unreadable", "cannot be read", file.path);
  } finally {
    disk.destroy();
  }
}

async function* inflate(
  disk: NodeJS.ReadableStream,
  file: SourceFile,
  limits: InflationLimits,
  progress: { readonly read: number },
): AsyncGenerator<Buffer, void, undefined> {
  const gunzip = createGunzip({ chunkSize: chunkBytes });
  // The callback is required; the same error reaches the loop below.
  pipeline(disk, gunzip, () => {});
  let inflated = 0;
  for await (const chunk of gunzip as AsyncIterable<Buffer>) {
    inflated += chunk.length;
    checkInflation(file.path, progress.read, inflated, limits);
    yield chunk;
  }
}

/** @param read bytes taken from the disk  @param inflated what they grew to  @throws DataError `inflation-limit` */
export function checkInflation(path: string, read: number, inflated: number, limits: InflationLimits): void {
  const { maxInflatedBytes = Infinity, maxInflationRatio = 200 } = limits;
  if (inflated <= maxInflatedBytes && (inflated <= ratioGrace || inflated <= maxInflationRatio * read)) return;
  throw new DataError(
    "inflation-limit",
    `${path}: inflates to over ${inflated} bytes from ${read}, past the limit; ` +
      "raise maxInflatedBytes or maxInflationRatio if the file is trusted",
    { path, inflated, read },
  );
}

function badGzip(path: string, error: Error): DataError {
  const reason = error.message === "unexpected end of file" ? "the file is cut short" : error.message;
  return new DataError("bad-gzip", `${path}: not a whole gzip file: ${reason}`, { path }, error);
}
