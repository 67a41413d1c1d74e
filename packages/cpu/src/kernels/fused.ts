import { attentionGradOp, attentionOp, ropeOp, type AttentionAttrs } from "@danu/attention";
import { adamwOp, adamwParameters, clipScaleOp, sumSquaresOp } from "@danu/optim";
import {
  addIntoOp, ignoreIndex, linearCrossEntropyOp, linearInputGradOp, linearOp, rmsNormGradOp, rmsNormOp, scaleIntoOp, swigluGradOp, swigluOp, tokenLossesGradOp,
  tokenLossesOp,
  type KernelOf, type Tensor,
} from "@danu/tensor";

import { codeOf, cpuOf, elementBytes, type CpuDevice } from "../device.ts";
import { linearInputGradKernel, linearKernel } from "./matmul.ts";

/** The fused kernels compute in f32 from f32 or bf16; other types take the decomposition. */
function isNative(x: readonly (Tensor | null)[]): boolean {
  const { dtype } = x[0]!;
  return dtype === "f32" || dtype === "bf16";
}

const rmsNorm: KernelOf<typeof rmsNormOp> = ([y, inverseRms], [x, weight], { eps }) => {
  const cpu = cpuOf(y);
  const C = weight.size;
  cpu.check("rmsNorm", cpu.library.rmsNormForward(
    cpu.queue, y.handle, inverseRms.handle, x.handle, weight.handle, inverseRms.size, C, eps, codeOf(x.dtype),
  ));
};

const rmsNormGrad: KernelOf<typeof rmsNormGradOp> = ([dx, dWeight], [g, x, weight, inverseRms, residual]) => {
  const cpu = cpuOf(dx);
  cpu.check("rmsNormGrad", cpu.library.rmsNormBackward(
    cpu.queue, dx.handle, dWeight.handle, g.handle, x.handle, weight.handle, inverseRms.handle, residual?.handle ?? 0,
    inverseRms.size, weight.size, codeOf(x.dtype),
  ));
};

const swiglu: KernelOf<typeof swigluOp> = ([y], [gate, up]) => {
  const cpu = cpuOf(y);
  cpu.check("swiglu", cpu.library.swigluForward(cpu.queue, y.handle, gate.handle, up.handle, y.size, codeOf(gate.dtype)));
};

const swigluGrad: KernelOf<typeof swigluGradOp> = ([dGate, dUp], [g, gate, up]) => {
  const cpu = cpuOf(dGate);
  cpu.check("swigluGrad", cpu.library.swigluBackward(
    cpu.queue, dGate.handle, dUp.handle, g.handle, gate.handle, up.handle, g.size, codeOf(gate.dtype),
  ));
};

/** Losses of every token, and the gradients of `scale` times their sum where there is room for them.
 *  @param factors of every token beside, 0 for ones */
function crossEntropy(
  losses: number, dx: number, dWeight: number, [x, weight, targets]: readonly [Tensor, Tensor, Tensor], scale: number,
  factors: number,
): void {
  const cpu = cpuOf(x);
  const [V, C] = weight.shape as [number, number];
  cpu.check("linearCrossEntropy", cpu.library.linearCrossEntropy(
    cpu.queue, losses, dx, dWeight, x.handle, weight.handle, targets.handle, factors,
    targets.size, C, V, ignoreIndex, scale, codeOf(x.dtype),
  ));
}

const tokenLosses: KernelOf<typeof tokenLossesOp> = ([losses], x) => crossEntropy(losses.handle, 0, 0, x, 1, 0);

const tokenLossesGrad: KernelOf<typeof tokenLossesGradOp> = ([dx, dWeight], [g, ...x], { weightGradient }) => {
  const cpu = cpuOf(dx);
  const losses = cpu.allocate(4 * g.size);
  crossEntropy(losses, dx.handle, weightGradient ? dWeight.handle : 0, x, 1, g.handle);
  cpu.free(losses);
};

const linearCrossEntropy: KernelOf<typeof linearCrossEntropyOp> = ([total, dx, dWeight], x, { scale, weightGradient }) => {
  const cpu = cpuOf(total);
  const N = x[2].size;
  const losses = cpu.allocate(4 * N);
  crossEntropy(losses, dx.handle, weightGradient ? dWeight.handle : 0, x, scale, 0);
  cpu.check("sum", cpu.library.sum(cpu.queue, total.handle, losses, N));
  cpu.free(losses);
  const factor = cpu.allocate(4);
  cpu.write(factor, new Uint8Array(Float32Array.of(scale).buffer));
  cpu.check("scale", cpu.library.scaleInto(cpu.queue, total.handle, factor, 1, codeOf("f32")));
  cpu.free(factor);
};

/** Sizes of an attention call: `B, T, S, H, G, D, slidingWindow`. */
type Sizes = readonly [B: number, T: number, S: number, H: number, G: number, D: number, slidingWindow: number];

/** Most channels of a head that the attention kernels take. */
const mostChannels = 256;

function isNativeAttention(x: readonly (Tensor | null)[], { scale }: AttentionAttrs): boolean {
  const D = x[0]!.shape[3]!;
  return isNative(x) && D > 0 && D <= mostChannels && scale >= 0;
}

