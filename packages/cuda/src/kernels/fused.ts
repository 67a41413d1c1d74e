import { ropeOp } from "@danu/attention";
import { adamwOp, addSquaresOp, clipScaleOp } from "@danu/optim";
import {
  addIntoOp, fp8LinearGradOp, fp8LinearOp, fp8UpdateOp, linearCrossEntropyOp, linearOp, rmsNormGradOp, rmsNormOp, scaleIntoOp, swigluGradOp, swigluOp, tokenLossesGradOp, tokenLossesOp,
} from "@danu/tensor";

import type { CudaDevice } from "../device.ts";
import { adamw, isAdamW } from "./adamw.ts";
import { provideAttention } from "./attention.ts";
import { linearCrossEntropy, tokenLosses, tokenLossesGrad } from "./cross-entropy.ts";
import { isFused } from "./flat.ts";
import { fp8Update } from "./fp8-cast.ts";
import { fp8Linear, fp8LinearGrad, isFp8Layer } from "./fp8-linear.ts";
import { addSquares, clipScale } from "./gradient-norm.ts";
import { isOperand, linearKernel } from "./matmul.ts";
import { rmsNorm, rmsNormGrad } from "./rms-norm.ts";
import { rope } from "./rope.ts";
import { swiglu, swigluGrad } from "./swiglu.ts";
import { addInto, scaleInto } from "./updates.ts";

/** Gives a GPU its own kernels for the fused ops. */
export function provideFused(cuda: CudaDevice): void {
  provideAttention(cuda);
  cuda.provide(linearOp, linearKernel, ([x]) => isOperand(x.dtype))
    .provide(fp8LinearOp, fp8Linear, ([x, weight]) => isFp8Layer(x, weight))
    .provide(fp8LinearGradOp, fp8LinearGrad, ([g, x, weight]) => g.dtype === "bf16" && isFp8Layer(x, weight))
    .provide(fp8UpdateOp, fp8Update)
    .provide(rmsNormOp, rmsNorm, ([x]) => isFused(x))
    .provide(rmsNormGradOp, rmsNormGrad, ([g, x]) => isFused(g, x) && g.dtype === x.dtype)
    .provide(swigluOp, swiglu, ([gate]) => isFused(gate))
    .provide(swigluGradOp, swigluGrad, ([g, gate]) => isFused(g, gate) && g.dtype === gate.dtype)
    .provide(tokenLossesOp, tokenLosses, ([x]) => isFused(x))
    .provide(tokenLossesGradOp, tokenLossesGrad, ([, x]) => isFused(x))
    .provide(linearCrossEntropyOp, linearCrossEntropy, ([x]) => isFused(x))
    .provide(ropeOp, rope, ([x]) => isFused(x))
    .provide(adamwOp, adamw, isAdamW)
    .provide(addIntoOp, addInto, ([target, source]) => isFused(target, source))
    .provide(scaleIntoOp, scaleInto, ([target]) => isFused(target))
    .provide(addSquaresOp, addSquares)
    .provide(clipScaleOp, clipScale);
}
