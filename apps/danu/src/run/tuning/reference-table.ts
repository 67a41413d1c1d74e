import { existsSync } from "node:fs";
import { join } from "node:path";

import { openSafetensors, writeSafetensors } from "@danu/model";
import { decode, disposeTree, encode, scope, type Device } from "@danu/tensor";

import { withCommas } from "../../cli/format.ts";
import type { Reporter } from "../../cli/reporter.ts";
import { uploadPairs, type PairPacking } from "./pair-batch.ts";
import type { ReferenceModel } from "./reference.ts";

/** What a reference says of pairs, once and for all. */
class ReferenceTable {
  /** Of every pair the values of its answers, `[pairs, answers]`. */
  readonly values: Float32Array;
  readonly #answers: number;

  constructor(values: Float32Array, answers: number) {
    this.values = values;
    this.#answers = answers;
  }

  /** The values of a micro-batch, answer after answer, `[answers · P]`. @param indices of its pairs */
  of(indices: readonly number[]): Float32Array {
    const K = this.#answers;
    return Float32Array.from({ length: K * indices.length }, (_, i) => (
      this.values[indices[i % indices.length]! * K + Math.floor(i / indices.length)]!
    ));
  }
}

/** Pairs whose reference is computed, in the micro-batches in which they will be trained. */
interface TablePart {
  readonly packing: PairPacking;
  readonly microBatches: readonly (readonly number[])[];
}

/** Tables of the pairs that are trained on, and of those held out. */
export type ReferenceTables = Readonly<Record<"train" | "validation", ReferenceTable>>;

/** What the tables of a run are computed with. */
interface TableOptions {
  readonly device: Device;
  readonly reference: ReferenceModel;
  /** The run folder. */
  readonly folder: string;
  /** Tells pairs, order and model apart: tables of another are computed anew. */
  readonly key: string;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** File of the tables in a run folder. */
export function tableFile(folder: string): string {
  return join(folder, "reference.safetensors");
}

/** Tables of what the reference says of the pairs, from the run folder or computed and kept there. A micro-batch goes
 *  through the model as it does in training, so that the bits are those of computing it there.
 *  @throws FileError, SafetensorsError; the reason of the signal */
export async function referenceTables(
  parts: Readonly<Record<keyof ReferenceTables, TablePart>>, options: TableOptions,
): Promise<ReferenceTables> {
  const path = tableFile(options.folder);
  const kept = await readTables(path, parts, options.key);
  if (kept !== null) return kept;
  const tables = { train: await compute(parts.train, options), validation: await compute(parts.validation, options) };
  const tensors = Object.entries(tables).map(([name, { values }]) => ({
    name, dtype: "F32" as const, shape: [values.length], read: () => encode("f32", values),
  }));
  await writeSafetensors(path, tensors, { metadata: { format: "pt", key: options.key } });
  return tables;
}

async function compute(
  { packing, microBatches }: TablePart, { device, reference, reporter, signal }: TableOptions,
): Promise<ReferenceTable> {
  const K = answersOf(packing);
  const values = new Float32Array(packing.examples.length * K);
  let done = 0;
  for (const indices of microBatches) {
    if (signal.aborted) throw signal.reason;
    const batch = uploadPairs(device, packing, indices);
    const found = scope(() => reference.logProbabilities(batch));
    (await found.read()).forEach((value, i) => {
      values[indices[i % indices.length]! * K + Math.floor(i / indices.length)] = Number(value);
    });
    disposeTree([batch, found]);
    done += indices.length;
    reporter.progress(`computing the reference: ${withCommas(done)} of ${withCommas(packing.examples.length)} pairs`);
  }
  return new ReferenceTable(values, K);
}

async function readTables(
  path: string, parts: Readonly<Record<keyof ReferenceTables, TablePart>>, key: string,
): Promise<ReferenceTables | null> {
  if (!existsSync(path)) return null;
  await using file = await openSafetensors(path);
  if (file.metadata["key"] !== key) return null;
  const table = async (name: keyof ReferenceTables): Promise<ReferenceTable> => (
    new ReferenceTable(decode("f32", await file.read(name)) as Float32Array, answersOf(parts[name].packing))
  );
  return { train: await table("train"), validation: await table("validation") };
}

function answersOf({ mismatched }: PairPacking): number {
  return mismatched ? 3 : 2;
}