/** Calls `f` with the sizes of an attention and the first batch element they stand for: 0 for all at once.
 *  A cache that is not full has gaps between the batch elements, so these go one by one. */
function forEachBatch(q: Tensor, k: Tensor, attrs: AttentionAttrs, f: (sizes: Sizes, batch: number) => void): void {
  const [B, T, H, D] = q.shape as [number, number, number, number];
  const [, S, G] = k.shape as [number, number, number];
  const window = attrs.slidingWindow ?? 0;
  const used = attrs.keyLength ?? S;
  if (B === 0) return undefined;
  if (used === S || B === 1) return f([B, T, used, H, G, D, window], 0);
  for (let b = 0; b < B; b++) f([1, T, used, H, G, D, window], b);
  return undefined;
}

const attention: KernelOf<typeof attentionOp> = ([o, lse], [q, k, v, documentStart], attrs) => {
  const cpu = cpuOf(q);
  forEachBatch(q, k, attrs, (sizes, batch) => {
    const at = (x: Tensor): number => x.handle + batch * (x.size / q.shape[0]!) * elementBytes(x);
    const start = documentStart === null ? 0 : at(documentStart);
    cpu.check("attention", cpu.library.attentionForward(
      cpu.queue, at(o), at(lse), at(q), at(k), at(v), start, ...sizes, attrs.scale, codeOf(q.dtype),
    ));
  });
};

const attentionGrad: KernelOf<typeof attentionGradOp> = ([dq, dk, dv], [g, q, k, v, o, lse, documentStart], attrs) => {
  const cpu = cpuOf(q);
  forEachBatch(q, k, attrs, (sizes) => {
    cpu.check("attentionGrad", cpu.library.attentionBackward(
      cpu.queue, dq.handle, dk.handle, dv.handle, g.handle, q.handle, k.handle, v.handle, o.handle, lse.handle,
      documentStart?.handle ?? 0, ...sizes, attrs.scale, codeOf(q.dtype),
    ));
  });
};

const rope: KernelOf<typeof ropeOp> = ([y], [x, table, positions], { inverse }) => {
  const cpu = cpuOf(y);
  const [H, D] = x.shape.slice(2) as [number, number];
  cpu.check("rope", cpu.library.rope(
    cpu.queue, y.handle, x.handle, table.handle, positions.handle, positions.size, H, D, table.shape[0]!, Number(inverse), codeOf(x.dtype),
  ));
};

const adamw: KernelOf<typeof adamwOp> = (x, attrs) => {
  const { learningRate, beta1, beta2, eps, step } = attrs;
  for (const { param, mean, variance, gradient, copy, weightDecay } of adamwParameters(x, attrs)) {
    const cpu = cpuOf(param);
    cpu.check("adamw", cpu.library.adamw(
      cpu.queue, param.handle, mean.handle, variance.handle, gradient.handle, copy?.handle ?? 0, x[0]?.handle ?? 0,
      param.size, learningRate, beta1, beta2, eps, weightDecay, 1 - beta1 ** step, 1 - beta2 ** step,
    ));
  }
};

/** Gives the CPU its own kernels for the fused ops. */
export function provideFused(cpu: CpuDevice): void {
  cpu.provide(linearOp, linearKernel, isNative)
    .provide(linearInputGradOp, linearInputGradKernel, (x) => isNative(x) && x.every((one) => one === null || one.dtype === x[0].dtype))
    .provide(rmsNormOp, rmsNorm, isNative)
    .provide(rmsNormGradOp, rmsNormGrad, isNative)
    .provide(swigluOp, swiglu, isNative)
    .provide(swigluGradOp, swigluGrad, isNative)
    .provide(tokenLossesOp, tokenLosses, isNative)
    .provide(tokenLossesGradOp, tokenLossesGrad, ([, x]) => isNative([x]))
    .provide(linearCrossEntropyOp, linearCrossEntropy, isNative)
    .provide(attentionOp, attention, isNativeAttention)
    .provide(attentionGradOp, attentionGrad, (x, attrs) => isNativeAttention(x, attrs) && attrs.keyLength === null)
    .provide(ropeOp, rope, isNative)
    .provide(adamwOp, adamw, (x, attrs) => (
      adamwParameters(x, attrs).every(({ copy, fp8 }) => fp8 === null && (copy === null || copy.dtype === "bf16"))
    ))
    .provide(addIntoOp, ([target, source]) => {
      cpu.check("addInto", cpu.library.addInto(
        cpu.queue, target.handle, source.handle, target.size, codeOf(target.dtype), codeOf(source.dtype),
      ));
    })
    .provide(scaleIntoOp, ([target, factor]) => {
      cpu.check("scaleInto", cpu.library.scaleInto(cpu.queue, target.handle, factor.handle, target.size, codeOf(target.dtype)));
    })
    .provide(sumSquaresOp, ([total], tensors) => {
      tensors.forEach((x, i) => {
        cpu.check("sumSquares", cpu.library.sumSquares(cpu.queue, total.handle, x.handle, x.size, Number(i > 0)));
      });
    })
    .provide(clipScaleOp, ([scale, norm, total], { maxNorm }) => {
      cpu.check("clipScale", cpu.library.clipScale(cpu.queue, scale.handle, norm.handle, total.handle, maxNorm));
    });
}
