import { disposeTree, keep, leavesOf, mapTree, UsageError, zeros, type Fp8Place, type MapTree, type Tensor } from "@danu/tensor";

import { adamw, type AdamWParameter } from "./adamw-op.ts";

/** Settings that stay the same over a run; the learning rate comes with every step. */
export interface AdamWOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly eps?: number;
  /** Applied to tensors of two or more axes only: norms and biases are not decayed. */
  readonly weightDecay?: number;
}

/** What one step needs beside the gradients. */
export interface AdamWStep {
  readonly learningRate: number;
  /** Factor of the gradients, f32 `[]`; see `clipScale`. */
  readonly gradientScale?: Tensor | null;
  /** Low-precision copies of the parameters, refreshed in the same pass; the structure of the parameters. */
  readonly copies?: unknown;
  /** Parameters that are also written in fp8, in the same pass, each with where to. */
  readonly fp8?: ReadonlyMap<Tensor, Fp8Place>;
}

/** AdamW over a tree of f32 parameters, which it updates in place. It owns its two moments of every parameter. */
export class AdamW<P> implements Disposable {
  readonly options: Required<AdamWOptions>;
  readonly mean: MapTree<P, Tensor>;
  readonly variance: MapTree<P, Tensor>;
  /** Steps taken. */
  steps = 0;
  readonly #params: readonly Tensor[];

  constructor(params: P, { beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weightDecay = 0.1 }: AdamWOptions = {}) {
    this.options = { beta1, beta2, eps, weightDecay };
    this.#params = leavesOf(params).map((leaf) => leaf.tensor);
    this.mean = mapTree(params, (p) => keep(zeros(p.device, p.shape)));
    this.variance = mapTree(params, (p) => keep(zeros(p.device, p.shape)));
  }

  /** Takes one step.
   *  @param gradients f32, the structure of the parameters
   *  @throws UsageError when `fp8` names a tensor that is no parameter, whose copies would stay as they are */
  step(gradients: MapTree<P, Tensor>, { learningRate, gradientScale = null, copies = null, fp8 }: AdamWStep): void {
    const others = fp8 === undefined ? 0 : fp8.size - this.#params.filter((param) => fp8.has(param)).length;
    if (others > 0) throw new UsageError(`adamw: expected parameters of this optimizer as keys of fp8, got ${others} other tensors`);
    this.steps++;
    const { weightDecay, ...options } = this.options;
    const [g, m, v] = [gradients, this.mean, this.variance].map((tree) => leavesOf(tree));
    const c = copies === null ? null : leavesOf(copies);
    const parameters = this.#params.map((param, i): AdamWParameter => ({
      param, gradient: g![i]!.tensor, mean: m![i]!.tensor, variance: v![i]!.tensor, copy: c?.[i]!.tensor ?? null, fp8: fp8?.get(param) ?? null,
      weightDecay: param.shape.length >= 2 ? weightDecay : 0,
    }));
    adamw(parameters, gradientScale, { ...options, learningRate, step: this.steps });
  }

  [Symbol.dispose](): void {
    disposeTree([this.mean, this.variance]);
  }
}
