import type { queryKeyValueOp } from "@danu/attention";
import { bytesPerElement, type Handle, type InputsOf, type KernelOf, type normSwigluOp, type Tensor } from "@danu/tensor";

import type { Step } from "../../chain.ts";
import { cudaOf, type CudaDevice } from "../../device.ts";
import { rangeOf, type Range } from "../../early-starts.ts";
import { defineKernel, type ArgumentsOf, type Kernel } from "../../kernel.ts";
import type { LaunchShape } from "../../launcher.ts";
import { rowStepsOf, type Product } from "../products/product.ts";
import { rowBytes } from "./chain.ts";

type DType = "bf16" | "f16";

/** Kernels of few-rows.cu take `Rows`, then what becomes of their products. */
const rowsSignature = "(ppfiiii)";

function kernelsOf<const S extends string>(name: string, signature: S): Readonly<Record<DType, Kernel<S>>> {
  const kernel = (dtype: DType): Kernel<S> => defineKernel("few-rows", `few_rows_${name}_${dtype}`, signature);
  return { bf16: kernel("bf16"), f16: kernel("f16") };
}

const linear = kernelsOf("linear", `${rowsSignature}(pppiii)`);
const swiglu = kernelsOf("swiglu", `${rowsSignature}(pppii)`);
const queryKeyValue = kernelsOf("query_key_value", `${rowsSignature}(pppppppppiiiii)`);

/** Most rows that are few: a text alone has the same bits as among so many others. */
export const mostFewRows = 16;

// See few-rows.cuh.
const WARPS = 8;
const SLOT_BYTES = 2048;
const DEEP = 5;
const SHALLOW = 2;
/** A GPU whose blocks may have so much shared memory takes deep rings. */
const DEEP_SHARED_BYTES = 160 << 10;
/** What the kernels have beside dynamic shared memory. */
const STATIC_BYTES = 1024;

function sharedBytes(slots: number, M: number, K: number, hasNorm: boolean): number {
  return WARPS * slots * SLOT_BYTES + (M > 8 ? 2 : 1) * 2 * WARPS * 512 + (M + Number(hasNorm)) * rowBytes(K);
}

function slotsOf({ chip }: CudaDevice): number {
  return chip.sharedBytes >= DEEP_SHARED_BYTES ? DEEP : SHALLOW;
}

/** Rows of K that a launch takes at a time, 0 where not even one fits into shared memory. */
function rowsAtATime(cuda: CudaDevice, K: number, hasNorm: boolean): number {
  let rows = mostFewRows;
  while (rows > 0 && sharedBytes(slotsOf(cuda), rows, K, hasNorm) + STATIC_BYTES > cuda.chip.sharedBytes) rows--;
  return rows;
}

/** Rows `[M, K]` at even distances, and the weight of their norm, 0 for none. */
interface Rows {
  readonly x: Handle;
  readonly norm: Handle;
  readonly eps: number;
  readonly M: number;
  readonly K: number;
  readonly step: number;
}

/** What becomes of rows. */
interface Layer {
  /** Pairs of lines; see few-rows.cuh. */
  readonly pairs: number;
  /** Weights that are on their way before the rows are there. */
  readonly weights: readonly Range[];
  readonly results: readonly Range[];
  /** What else a chain has to know of one row; null for results that none has. */
  readonly step: Omit<Step, "x" | "norm" | "weights" | "results" | "K" | "scale"> | null;
}

type LaunchRows = (shape: LaunchShape, rows: ArgumentsOf<typeof rowsSignature>, first: number) => void;

/** Enqueues a kernel for as many rows at a time as fit. The bits of a row do not depend on how many there are.
 *  @param launch is given the shape, the `Rows`, and the first row */
function enqueueRows(cuda: CudaDevice, rows: Rows, layer: Layer, launch: LaunchRows): void {
  const { x, norm, eps, M, K } = rows;
  const alone = (): void => launchRows(cuda, rows, layer, launch);
  if (M !== 1 || layer.step === null) return alone();
  const bytes = K * bytesPerElement[layer.step.dtype];
  const { weights, results, step } = layer;
  cuda.chain.add({ ...step, x: [[x, bytes]], ...(norm === 0 ? {} : { norm: [norm, bytes] }), weights, results, K, scale: eps }, alone);
}

function launchRows(cuda: CudaDevice, { x, norm, eps, M, K, step }: Rows, { pairs, weights, results }: Layer, launch: LaunchRows): void {
  const [most, slots] = [rowsAtATime(cuda, K, norm !== 0), slotsOf(cuda)];
  const grid = [Math.min(cuda.chip.multiprocessors, pairs)] as const;
  const overlap = { reads: norm === 0 ? weights : [...weights, [norm, K * bytesPerElement.bf16] as const], writes: results };
  for (let first = 0; first < M; first += most) {
    const rows = Math.min(most, M - first);
    const shape = { grid, block: 32 * WARPS, shared: sharedBytes(slots, rows, K, norm !== 0), overlap };
    launch(shape, [x + first * step * bytesPerElement.bf16, norm, eps, rows, K, step, slots], first);
  }
}

