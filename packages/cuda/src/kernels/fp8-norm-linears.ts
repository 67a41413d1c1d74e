import { bytesPerElement, type fp8NormLinearsGradOp, type fp8NormLinearsOp, type KernelOf } from "@danu/tensor";

import { cudaOf } from "../device.ts";
import { measure, padded, quantise, quantiseNormed, weightInverse, withScale, type Matrix } from "./fp8-cast.ts";
import { multiplyFp8, multiplyFp8Group } from "./fp8-product.ts";
import { normBackward, normForward } from "./rms-norm.ts";

/** First rows of matrices that lie one below the other. */
function firstRows(sizes: readonly number[]): number[] {
  let end = 0;
  return sizes.map((size) => (end += size) - size);
}

export const fp8NormLinears: KernelOf<typeof fp8NormLinearsOp> = ([inverseRms, ...y], [x, norm, scaling, rowwise], { eps, calibrate }) => {
  const cuda = cudaOf(x);
  const [M, K] = [inverseRms.size, norm.size];
  const rows = { x: x.handle, weight: norm.handle, rstd: inverseRms.handle, rows: M, columns: K, eps };
  const firsts = firstRows(y.map(({ shape }) => shape.at(-1)!));
  cuda.withScratch(M * K, (a) => (
    withScale(cuda, { scaling, row: "input", calibrate }, (amax) => normForward(cuda, rows, { amax }), (scale) => {
      normForward(cuda, rows, { ...scale, q: a });
      const common = { a, scaleA: scale.inverse, scaleB: weightInverse(scaling), M, K };
      y.forEach(({ handle, shape }, i) => multiplyFp8(cuda, "forward", { ...common, y: handle, b: rowwise.handle + firsts[i]! * K, N: shape.at(-1)! }));
    })
  ));
};

export const fp8NormLinearsGrad: KernelOf<typeof fp8NormLinearsGradOp> = (
  [dx, dNorm, ...dWeights], [x, norm, inverseRms, scaling, transposed, ...g], { calibrate, needsWeights },
) => {
  const cuda = cudaOf(x);
  const [C, O] = transposed.shape as [number, number];
  const M = inverseRms.size;
  const stride = padded(M);
  const gradients = g.map(({ handle, shape }): Matrix => ({ x: handle, rows: M, columns: shape.at(-1)! }));
  const firsts = firstRows(gradients.map(({ columns }) => columns));
  const normed = { x: x.handle, rstd: inverseRms.handle, weight: norm.handle, rows: M, columns: C };
  const sizes = [M * O, M * C * bytesPerElement.bf16, needsWeights ? O * stride : 0, needsWeights ? C * stride : 0] as const;
  cuda.withPieces(sizes, (rowwise, dNormed, dy, input) => {
    const measureAll = (amax: number): void => { for (const one of gradients) measure(cuda, one, amax); };
    withScale(cuda, { scaling, row: "gradient", calibrate }, measureAll, (ofGradient) => {
      gradients.forEach((one, i) => {
        const first = firsts[i]!;
        quantise(cuda, "gradient", one, { rowwise: rowwise + first, pitch: O, transposed: needsWeights ? dy + first * stride : 0 }, ofGradient);
      });
      const scales = { scaleA: ofGradient.inverse, scaleB: weightInverse(scaling) };
      multiplyFp8(cuda, "inputGradient", { y: dNormed, a: rowwise, b: transposed.handle, ...scales, M, N: C, K: O });
      normBackward(cuda, { ...normed, dy: dNormed, residual: 0, dx: dx.handle, dWeight: dNorm.handle });
      if (!needsWeights) return;
      withScale(cuda, { scaling, row: "input", calibrate }, (amax) => quantiseNormed(cuda, normed, 0, { scale: 0, amax }), (ofInput) => {
        quantiseNormed(cuda, normed, input, ofInput);
        const common = { b: input, scaleA: ofGradient.inverse, scaleB: ofInput.inverse, N: C, K: stride };
        multiplyFp8Group(cuda, dWeights.map(({ handle }, i) => ({ ...common, y: handle, a: dy + firsts[i]! * stride, M: gradients[i]!.columns })));
      });
    });
  });
};
