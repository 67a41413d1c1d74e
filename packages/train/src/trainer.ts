import { AdamW, clipScale, type AdamWOptions } from "@danu/optim";
import {
  accumulateGrad, addInto, assign, cast, disposeTree, keep, leavesOf, mapTree, scope, Tensor, UsageError, valueAndGrad,
  type DType, type MapTree,
} from "@danu/tensor";

import { NonFiniteError } from "./errors.ts";

/** What a trainer needs to know of the model and its data. */
export interface TrainerOptions<P, B> {
  /** Master weights, f32, which the trainer takes over and updates in place. */
  readonly params: P;
  /** Element type of the weights and activations of the forward pass; optimizer and master weights stay f32. */
  readonly computeDtype: DType;
  /** `scale` times the summed loss of a micro-batch, f32 `[]`. */
  readonly loss: (params: P, batch: B, scale: number) => Tensor;
  /** Tokens of a micro-batch that carry loss. */
  readonly tokens: (batch: B) => number;
  readonly optimizer?: AdamWOptions;
  /** Global gradient norm above which gradients are scaled down; Infinity for never. */
  readonly maxGradientNorm?: number;
}

/** What one optimizer step did. */
export interface StepResult {
  /** Mean loss over the step's tokens, before the update, in nats per token. */
  readonly loss: number;
  /** Global norm before clipping. */
  readonly gradientNorm: number;
  /** Tokens that carried loss. */
  readonly tokens: number;
}

/** Owns weights and optimizer state and takes optimizer steps: forward, backward, accumulate, clip, update.
 *
 *  The loss is normalised by the tokens of all micro-batches of the step together, so that splitting a batch changes
 *  nothing. In low precision the forward pass reads copies of the weights that the optimizer refreshes. */
export class Trainer<P, B> implements Disposable {
  /** Master weights, f32. */
  readonly params: P;
  /** The weights of the forward pass: the master weights themselves, or copies in `computeDtype`. */
  readonly compute: P;
  readonly optimizer: AdamW<P>;
  readonly #options: TrainerOptions<P, B>;
  readonly #maxGradientNorm: number;

  constructor(options: TrainerOptions<P, B>) {
    this.#options = options;
    this.#maxGradientNorm = options.maxGradientNorm ?? 1;
    this.params = keep(options.params);
    this.compute = options.computeDtype === "f32"
      ? this.params
      : mapTree(this.params, (p) => keep(Tensor.empty(p.device, p.shape, options.computeDtype))) as P;
    this.optimizer = new AdamW(this.params, options.optimizer);
    this.refresh();
  }

  /** Brings the copies up to date after the master weights were written from outside. */
  refresh(): void {
    if (this.compute === this.params) return;
    const masters = leavesOf(this.params);
    leavesOf(this.compute).forEach(({ tensor }, i) => assign(tensor, masters[i]!.tensor));
  }

  /** Takes one optimizer step over the micro-batches of a batch. A batch without a trained token has loss 0.
   *  @throws NonFiniteError when loss or gradient are not finite; the weights are then as before */
  async step(batches: readonly B[], learningRate: number): Promise<StepResult> {
    const tokens = this.#countTokens(batches);
    const { loss, norm } = scope(() => this.#enqueueStep(batches, tokens, learningRate));
    const result = await this.#read(loss, norm, tokens);
    if (!Number.isFinite(result.loss) || !Number.isFinite(result.gradientNorm)) {
      this.optimizer.steps--;
      throw new NonFiniteError(result.loss, result.gradientNorm);
    }
    return result;
  }

  /** Mean loss over batches, in nats per token, without an update. */
  async evaluate(batches: Iterable<B>): Promise<number> {
    let [total, tokens] = [0, 0];
    for (const batch of batches) {
      const loss = scope(() => this.#options.loss(this.compute, batch, 1));
      total += await loss.item();
      tokens += this.#options.tokens(batch);
      loss.dispose();
    }
    return tokens === 0 ? 0 : total / tokens;
  }

  [Symbol.dispose](): void {
    this.optimizer[Symbol.dispose]();
    if (this.compute !== this.params) disposeTree(this.compute);
    disposeTree(this.params);
  }

  async #read(loss: Tensor, norm: Tensor, tokens: number): Promise<StepResult> {
    try {
      return { loss: await loss.item(), gradientNorm: await norm.item(), tokens };
    } finally {
      disposeTree([loss, norm]);
    }
  }

  #countTokens(batches: readonly B[]): number {
    return batches.reduce((sum, batch) => sum + this.#options.tokens(batch), 0);
  }

  #enqueueStep(batches: readonly B[], tokens: number, learningRate: number): { loss: Tensor; norm: Tensor } {
    const scale = tokens === 0 ? 0 : 1 / tokens;
    const { loss, gradients } = this.#accumulate(batches, scale);
    const { norm, scale: gradientScale } = clipScale(leavesOf(gradients).map((leaf) => leaf.tensor), this.#maxGradientNorm);
    const copies = this.compute === this.params ? null : this.compute;
    this.optimizer.step(gradients, { learningRate, gradientScale, copies });
    return { loss, norm };
  }

  #accumulate(batches: readonly B[], scale: number): { loss: Tensor; gradients: MapTree<P, Tensor> } {
    const [first, ...others] = batches;
    if (first === undefined) throw new UsageError("trainer: expected at least one micro-batch, got none");
    const [loss, raw] = scope(() => valueAndGrad(this.#options.loss)(this.compute, first, scale));
    const gradients = mapTree(raw, (g) => cast(g, "f32")) as unknown as MapTree<P, Tensor>;
    for (const batch of others) {
      scope(() => addInto(loss, accumulateGrad(this.#options.loss)(gradients, this.compute, batch, scale)));
    }
    return { loss, gradients };
  }
}
