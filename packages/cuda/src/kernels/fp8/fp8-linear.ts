import { fp8Padded, type fp8LinearGradOp, type fp8LinearOp, type KernelOf, type Tensor } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { measure, quantise, weightInverse, withCopies, withScale, type Matrix } from "./fp8-cast.ts";
import { multiplyFp8 } from "./fp8-product.ts";
import { isForRegisters } from "../fused/rms-norm.ts";

/** What decides whether the kernels serve a layer. */
interface Fp8Layer {
  /** Inputs and gradients. */
  readonly activations: readonly (Tensor | null)[];
  readonly matrices: readonly Tensor[];
  /** Weight of a norm before it. */
  readonly norm?: Tensor;
  /** Outputs of the layers that share a matrix. */
  readonly outputs?: readonly number[];
}

/** Whether the kernels serve: activations in bf16, rows of 16 bytes of fp8 on all sides, and norms that stay in registers. */
export function isForFp8({ activations, matrices, norm, outputs = [] }: Fp8Layer): boolean {
  return activations.every((x) => x === null || x.dtype === "bf16") && (norm === undefined || isForRegisters(norm.size))
    && matrices.every(({ dtype, size }) => dtype === "f8e4m3" && size > 0)
    && [...matrices.flatMap(({ shape }) => shape), ...outputs].every((size) => size % 16 === 0);
}

export const fp8Linear: KernelOf<typeof fp8LinearOp> = ([y], [x, , residual, scaling, rowwise], { calibrate }) => {
  const cuda = cudaOf(y);
  const [N, K] = rowwise.shape as [number, number];
  const M = x.size / K;
  const input: Matrix = { x: x.handle, rows: M, columns: K };
  cuda.withScratch(M * K, (a) => (
    withScale(cuda, { scaling, row: "input", calibrate }, (amax) => measure(cuda, input, amax), (scale) => {
      quantise(cuda, "input", input, { rowwise: a, transposed: 0 }, scale);
      const product = { y: y.handle, a, b: rowwise.handle, scaleA: scale.inverse, scaleB: weightInverse(scaling), M, N, K };
      multiplyFp8(cuda, "forward", product, residual?.handle ?? 0);
    })
  ));
};

export const fp8LinearGrad: KernelOf<typeof fp8LinearGradOp> = ([dx, dWeight], [g, x, scaling, transposed, copy, copyTransposed], attrs) => {
  const { calibrate, needsInput, needsWeight } = attrs;
  const cuda = cudaOf(g);
  const [C, O] = transposed.shape as [number, number];
  const M = x.size / C;
  const stride = fp8Padded(M);
  const [gradient, input]: [Matrix, Matrix] = [{ x: g.handle, rows: M, columns: O }, { x: x.handle, rows: M, columns: C }];
  withCopies(cuda, { gradient, copy, copyTransposed }, { scaling, calibrate }, { rowwise: needsInput, transposed: needsWeight }, (copies, inverse) => {
    if (needsInput) {
      const scales = { scaleA: inverse, scaleB: weightInverse(scaling) };
      multiplyFp8(cuda, "inputGradient", { y: dx.handle, a: copies.rowwise, b: transposed.handle, ...scales, M, N: C, K: O });
    }
    if (!needsWeight) return;
    cuda.withScratch(C * stride, (a) => (
      withScale(cuda, { scaling, row: "input", calibrate }, (amax) => measure(cuda, input, amax), (ofInput) => {
        quantise(cuda, "input", input, { rowwise: 0, transposed: a }, ofInput);
        const scales = { scaleA: inverse, scaleB: ofInput.inverse };
        multiplyFp8(cuda, "weightGradient", { y: dWeight.handle, a: copies.transposed, b: a, ...scales, M: O, N: C, K: stride });
      })
    ));
  });
};
