import * as t from "@danu/tensor";

import { hostTensor, upload } from "./host-tensor.ts";

/** Sizes of blocks in fp8. */
export interface Fp8Blocks {
  readonly rows: readonly number[];
  readonly C: number;
  readonly F: number;
  readonly blocks: number;
  readonly dtype: t.DType;
  readonly calibrate: boolean;
  readonly seed: number;
}

/** A loss and its gradients of blocks in fp8 as a decoder has them, with a sum in place of attention, and the scalings that are left.
 *  @param between what is done to the stream of the residual where one op hands its gradient to another */
export async function fp8Blocks(
  device: t.Device, { rows, C, F, blocks, dtype, calibrate, seed }: Fp8Blocks, between: (x: t.Tensor) => t.Tensor,
): Promise<Uint8Array[]> {
  const results = t.scope(() => {
    const draw = (at: number, ...shape: number[]): t.Tensor => upload(device, hostTensor(dtype, shape, seed + at));
    const matrixOf = (...weights: t.Tensor[]): t.Fp8Matrix => {
      const matrix = t.fp8Matrix(device, weights.reduce((sum, { shape }) => sum + shape[0]!, 0), weights[0]!.shape[1]!);
      t.writeFp8(matrix, weights, { calibrate: true });
      t.scope(() => t.assignSlice(matrix.scaling, gradientFactor(matrix.scaling), 0, 2));
      return matrix;
    };
    const params = Array.from({ length: blocks }, (_, i) => {
      const at = 100 * i;
      return {
        norm: draw(at, C), first: draw(at + 1, C, C), second: draw(at + 2, C, C), output: draw(at + 3, C, C), mlpNorm: draw(at + 4, C),
        gate: draw(at + 5, F, C), up: draw(at + 6, F, C), down: draw(at + 7, C, F),
      };
    });
    const matrices = params.map((p) => ({
      both: matrixOf(p.first, p.second), output: matrixOf(p.output), gateUp: matrixOf(p.gate, p.up), down: matrixOf(p.down),
    }));
    const [loss, gradients] = t.valueAndGrad((p: { readonly x: t.Tensor; readonly params: typeof params }) => {
      const y = p.params.reduce((x, block, i) => {
        const { both, output, gateUp, down } = matrices[i]!;
        const [a, b] = t.fp8NormLinears(x, block.norm, [block.first, block.second], both, { calibrate });
        const h = between(t.fp8Linear(t.add(a!, b!), block.output, output, { residual: x, calibrate }));
        return between(t.fp8FeedForward(h, block.mlpNorm, block, gateUp, down, { calibrate }));
      }, p.x);
      const wide = t.cast(y, "f32");
      return t.mean(t.mul(wide, wide));
    })({ x: draw(-1, ...rows, C), params });
    const all = matrices.flatMap((block) => Object.values(block));
    t.disposeTree(all.flatMap(({ rowwise, transposed }) => [rowwise, transposed]));
    return t.keep([loss, ...t.leavesOf(gradients).map(({ tensor }) => tensor), ...all.map(({ scaling }) => scaling)]);
  });
  const bytes: Uint8Array[] = [];
  for (const result of results) bytes.push(await result.bytes());
  t.disposeTree(results);
  return bytes;
}

/** The row of gradients with a factor for small ones, as after some steps; 1 would lose most of them. */
function gradientFactor(scaling: t.Tensor): t.Tensor {
  const { amax, count } = t.fp8Columns;
  const factor = t.tensor(scaling.device, [1 / 64, 1, 64], [1, 3]);
  return t.concat([factor, t.slice(t.slice(scaling, 0, 2, 3), 1, amax, count)], 1);
}
