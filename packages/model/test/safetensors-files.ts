import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { onTestFinished } from "vitest";
import { bitsPerElement, safetensorsDTypes } from "../src/safetensors/dtypes.ts";
import type { TensorSource } from "../src/safetensors/writer.ts";

/** Path of a golden file made by Python. */
export function golden(name: string): string {
  return fileURLToPath(new URL(`golden/safetensors/${name}`, import.meta.url));
}

/** The JSON beside a golden file. */
export function goldenJson<T>(name: string): T {
  return JSON.parse(readFileSync(golden(name), "utf8")) as T;
}

/** A new folder that is gone when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "danu-model-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A tensor whose bytes are already there. */
interface HeldTensor extends TensorSource {
  readonly bytes: Uint8Array;
}

/** A tensor to write, from its bytes. */
export function held(
  name: string,
  dtype: TensorSource["dtype"],
  shape: readonly number[],
  bytes: Uint8Array
): HeldTensor {
  return { name, dtype, shape, bytes, read: () => bytes };
}

/** A file made of a header text and data, with a true or a given header length. */
export function rawFile(
  header: string | Uint8Array,
  data: Uint8Array = new Uint8Array(0),
  length?: bigint
): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + text.byteLength + data.byteLength);
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(text.byteLength), true);
  file.set(text, 8);
  file.set(data, 8 + text.byteLength);
  return file;
}

const shapes = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 });

const tensor: fc.Arbitrary<HeldTensor> = fc
  .record({ name: fc.string({ unit: "binary" }), dtype: fc.constantFrom(...safetensorsDTypes), shape: shapes })
  .filter(({ name, dtype, shape }) => name !== "__metadata__" && (bitsPerElement(dtype) * product(shape)) % 8 === 0)
  .chain(({ name, dtype, shape }) => {
    const length = (bitsPerElement(dtype) * product(shape)) / 8;
    return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => held(name, dtype, shape, bytes));
  });

/** Tensors of every element type with distinct names of any Unicode text. */
export const tensors: fc.Arbitrary<HeldTensor[]> = fc.uniqueArray(tensor, {
  selector: ({ name }) => name,
  maxLength: 6,
});

function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}
