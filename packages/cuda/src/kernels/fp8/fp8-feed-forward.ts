import { bytesPerElement, fp8Padded, type fp8FeedForwardGradOp, type fp8FeedForwardOp, type Handle, type KernelOf } from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { copiesTo, quantiseNormed, weightInverse, withCopies, withScale, type Fp8Scale } from "./fp8-cast.ts";
import { multiplyFp8, multiplyFp8Group } from "./fp8-product.ts";
import { normBackward, normForward } from "../fused/rms-norm.ts";

const gatedForward = defineKernel("swiglu-fp8", "swiglu_fp8_forward", "ppppii");
const gatedBackward = defineKernel("swiglu-fp8", "swiglu_fp8_backward", "ppppppppiii");

const TILE = 128;
const BACKWARD_SHARED = 49_216;

/** Casts `silu(gate) · up`, or without a place for it only raises a number to its largest magnitude. @param gateUp `[M, 2F]` */
function gate(cuda: CudaDevice, gateUp: Handle, q: Handle, { scale, amax }: Pick<Fp8Scale, "scale" | "amax">, M: number, F: number): void {
  cuda.launch(gatedForward, { grid: [M], block: 128 }, gateUp, q, amax, scale, M, F);
}

export const fp8FeedForward: KernelOf<typeof fp8FeedForwardOp> = (
  [y, inverseRms, gateUp], [x, norm, , , , scaling, rowwise, , downScaling, downRowwise], { eps, calibrate },
) => {
  const cuda = cudaOf(x);
  const [M, C, F] = [inverseRms.size, norm.size, downRowwise.shape[1]!];
  const rows = { x: x.handle, weight: norm.handle, rstd: inverseRms.handle, rows: M, columns: C, eps };
  cuda.withPieces([M * C, M * F], (normed, h) => {
    withScale(cuda, { scaling, row: "input", calibrate }, (amax) => normForward(cuda, rows, { amax }), (scale) => {
      normForward(cuda, rows, { ...scale, q: normed });
      const scales = { scaleA: scale.inverse, scaleB: weightInverse(scaling) };
      multiplyFp8(cuda, "forward", { y: gateUp.handle, a: normed, b: rowwise.handle, ...scales, M, N: 2 * F, K: C });
    });
    const largest = (amax: Handle): void => gate(cuda, gateUp.handle, 0, { scale: 0, amax }, M, F);
    withScale(cuda, { scaling: downScaling, row: "input", calibrate }, largest, (scale) => {
      gate(cuda, gateUp.handle, h, scale, M, F);
      const scales = { scaleA: scale.inverse, scaleB: weightInverse(downScaling) };
      multiplyFp8(cuda, "forward", { y: y.handle, a: h, b: downRowwise.handle, ...scales, M, N: C, K: F }, x.handle);
    });
  });
};

/** Copies that the backward pass of the gated unit makes; 0 for what is not wanted. */
interface GatedCopies {
  /** e5m2 `[M, 2F]` */
  readonly rowwise: Handle;
  /** e5m2 `[2F, fp8Padded(M)]` */
  readonly transposed: Handle;
  /** h again, e4m3 `[F, fp8Padded(M)]`, with its factor. */
  readonly h: Handle;
  readonly hScale: Handle;
}

const noCopies: GatedCopies = { rowwise: 0, transposed: 0, h: 0, hScale: 0 };

export const fp8FeedForwardGrad: KernelOf<typeof fp8FeedForwardGradOp> = (
  [dx, dNorm, dGate, dUp, dDown, nextCopy, nextTransposed],
  [g, x, norm, inverseRms, gateUp, scaling, transposed, downScaling, downTransposed, copy, copyTransposed, residual, castBy], { calibrate, needsWeights },
) => {
  const cuda = cudaOf(x);
  const [M, C, F] = [inverseRms.size, norm.size, downTransposed.shape[0]!];
  const stride = fp8Padded(M);
  const upstream = { gradient: { x: g.handle, rows: M, columns: C }, copy, copyTransposed };
  const normed = { x: x.handle, rstd: inverseRms.handle, weight: norm.handle, rows: M, columns: C };
  const ifWeights = (bytes: number): number => (needsWeights ? bytes : 0);
  const orNone = (at: Handle): Handle => (needsWeights ? at : 0);
  const sizes = [
    M * F * bytesPerElement.bf16, M * 2 * F, ifWeights(2 * F * stride), ifWeights(F * stride), M * C * bytesPerElement.bf16, ifWeights(C * stride),
  ] as const;
  cuda.withPieces(sizes, (dH, d8, d8Transposed, h8, dNormed, input8) => {
    const backward = ({ rowwise, transposed: t, h, hScale }: GatedCopies, { scale, amax }: Pick<Fp8Scale, "scale" | "amax">): void => {
      const shape = { grid: [Math.ceil(M / TILE) * Math.ceil(F / TILE)], block: 512, shared: BACKWARD_SHARED } as const;
      cuda.launch(gatedBackward, shape, dH, gateUp.handle, rowwise, t, amax, scale, h, hScale, M, F, stride);
    };
    const factor = (of: typeof scaling, row: "input" | "gradient") => ({ scaling: of, row, calibrate }) as const;
    withCopies(cuda, upstream, { scaling: downScaling, calibrate }, { rowwise: true, transposed: needsWeights }, (g8, upstreamInverse) => {
      const scales = { scaleA: upstreamInverse, scaleB: weightInverse(downScaling) };
      multiplyFp8(cuda, "inputGradient", { y: dH, a: g8.rowwise, b: downTransposed.handle, ...scales, M, N: F, K: C });
      const largestH = (amax: Handle): void => gate(cuda, gateUp.handle, 0, { scale: 0, amax }, M, F);
      withScale(cuda, factor(downScaling, "input"), largestH, (ofH) => (
        withScale(cuda, factor(scaling, "gradient"), (amax) => backward(noCopies, { scale: 0, amax }), (ofGated) => {
          backward({ rowwise: d8, transposed: orNone(d8Transposed), h: orNone(h8), hScale: ofH.scale }, ofGated);
          const back = { scaleA: ofGated.inverse, scaleB: weightInverse(scaling) };
          multiplyFp8(cuda, "inputGradient", { y: dNormed, a: d8, b: transposed.handle, ...back, M, N: C, K: 2 * F });
          normBackward(
            cuda, { ...normed, dy: dNormed, residual: residual.handle, dx: dx.handle, dWeight: dNorm.handle }, copiesTo(nextCopy, nextTransposed, castBy),
          );
          if (!needsWeights) return;
          withScale(cuda, factor(scaling, "input"), (amax) => quantiseNormed(cuda, normed, 0, { scale: 0, amax }), (ofInput) => {
            quantiseNormed(cuda, normed, input8, ofInput);
            const gated = { b: input8, scaleA: ofGated.inverse, scaleB: ofInput.inverse, M: F, N: C, K: stride };
            multiplyFp8Group(cuda, [
              { ...gated, y: dGate.handle, a: d8Transposed }, { ...gated, y: dUp.handle, a: d8Transposed + F * stride },
              { y: dDown.handle, a: g8.transposed, b: h8, scaleA: upstreamInverse, scaleB: ofH.inverse, M: C, N: F, K: stride },
            ]);
          });
        })
      ));
    });
  });
};
