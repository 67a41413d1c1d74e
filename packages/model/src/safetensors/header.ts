import { bitsPerElement, isSafetensorsDType, safetensorsDTypes } from "./dtypes.ts";
import type { SafetensorsDType } from "./dtypes.ts";
import { SafetensorsError } from "./errors.ts";
import { parseStrictJson } from "./json.ts";
import type { JsonObject, JsonValue } from "./json.ts";

/** Largest header the format allows, in bytes, without the 8 bytes of its length. */
export const maxHeaderBytes = 100_000_000;

/** Bytes of the header's length at the start of a file: an unsigned 64-bit integer, little-endian. */
export const headerLengthBytes = 8;

// Some six values a tensor: room for 300,000 of them, and at most half a gigabyte if all are empty objects.
const headerLimits = { depth: 3, values: 2_000_000, naturalNumbersOnly: true };
const infoFields = ["dtype", "shape", "data_offsets"];
const metadataKey = "__metadata__";

/** What a file says of one tensor; values are little-endian, in row-major order. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Start of the tensor's bytes, counted from the end of the header. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Free text that travels with a file, as `{ format: "pt" }`. */
export type Metadata = Readonly<Record<string, string>>;

/** A checked header: its tensors fill the data part exactly, without hole or overlap. */
export interface SafetensorsHeader {
  /** By name, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Metadata;
  /** Where the data part starts in the file, in bytes. */
  readonly dataStart: number;
  readonly dataBytes: number;
}

/** The source of a header, for the checks that need more than its bytes. */
export interface HeaderOptions {
  /** Size of the whole file in bytes; by default that of `bytes`. */
  readonly fileBytes?: number;
  /** The file's name for messages. */
  readonly source?: string;
}

/**
 * Reads and checks a safetensors header under every rule of the format.
 * @param bytes the start of the file: at least the 8 length bytes and the header
 * @throws SafetensorsError naming the rule that is broken
 */
export function readHeader(bytes: Uint8Array, options: HeaderOptions = {}): SafetensorsHeader {
  const { fileBytes = bytes.byteLength, source = "safetensors header" } = options;
  const length = readHeaderLength(bytes, fileBytes, source);
  const dataStart = headerLengthBytes + length;
  if (bytes.byteLength < dataStart) fail(source, "header-length", `expected ${dataStart} bytes of header here`);
  const root = parseHeaderText(bytes.subarray(headerLengthBytes, dataStart), source);
  const metadata = readMetadata(root.get(metadataKey), source);
  root.delete(metadataKey);
  const infos = Array.from(root, ([name, value]) => readInfo(name, value, source));
  const dataBytes = checkLayout(infos, source);
  if (dataStart + dataBytes !== fileBytes) {
    const expected = `expected a file of ${dataStart + dataBytes} bytes, as the header says, got ${fileBytes}`;
    fail(source, "file-size", `${expected}; the file is damaged, fetch or write it again`);
  }
  return { tensors: new Map(infos.map((info) => [info.name, info])), metadata, dataStart, dataBytes };
}

/**
 * Length of the header in bytes, from the first 8 bytes of a file.
 * @throws SafetensorsError if it is over the format's limit or does not fit the file
 */
export function readHeaderLength(bytes: Uint8Array, fileBytes: number, source: string): number {
  if (bytes.byteLength < headerLengthBytes || fileBytes < headerLengthBytes) {
    fail(source, "too-short", `expected at least ${headerLengthBytes} bytes, got ${fileBytes}; no safetensors file`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > maxHeaderBytes) {
    fail(source, "header-too-large", `expected a header of at most ${maxHeaderBytes} bytes, got ${length}`);
  }
  if (headerLengthBytes + Number(length) > fileBytes) {
    fail(source, "header-length", `expected a header within the file's ${fileBytes} bytes, got a length of ${length}`);
  }
  return Number(length);
}

function parseHeaderText(bytes: Uint8Array, source: string): JsonObject {
  if (bytes[0] !== 0x7b) fail(source, "header-start", "expected a header that starts with '{'");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    fail(source, "utf-8", "expected a header in valid UTF-8");
  }
  // A text that starts with '{' parses to an object or not at all.
  return parseStrictJson(text, headerLimits, source) as JsonObject;
}

