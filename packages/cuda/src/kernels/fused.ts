import { fp8QueryKeyValueGradOp, fp8QueryKeyValueOp, queryKeyValueOp, ropeOp } from "@danu/attention";
import { adamwOp, clipScaleOp, sumSquaresOp } from "@danu/optim";
import {
  addIntoOp, chooseNextOp, fp8FeedForwardGradOp, fp8FeedForwardOp, fp8LinearGradOp, fp8LinearOp, fp8NormLinearsGradOp, fp8NormLinearsOp, fp8UpdateOp,
  linearCrossEntropyOp, linearInputGradOp, linearOp, normSwigluOp, rmsNormGradOp, rmsNormOp, scaleIntoOp, swigluGradOp, swigluOp, tokenLossesGradOp, tokenLossesOp,
} from "@danu/tensor";

import type { CudaDevice } from "../device.ts";
import { adamw, isAdamW } from "./updates/adamw.ts";
import { provideAttention } from "./attention/attention.ts";
import { linearCrossEntropy, tokenLosses, tokenLossesGrad } from "./fused/cross-entropy.ts";
import { isFused } from "./flat.ts";
import { fp8Update } from "./fp8/fp8-cast.ts";
import { fp8FeedForward, fp8FeedForwardGrad } from "./fp8/fp8-feed-forward.ts";
import { fp8Linear, fp8LinearGrad, isForFp8 } from "./fp8/fp8-linear.ts";
import { fp8NormLinears, fp8NormLinearsGrad } from "./fp8/fp8-norm-linears.ts";
import { fp8QueryKeyValue, fp8QueryKeyValueGrad, isForTurning } from "./fp8/fp8-query-key-value.ts";
import { chooseNext, isForChoosing } from "./generation/choose-next.ts";
import { isForNormSwiglu, isForQueryKeyValue, normSwiglu, queryKeyValueKernel } from "./generation/few-rows.ts";
import { clipScale, sumSquares } from "./updates/gradient-norm.ts";
import { isOperand, linearInputGradKernel, linearKernel } from "./products/matmul.ts";
import { rmsNorm, rmsNormGrad } from "./fused/rms-norm.ts";
import { rope } from "./fused/rope.ts";
import { swiglu, swigluGrad } from "./fused/swiglu.ts";
import { addInto, scaleInto } from "./updates/updates.ts";

/** Gives a GPU its own kernels for the fused ops. */
export function provideFused(cuda: CudaDevice): void {
  provideAttention(cuda);
  cuda.provide(linearOp, linearKernel, ([x]) => isOperand(x.dtype))
    .provide(linearInputGradOp, linearInputGradKernel, (x) => isOperand(x[0].dtype) && x.every((one) => one === null || one.dtype === x[0].dtype))
    .provide(fp8LinearOp, fp8Linear, ([x, , , , rowwise]) => isForFp8({ activations: [x], matrices: [rowwise] }))
    .provide(fp8LinearGradOp, fp8LinearGrad, ([g, x, , transposed]) => isForFp8({ activations: [g, x], matrices: [transposed] }))
    .provide(fp8NormLinearsOp, fp8NormLinears, ([x, norm, , rowwise, , ...weights]) => (
      isForFp8({ activations: [x], matrices: [rowwise], norm, outputs: weights.map(({ shape }) => shape[0]!) })
    ))
    .provide(fp8NormLinearsGradOp, fp8NormLinearsGrad, ([x, norm, , , transposed, residual, , ...g]) => (
      isForFp8({ activations: [x, residual, ...g], matrices: [transposed], norm, outputs: g.map(({ shape }) => shape.at(-1)!) })
    ))
    .provide(fp8FeedForwardOp, fp8FeedForward, ([x, norm, , , , , rowwise, , , down]) => (
      isForFp8({ activations: [x], matrices: [rowwise, down], norm })
    ))
    .provide(fp8FeedForwardGradOp, fp8FeedForwardGrad, ([g, x, norm, , , , transposed, , down, , , residual]) => (
      isForFp8({ activations: [g, x, residual], matrices: [transposed, down], norm })
    ))
    .provide(fp8QueryKeyValueOp, fp8QueryKeyValue, ([x, norm, , rowwise, , , , ...weights]) => (
      isForFp8({ activations: [x], matrices: [rowwise], norm, outputs: weights.map(({ shape }) => shape[0]!) })
    ))
    .provide(fp8QueryKeyValueGradOp, fp8QueryKeyValueGrad, ([x, norm, , , transposed, table, , gQ, gK, gV, residual]) => (
      isForFp8({ activations: [x, gQ, gK, gV, residual], matrices: [transposed], norm, outputs: [gQ, gK, gV].map(({ shape }) => shape[2]! * shape[3]!) }) && isForTurning(table.shape[1]!)
    ))
    .provide(fp8UpdateOp, fp8Update)
    .provide(rmsNormOp, rmsNorm, ([x]) => isFused(x))
    .provide(rmsNormGradOp, rmsNormGrad, ([g, x, , , residual]) => (
      isFused(g, x) && g.dtype === x.dtype && (residual === null || residual.dtype === x.dtype)
    ))
    .provide(swigluOp, swiglu, ([gate]) => isFused(gate))
    .provide(swigluGradOp, swigluGrad, ([g, gate]) => isFused(g, gate) && g.dtype === gate.dtype)
    .provide(normSwigluOp, normSwiglu, isForNormSwiglu)
    .provide(chooseNextOp, chooseNext, isForChoosing)
    .provide(queryKeyValueOp, queryKeyValueKernel, isForQueryKeyValue)
    .provide(tokenLossesOp, tokenLosses, ([x]) => isFused(x))
    .provide(tokenLossesGradOp, tokenLossesGrad, ([, x]) => isFused(x))
    .provide(linearCrossEntropyOp, linearCrossEntropy, ([x]) => isFused(x))
    .provide(ropeOp, rope, ([x]) => isFused(x))
    .provide(adamwOp, adamw, isAdamW)
    .provide(addIntoOp, addInto, ([target, source]) => isFused(target, source))
    .provide(scaleIntoOp, scaleInto, ([target]) => isFused(target))
    .provide(sumSquaresOp, sumSquares)
    .provide(clipScaleOp, clipScale);
}
