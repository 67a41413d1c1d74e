import { readFileSync } from "node:fs";

import type { Shape } from "@danu/tensor";

/** Numbers of a golden file with their shape. */
export interface GoldenTensor {
  readonly shape: Shape;
  readonly data: readonly number[];
}

/** One op with its inputs, a gradient of its output, and what PyTorch computes from them in f64. */
export interface GoldenCase {
  readonly op: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly inputs: Readonly<Record<string, GoldenTensor>>;
  readonly outputGradient: GoldenTensor;
  readonly output: GoldenTensor;
  readonly gradients: Readonly<Record<string, GoldenTensor>>;
}

/** Three steps of AdamW on one parameter. */
export interface GoldenAdamw {
  readonly op: "adamw";
  readonly name: string;
  readonly attributes: {
    readonly learningRate: number;
    readonly betas: readonly [number, number];
    readonly epsilon: number;
    readonly weightDecay: number;
  };
  readonly parameter: GoldenTensor;
  readonly gradients: GoldenTensor;
  readonly parameterAfterEachStep: GoldenTensor;
}

/** A float32 bit pattern and the codes that torch rounds it to. */
export interface GoldenConversion {
  readonly f32: number;
  readonly bf16: number;
  readonly f16: number;
  readonly f8e4m3: number;
  readonly f8e5m2: number;
}

interface OpsFile {
  readonly cases: readonly ({ readonly op: string } & Record<string, unknown>)[];
  readonly conversions: { readonly rows: readonly string[]; readonly decoded: Readonly<Record<string, string>> };
}

/** Where a golden file is, as a path for the file system. */
export function goldenPath(relative: string): URL {
  return new URL(`../golden/${relative}`, import.meta.url);
}

/** Reads a golden JSON file. */
export function goldenJson(relative: string): unknown {
  return JSON.parse(readFileSync(goldenPath(relative), "utf8"));
}

function opsFile(): OpsFile {
  return goldenJson("ops.json") as OpsFile;
}

/** The golden cases of one op, `adamw` excepted. */
export function goldenCases(op: string): readonly GoldenCase[] {
  return opsFile().cases.filter((entry) => entry.op === op) as unknown as readonly GoldenCase[];
}

/** The golden optimizer steps. */
export function goldenAdamw(): readonly GoldenAdamw[] {
  return opsFile().cases.filter((entry) => entry.op === "adamw") as unknown as readonly GoldenAdamw[];
}

/** The golden table of roundings. */
export function goldenConversions(): readonly GoldenConversion[] {
  return opsFile().conversions.rows.map((row) => {
    const [f32, bf16, f16, f8e4m3, f8e5m2] = row.split(" ").map((code) => Number.parseInt(code, 16)) as [
      number,
      number,
      number,
      number,
      number
    ];
    return { f32, bf16, f16, f8e4m3, f8e5m2 };
  });
}

/** The float32 bit pattern of each of the 256 codes of an 8-bit float. */
export function goldenDecoded(dtype: "f8e4m3" | "f8e5m2"): readonly number[] {
  const key = dtype === "f8e4m3" ? "float8_e4m3fn" : "float8_e5m2";
  return opsFile()
    .conversions.decoded[key]!.split(" ")
    .map((code) => Number.parseInt(code, 16));
}
