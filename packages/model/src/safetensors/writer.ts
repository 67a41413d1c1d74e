import { dirname } from "node:path";
import { isSafetensorsDType, safetensorsDTypes } from "./dtypes.ts";
import type { SafetensorsDType } from "./dtypes.ts";
import { SafetensorsError } from "./errors.ts";
import { headerLengthBytes, maxHeaderBytes, quote, tensorBytes } from "./header.ts";
import type { Metadata } from "./header.ts";
import { StagedFiles, checkFreeSpace, writeTogether } from "./staged-files.ts";

/** Tells transformers that the tensors are laid out as PyTorch lays them out; it refuses files without it. */
export const torchMetadata: Metadata = { format: "pt" };

/** A tensor to be written; `read` is called once, when its turn comes, so that one tensor is in memory at a time. */
export interface TensorSource {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Little-endian, row-major bytes. */
  read(): Uint8Array | Promise<Uint8Array>;
}

/** How a file is laid out. */
export interface WriteOptions {
  /** By default `{ format: "pt" }`. */
  readonly metadata?: Metadata;
  /** `aligned` (the default) sorts by element size, largest first, then by name; `given` keeps the caller's order. */
  readonly order?: "aligned" | "given";
}

/**
 * Writes a safetensors file, tensor by tensor; it appears under its name complete and synced, or not at all.
 * @throws SafetensorsError if a name is given twice, or bytes do not fit a dtype and shape
 * @throws FileError if the folder cannot be written to or the disk is full; an old file at `path` is then untouched
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorSource>,
  options: WriteOptions = {},
): Promise<void> {
  const sources = [...tensors];
  await writeTogether(async (files) => {
    await checkFreeSpace(dirname(path), totalBytes(sources, path));
    await stageSafetensors(files, path, sources, options);
  });
}

/** Adds one safetensors file to files that take their places together. */
export async function stageSafetensors(
  files: StagedFiles,
  path: string,
  tensors: readonly TensorSource[],
  options: WriteOptions = {},
): Promise<void> {
  const sources = options.order === "given" ? tensors : [...tensors].sort(byAlignment);
  const header = encodeHeader(sources, options.metadata ?? torchMetadata, path);
  await files.add(path, async (sink) => {
    await sink.write(header);
    for (const source of sources) {
      const bytes = await source.read();
      const expected = sourceBytes(source, path);
      if (bytes.byteLength !== expected) {
        const what = `${quote(source.name)}, ${source.dtype} [${source.shape.join(", ")}]`;
        fail(path, "tensor-size", `expected ${expected} bytes for ${what}, got ${bytes.byteLength}`);
      }
      await sink.write(bytes);
    }
  });
}

/** Bytes that tensors take in a file, headers not counted. */
export function totalBytes(tensors: Iterable<TensorSource>, source: string): number {
  let total = 0;
  for (const tensor of tensors) total += sourceBytes(tensor, source);
  return total;
}

/**
 * Bytes of one tensor in a file.
 * @throws SafetensorsError if its dtype or shape is none
 */
export function sourceBytes({ name, dtype, shape }: TensorSource, source: string): number {
  if (!isSafetensorsDType(dtype)) {
    fail(source, "dtype", `expected the dtype of ${quote(name)} to be one of ${safetensorsDTypes.join(", ")}`);
  }
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    const got = `[${shape.join(", ")}]`;
    fail(source, "shape", `expected the shape of ${quote(name)} to be non-negative integers, got ${got}`);
  }
  return tensorBytes(dtype, shape, `tensor ${quote(name)}`, source);
}

/**
 * The length and header of a file that holds `tensors` in this order, padded with spaces to a multiple of 8 bytes.
 * @throws SafetensorsError if a name or a text cannot be written
 */
export function encodeHeader(tensors: readonly TensorSource[], metadata: Metadata, source: string): Uint8Array {
  const names = new Set<string>(["__metadata__"]);
  const members: string[] = [];
  const texts = Object.entries(metadata).map(([key, value]) => `${text(key, source)}:${text(value, source)}`);
  if (texts.length > 0) members.push(`"__metadata__":{${texts.join(",")}}`);
  let begin = 0;
  for (const tensor of tensors) {
    if (names.has(tensor.name)) {
      fail(source, "duplicate-key", `the tensor name ${quote(tensor.name)} is given twice or reserved`);
    }
    names.add(tensor.name);
    const end = begin + sourceBytes(tensor, source);
    const info = JSON.stringify({ dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] });
    members.push(`${text(tensor.name, source)}:${info}`);
    begin = end;
  }
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const length = Math.ceil(json.byteLength / 8) * 8;
  if (length > maxHeaderBytes) fail(source, "header-too-large", `expected a header of at most ${maxHeaderBytes} bytes`);
  const bytes = new Uint8Array(headerLengthBytes + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, headerLengthBytes);
  return bytes;
}

function text(value: unknown, source: string): string {
  if (typeof value !== "string") fail(source, "metadata", `expected a string as name or metadata, got ${typeof value}`);
  if (/\p{Surrogate}/u.test(value)) fail(source, "utf-8", `${quote(value)} holds a lone surrogate: no UTF-8 writes it`);
  return JSON.stringify(value);
}

function byAlignment(a: TensorSource, b: TensorSource): number {
  const alignment = safetensorsDTypes.indexOf(b.dtype) - safetensorsDTypes.indexOf(a.dtype);
  return alignment || Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}

function fail(source: string, reason: string, problem: string): never {
  throw new SafetensorsError(reason, `${source}: ${problem}`);
}