function readMetadata(value: JsonValue | undefined, source: string): Metadata {
  const metadata = Object.create(null) as Record<string, string>;
  if (value === undefined) return metadata;
  if (!(value instanceof Map)) fail(source, "metadata", "expected __metadata__ to be an object");
  for (const [key, text] of value) {
    if (typeof text !== "string") fail(source, "metadata", `expected __metadata__ ${quote(key)} to be a string`);
    metadata[key] = text;
  }
  return metadata;
}

function readInfo(name: string, value: JsonValue, source: string): TensorInfo {
  const tensor = `tensor ${quote(name)}`;
  if (!(value instanceof Map)) fail(source, "tensor-info", `expected ${tensor} to be an object`);
  for (const key of value.keys()) {
    if (!infoFields.includes(key)) fail(source, "tensor-info", `${tensor} has the unknown field ${quote(key)}`);
  }
  const dtype = value.get("dtype");
  if (!isSafetensorsDType(dtype)) {
    const got = typeof dtype === "string" ? quote(dtype) : "none";
    fail(source, "dtype", `expected the dtype of ${tensor} to be one of ${safetensorsDTypes.join(", ")}, got ${got}`);
  }
  const shape = readNumbers(value.get("shape"), "shape", tensor, source);
  const [begin, end, ...rest] = readNumbers(value.get("data_offsets"), "data_offsets", tensor, source);
  if (begin === undefined || end === undefined || rest.length > 0 || end < begin) {
    fail(source, "offsets", `expected data_offsets of ${tensor} to be [begin, end] with begin <= end`);
  }
  const byteLength = tensorBytes(dtype, shape, tensor, source);
  if (end - begin !== byteLength) {
    const what = `${dtype} [${shape.slice(0, 16).join(", ")}]`;
    fail(source, "tensor-size", `expected ${byteLength} bytes for ${tensor}, ${what}, got ${end - begin}`);
  }
  return { name, dtype, shape, byteOffset: begin, byteLength };
}

function readNumbers(value: JsonValue | undefined, field: string, tensor: string, source: string): number[] {
  if (!Array.isArray(value) || !value.every((x) => typeof x === "number")) {
    fail(source, "tensor-info", `expected ${field} of ${tensor} to be an array of non-negative integers`);
  }
  return value;
}

/**
 * Bytes of a tensor: the product of its shape times the bits of an element, over 8.
 * @throws SafetensorsError if the size passes 2⁵³ − 1 bits or ends within a byte
 */
export function tensorBytes(dtype: SafetensorsDType, shape: readonly number[], tensor: string, source: string): number {
  let bits = bitsPerElement(dtype);
  for (const size of shape) {
    bits *= size;
    if (!Number.isSafeInteger(bits)) fail(source, "overflow", `the size of ${tensor} passes 2^53 - 1 bits`);
  }
  if (bits % 8 !== 0) fail(source, "sub-byte", `${tensor} of ${dtype} ends within a byte`);
  return bits / 8;
}

/** Sorts tensors by position and returns the bytes they fill, from 0 without hole or overlap. */
function checkLayout(infos: TensorInfo[], source: string): number {
  infos.sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let filled = 0;
  for (const { name, byteOffset, byteLength } of infos) {
    if (byteOffset !== filled) {
      const what = byteOffset < filled ? "overlap" : "hole";
      fail(source, what, `expected tensor ${quote(name)} to start at byte ${filled}, got ${byteOffset} (${what})`);
    }
    filled += byteLength;
  }
  return filled;
}

/** A tensor's name for messages, short and on one line. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

function fail(source: string, reason: string, problem: string): never {
  throw new SafetensorsError(reason, `${source}: ${problem}`);
}