/** Whether lines of K elements are whole pieces of 16 bytes, at least one of which fits. */
function isWhole(cuda: CudaDevice, K: number, hasNorm: boolean): boolean {
  return K > 0 && K % 8 === 0 && rowsAtATime(cuda, K, hasNorm) > 0;
}

/** Whether the kernel for few rows serves for a product. Whatever else decides than how many rows there are, the same for all. */
export function isFewRows(cuda: CudaDevice, product: Product): boolean {
  const { a, b, M, N, K, layout, dtype, count } = product;
  return M <= mostFewRows && N > 0 && count === 1 && layout === "nt" && dtype !== "f32" && isWhole(cuda, K, false)
    && [a, b, ...rowStepsOf(product).map((step) => step * bytesPerElement[dtype])].every((at) => at % 16 === 0);
}

/** Enqueues a product of few rows. */
export function multiplyFewRows(cuda: CudaDevice, product: Product): void {
  const { y, a, b, residual, M, N, K, result } = product;
  const dtype = product.dtype as DType;
  const [step, lineStep] = rowStepsOf(product);
  const results = [[y, M * N * bytesPerElement[result]]] as const;
  const layer: Layer = {
    pairs: Math.ceil(N / 2), weights: [[b, N * lineStep * bytesPerElement[dtype]]], results,
    step: result !== dtype ? null : { kind: "linear", dtype, ...(residual === 0 ? {} : { residual: [residual, results[0][1]] }), n: N, extra: lineStep },
  };
  enqueueRows(cuda, { x: a, norm: 0, eps: 0, M, K, step }, layer, (shape, rows, first) => {
    const at = first * N * bytesPerElement[result];
    cuda.launch(linear[dtype], shape, ...rows, y + at, b, residual === 0 ? 0 : residual + at, N, lineStep, Number(result !== dtype));
  });
}

/** Whether there are few rows of a norm, of a type and size that the kernels take. */
function isFewNormed(x: Tensor, norm: Tensor): boolean {
  const C = norm.size;
  return (x.dtype === "bf16" || x.dtype === "f16") && x.size > 0 && x.size <= mostFewRows * C && isWhole(cudaOf(x), C, true);
}

export function isForNormSwiglu([x, norm, gate]: InputsOf<typeof normSwigluOp>): boolean {
  return isFewNormed(x, norm) && gate.size > 0;
}

export const normSwiglu: KernelOf<typeof normSwigluOp> = ([y], [x, norm, gate, up], { eps }) => {
  const cuda = cudaOf(y);
  const [F, K] = gate.shape as [number, number];
  const layer: Layer = {
    pairs: F, weights: [rangeOf(gate), rangeOf(up)], results: [rangeOf(y)], step: { kind: "swiglu", dtype: x.dtype as DType, n: F },
  };
  enqueueRows(cuda, { x: x.handle, norm: norm.handle, eps, M: x.size / K, K, step: K }, layer, (shape, rows, first) => {
    cuda.launch(swiglu[x.dtype as DType], shape, ...rows, y.handle + first * F * bytesPerElement[y.dtype], gate.handle, up.handle, F, K);
  });
};

export function isForQueryKeyValue([x, norm, query, key]: InputsOf<typeof queryKeyValueOp>): boolean {
  return isFewNormed(x, norm) && query.size > 0 && key.size > 0;
}

export const queryKeyValueKernel: KernelOf<typeof queryKeyValueOp> = ([q, k, v], [x, norm, query, key, value, table, positions], { eps }) => {
  const cuda = cudaOf(q);
  const [K, [P, D]] = [norm.size, table.shape as [number, number]];
  const [H, G] = [q.shape[2]!, k.shape[2]!];
  const bytes = bytesPerElement[q.dtype];
  const layer: Layer = {
    pairs: (H + 2 * G) * (D / 2), weights: [query, key, value].map(rangeOf), results: [q, k, v].map(rangeOf),
    step: { kind: "queryKeyValue", dtype: x.dtype as DType, angles: [rangeOf(table), rangeOf(positions)], n: H, G, D, extra: P },
  };
  enqueueRows(cuda, { x: x.handle, norm: norm.handle, eps, M: x.size / K, K, step: K }, layer, (shape, rows, first) => {
    cuda.launch(
      queryKeyValue[x.dtype as DType], shape, ...rows,
      q.handle + first * H * D * bytes, k.handle + first * G * D * bytes, v.handle + first * G * D * bytes, query.handle, key.handle, value.handle,
      table.handle, positions.handle + first * bytesPerElement.i32, cuda.fault, H, G, D, P, K,
    );
  });
};
