import { adamwParameters, type AdamWOpAttrs, type adamwOp, type AdamWParameter } from "@danu/optim";
import type { InputsOf, KernelOf } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { addressIn } from "../fp8/fp8-cast.ts";
import { tablesOf } from "./table.ts";

const [mostFlats, mostMatrices] = [64, 42] as const;
const adamwFlat = defineKernel("adamw", "adamw_flat", `([${mostFlats} ppppplfi]i)p(ffffff)`);
const adamwMatrix = defineKernel("adamw", "adamw_matrix", `([${mostMatrices} pppppppppfiiii]i)p(ffffff)`);

const THREADS = 256;
/** Elements of a block of `adamw_flat`; rows and columns of one of `adamw_matrix`. */
const [RUN, TILE] = [4 * THREADS, 128];

/** Whether the kernels serve: copies in bf16, and rows and columns of matrices in fp8 that start at multiples of 16 bytes. */
export function isAdamW(x: InputsOf<typeof adamwOp>, attrs: AdamWOpAttrs): boolean {
  return adamwParameters(x, attrs).every(({ param, copy, fp8 }) => {
    const sizes = fp8 === null ? [] : [fp8.row, ...param.shape, ...fp8.matrix.rowwise.shape];
    return (copy === null || copy.dtype === "bf16") && sizes.every((size) => size % 16 === 0);
  });
}

export const adamw: KernelOf<typeof adamwOp> = (x, attrs) => {
  const parameters = adamwParameters(x, attrs);
  const { learningRate, beta1, beta2, eps, step } = attrs;
  const cuda = cudaOf(parameters[0]!.param);
  const common = [
    x[0]?.handle ?? 0,
    // In f64, then rounded once, as PyTorch does.
    1 - beta1, beta2, 1 - beta2, eps, learningRate / (1 - beta1 ** step), Math.sqrt(1 - beta2 ** step),
  ] as const;
  const pointers = ({ param, mean, variance, gradient, copy }: AdamWParameter) => (
    [param.handle, mean.handle, variance.handle, gradient.handle, copy?.handle ?? 0] as const
  );
  const decay = ({ weightDecay }: AdamWParameter): number => 1 - learningRate * weightDecay;

  const flats = tablesOf(
    parameters.filter(({ fp8 }) => fp8 === null), mostFlats, ({ param }) => Math.ceil(param.size / RUN),
    (one, first) => [...pointers(one), one.param.size, decay(one), first] as const,
  );
  for (const { rows, blocks } of flats) cuda.launch(adamwFlat, { grid: [blocks], block: THREADS }, rows, rows.length, ...common);

  const matrices = tablesOf(
    parameters.flatMap((one) => (one.fp8 === null ? [] : [{ ...one, fp8: one.fp8 }])), mostMatrices,
    ({ param: { shape } }) => Math.ceil(shape[0]! / TILE) * Math.ceil(shape[1]! / TILE),
    (one, first) => {
      const { matrix: { scaling, rowwise, transposed }, row } = one.fp8;
      const [rows, columns] = one.param.shape as [number, number];
      return [
        ...pointers(one), rowwise.handle + row * columns, transposed.handle + row, addressIn(scaling, "weight", "amax"), addressIn(scaling, "weight", "scale"),
        decay(one), first, rows, columns, rowwise.shape[0]!,
      ] as const;
    },
  );
  for (const { rows, blocks } of matrices) cuda.launch(adamwMatrix, { grid: [blocks], block: THREADS }, rows, rows.length, ...common);
};
