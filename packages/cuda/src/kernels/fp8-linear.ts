import type { fp8LinearGradOp, fp8LinearOp, KernelOf, Tensor } from "@danu/tensor";

import { cudaOf } from "../device.ts";
import { withFp8 } from "./fp8-cast.ts";
import { multiplyFp8 } from "./fp8-product.ts";

/** Whether the kernels serve a layer: bf16, and rows of 16 bytes of fp8 on both sides. */
export function isFp8Layer(x: Tensor, weight: Tensor): boolean {
  return x.dtype === "bf16" && weight.size > 0 && weight.shape.every((size) => size % 16 === 0);
}

/** The three tensors of a layer as matrices. */
function matrices(x: Tensor, weight: Tensor, scaling: Tensor, calibrate: boolean) {
  const [O, C] = weight.shape as [number, number];
  const M = x.size / C;
  const common = { scaling, calibrate };
  return {
    M, O, C,
    input: { x: x.handle, rows: M, columns: C, row: "input", ...common },
    weight: { x: weight.handle, rows: O, columns: C, row: "weight", ...common },
    gradient: (g: Tensor) => ({ x: g.handle, rows: M, columns: O, row: "gradient", ...common }) as const,
  } as const;
}

const rowwise = { rowwise: true, transposed: false } as const;
const transposed = { rowwise: false, transposed: true } as const;

export const fp8Linear: KernelOf<typeof fp8LinearOp> = ([y], [x, weight, residual, scaling], { calibrate }) => {
  const cuda = cudaOf(y);
  const { M, O, C, input, weight: kernel } = matrices(x, weight, scaling, calibrate);
  withFp8(cuda, input, rowwise, (a) => withFp8(cuda, kernel, rowwise, (b) => {
    const product = { y: y.handle, a: a.rowwise!, b: b.rowwise!, scaleA: a.inverse, scaleB: b.inverse, M, N: O, K: C };
    multiplyFp8(cuda, "forward", product, residual?.handle ?? 0);
  }));
};

export const fp8LinearGrad: KernelOf<typeof fp8LinearGradOp> = ([dx, dWeight], [g, x, weight, scaling], attrs) => {
  const { calibrate, needsInput, needsWeight } = attrs;
  const cuda = cudaOf(g);
  const { M, O, C, input, weight: kernel, gradient } = matrices(x, weight, scaling, calibrate);
  withFp8(cuda, gradient(g), { rowwise: needsInput, transposed: needsWeight }, (dy) => {
    if (needsInput) {
      withFp8(cuda, kernel, transposed, (w) => {
        const product = { y: dx.handle, a: dy.rowwise!, b: w.transposed!, scaleA: dy.inverse, scaleB: w.inverse, M, N: C, K: O };
        multiplyFp8(cuda, "inputGradient", product);
      });
    }
    if (!needsWeight) return;
    withFp8(cuda, input, transposed, (a) => {
      const product = { y: dWeight.handle, a: dy.transposed!, b: a.transposed!, scaleA: dy.inverse, scaleB: a.inverse, M: O, N: C, K: a.stride };
      multiplyFp8(cuda, "weightGradient", product);
    });
  });
};
