import {
  bytesPerElement, fp8Padded, type AttrsOf, type fp8NormLinearsGradOp, type fp8NormLinearsOp, type Handle, type KernelOf, type Tensor,
} from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { copiesTo, measure, quantise, quantiseNormed, weightInverse, withScale, type CopyPlaces, type Fp8Scale, type Matrix } from "./fp8-cast.ts";
import { multiplyFp8, multiplyFp8Group } from "./fp8-product.ts";
import { normBackward, normForward } from "../fused/rms-norm.ts";

/** First rows of matrices that lie one below the other. */
function firstRows(sizes: readonly number[]): number[] {
  let end = 0;
  return sizes.map((size) => (end += size) - size);
}

export const fp8NormLinears: KernelOf<typeof fp8NormLinearsOp> = ([inverseRms, ...y], [x, norm, scaling, rowwise, , ...weights], { eps, calibrate }) => {
  const cuda = cudaOf(x);
  const [M, K] = [inverseRms.size, norm.size];
  const rows = { x: x.handle, weight: norm.handle, rstd: inverseRms.handle, rows: M, columns: K, eps };
  const outputs = weights.map(({ shape }) => shape[0]!);
  const firsts = firstRows(outputs);
  cuda.withScratch(M * K, (a) => (
    withScale(cuda, { scaling, row: "input", calibrate }, (amax) => normForward(cuda, rows, { amax }), (scale) => {
      normForward(cuda, rows, { ...scale, q: a });
      const common = { a, scaleA: scale.inverse, scaleB: weightInverse(scaling), M, K };
      y.forEach(({ handle }, i) => multiplyFp8(cuda, "forward", { ...common, y: handle, b: rowwise.handle + firsts[i]! * K, N: outputs[i]! }));
    })
  ));
};

/** The gradient of what one of the layers gives, and how it is cast. */
export interface CastGradient {
  readonly columns: number;
  /** Raises a number to the largest magnitude of what is cast. */
  readonly measure: (amax: Handle) => void;
  readonly cast: (copies: CopyPlaces, scale: Fp8Scale) => void;
}

/** Casts a gradient as it comes. */
export function castAsItIs(cuda: CudaDevice, matrix: Matrix): CastGradient {
  return {
    columns: matrix.columns,
    measure: (amax) => measure(cuda, matrix, amax),
    cast: (copies, scale) => quantise(cuda, "gradient", matrix, copies, scale),
  };
}

/** Inputs of the gradients by name. */
type NormLinears = Readonly<Record<"x" | "norm" | "inverseRms" | "scaling" | "transposed", Tensor> & Record<"residual" | "castBy", Tensor | null>>;

/** Enqueues the gradients of linear layers behind a norm. */
export function normLinearsGrad(
  [dx, dNorm, copy, copyTransposed, ...dWeights]: readonly [dx: Tensor, dNorm: Tensor, copy: Tensor, copyTransposed: Tensor, ...dWeights: Tensor[]],
  { x, norm, inverseRms, scaling, transposed, residual, castBy }: NormLinears,
  gradients: readonly CastGradient[], { calibrate, needsWeights }: Pick<AttrsOf<typeof fp8NormLinearsGradOp>, "calibrate" | "needsWeights">,
): void {
  const cuda = cudaOf(x);
  const [C, O] = transposed.shape as [number, number];
  const M = inverseRms.size;
  const stride = fp8Padded(M);
  const firsts = firstRows(gradients.map(({ columns }) => columns));
  const normed = { x: x.handle, rstd: inverseRms.handle, weight: norm.handle, rows: M, columns: C };
  const sizes = [M * O, M * C * bytesPerElement.bf16, needsWeights ? O * stride : 0, needsWeights ? C * stride : 0] as const;
  cuda.withPieces(sizes, (rowwise, dNormed, dy, input) => {
    const measureAll = (amax: Handle): void => { for (const one of gradients) one.measure(amax); };
    withScale(cuda, { scaling, row: "gradient", calibrate }, measureAll, (ofGradient) => {
      gradients.forEach((one, i) => {
        const first = firsts[i]!;
        one.cast({ rowwise: rowwise + first, pitch: O, transposed: needsWeights ? dy + first * stride : 0 }, ofGradient);
      });
      const scales = { scaleA: ofGradient.inverse, scaleB: weightInverse(scaling) };
      multiplyFp8(cuda, "inputGradient", { y: dNormed, a: rowwise, b: transposed.handle, ...scales, M, N: C, K: O });
      const gradientsOfNorm = { dy: dNormed, residual: residual?.handle ?? 0, dx: dx.handle, dWeight: dNorm.handle };
      normBackward(cuda, { ...normed, ...gradientsOfNorm }, copiesTo(copy, copyTransposed, castBy));
      if (!needsWeights) return;
      withScale(cuda, { scaling, row: "input", calibrate }, (amax) => quantiseNormed(cuda, normed, 0, { scale: 0, amax }), (ofInput) => {
        quantiseNormed(cuda, normed, input, ofInput);
        const common = { b: input, scaleA: ofGradient.inverse, scaleB: ofInput.inverse, N: C, K: stride };
        multiplyFp8Group(cuda, dWeights.map(({ handle }, i) => ({ ...common, y: handle, a: dy + firsts[i]! * stride, M: gradients[i]!.columns })));
      });
    });
  });
}

export const fp8NormLinearsGrad: KernelOf<typeof fp8NormLinearsGradOp> = (y, [x, norm, inverseRms, scaling, transposed, residual, castBy, ...g], attrs) => {
  const cuda = cudaOf(x);
  const gradients = g.map(({ handle, shape }) => castAsItIs(cuda, { x: handle, rows: inverseRms.size, columns: shape.at(-1)! }));
  normLinearsGrad(y, { x, norm, inverseRms, scaling, transposed, residual, castBy }, gradients, attrs);
};
