import type { Collective } from "@danu/ddp";
import { AdamW, clipScale, type AdamWOptions } from "@danu/optim";
import {
  accumulateGrad, addInto, assign, cast, disposeTree, keep, leavesOf, mapTree, scope, Tensor, tensorsIn, UsageError, valueAndGrad,
  type DType, type Fp8Place, type MapTree,
} from "@danu/tensor";

import { NonFiniteError } from "./errors.ts";
import { RepeatedPasses } from "./repeated-passes.ts";

/** A loss with more to be known of the same pass, which no gradient flows through. */
export interface MeasuredLoss {
  /** As a loss alone. */
  readonly loss: Tensor;
  /** By name, `scale` times a sum over the micro-batch, f32 `[]` each; the same names for every micro-batch. */
  readonly metrics: Readonly<Record<string, Tensor>>;
}

/** Means over some data. */
export interface Evaluation {
  /** In nats per token, or per whatever else the loss is a mean over. */
  readonly loss: number;
  /** Means of the metrics that the loss gives, by name. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** What a trainer needs to know of the model and its data. */
export interface TrainerOptions<P, B> {
  /** Master weights, f32, which the trainer takes over and updates in place. */
  readonly params: P;
  /** Element type of the weights and activations of the forward pass; optimizer and master weights stay f32. */
  readonly computeDtype: DType;
  /** `scale` times the summed loss of a micro-batch, f32 `[]`, alone or with what else is to be known of it.
   *  `training` is false where it is only measured: what a step changes must then stay as it is. */
  readonly loss: (params: P, batch: B, scale: number, training: boolean) => Tensor | MeasuredLoss;
  /** Tokens of a micro-batch that carry loss, or whatever else the loss is a mean over. */
  readonly tokens: (batch: B) => number;
  /** What the loss of a micro-batch depends on beside the values of its tensors, or null for what is another each time; without
   *  it no two are alike. Passes over batches that are alike are captured once by devices that can, and repeated: such a loss
   *  takes no values from JavaScript, and does the same from the second step on. */
  readonly alike?: (batch: B) => string | null;
  readonly optimizer?: AdamWOptions;
  /** Global gradient norm above which gradients are scaled down; Infinity for never. */
  readonly maxGradientNorm?: number;
  /** What else a step changes and a checkpoint keeps; the trainer takes it over. */
  readonly extra?: ExtraState<P>;
  /** Joins this trainer with those of other ranks; without it there are none. Every rank takes the same steps and
   *  evaluations, each over its share of the micro-batches, which is at least one. */
  readonly collective?: Collective;
}

/** State beside weights and optimizer that a loss writes to, such as the scalings of fp8, and what follows from the weights. */
export interface ExtraState<P> extends Disposable {
  /** A tree of f32 tensors. What a step leaves in them becomes the maximum over all ranks. */
  readonly tensors: unknown;
  /** Enqueues what follows from master weights that were written from outside. @param steps taken so far */
  refresh(params: P, steps: number): void;
  /** Enqueues what is due between the passes of a step and its update.
   *  @returns weights that the update also writes in fp8, each with where to */
  beforeUpdate(params: P): ReadonlyMap<Tensor, Fp8Place>;
}

/** What one optimizer step did; loss and metrics are means over the step's tokens, before the update. */
export interface StepResult extends Evaluation {
  /** Global norm before clipping. */
  readonly gradientNorm: number;
  /** Tokens that carried loss, of all ranks. */
  readonly tokens: number;
}

/** What the passes of a step make. */
interface StepPasses<P> {
  readonly losses: { readonly loss: Tensor; readonly metrics: Readonly<Record<string, Tensor>> };
  readonly gradients: MapTree<P, Tensor>;
}

/** Owns weights and optimizer state and takes optimizer steps: forward, backward, accumulate, clip, update.
 *
 *  The loss is normalised by the tokens of all micro-batches of the step together, on all ranks, so that splitting a batch
 *  changes nothing. In low precision the forward pass reads copies of the weights that the optimizer refreshes.
 *
 *  Ranks start from the state of rank 0: the first step or evaluation, and the first after `refresh`, gets it from there. So
 *  no rank can go its own way unseen, and it is enough that rank 0 reads a checkpoint. */
export class Trainer<P, B> implements Disposable {
  /** Master weights, f32. */
  readonly params: P;
  /** The weights of the forward pass: the master weights themselves, or copies in `computeDtype`. */
  readonly compute: P;
  readonly optimizer: AdamW<P>;
  readonly #options: TrainerOptions<P, B>;
  readonly #maxGradientNorm: number;
  readonly #extra: ExtraState<P> | null;
  readonly #collective: Collective | null;
  readonly #passes = new RepeatedPasses<B, StepPasses<P>>((batches, scale) => this.#accumulate(batches, scale));
  /** Whether the state is known to be that of rank 0. */
  #agreed = false;

  constructor(options: TrainerOptions<P, B>) {
    this.#options = options;
    this.#maxGradientNorm = options.maxGradientNorm ?? 1;
    this.#extra = options.extra ?? null;
    this.#collective = options.collective ?? null;
    this.params = keep(options.params);
    this.compute = options.computeDtype === "f32"
      ? this.params
      : mapTree(this.params, (p) => keep(Tensor.empty(p.device, p.shape, options.computeDtype))) as P;
    this.optimizer = new AdamW(this.params, options.optimizer);
    this.refresh();
  }

  /** What a checkpoint keeps beside weights and optimizer, as a tree; empty for nothing. */
  get extra(): unknown {
    return this.#extra?.tensors ?? {};
  }

  /** Brings the copies up to date after the master weights were written from outside. */
  refresh(): void {
    this.#agreed = this.#collective === null;
    this.#extra?.refresh(this.params, this.optimizer.steps);
    if (this.compute === this.params) return;
    const masters = leavesOf(this.params);
    leavesOf(this.compute).forEach(({ tensor }, i) => assign(tensor, masters[i]!.tensor));
  }

  /** Takes one optimizer step over the micro-batches of a batch. A batch without a trained token has loss 0.
   *  @throws NonFiniteError when loss or gradient are not finite; the weights are then as before */
  async step(batches: readonly B[], learningRate: number): Promise<StepResult> {
    if (!this.#agreed) await this.#agree();
    const counted = Float64Array.of(batches.reduce((sum, batch) => sum + this.#options.tokens(batch), 0));
    if (this.#collective !== null) await this.#collective.allReduce([counted]);
    const tokens = counted[0]!;
    const { losses, norm } = await this.#enqueueStep(batches, tokens, learningRate);
    const result = await this.#read(losses, norm, tokens);
    if (!Number.isFinite(result.loss) || !Number.isFinite(result.gradientNorm)) {
      this.optimizer.steps--;
      throw new NonFiniteError(result.loss, result.gradientNorm);
    }
    return result;
  }

  /** Mean loss and metrics over the batches of all ranks, without an update; 0 and none without a token that carries loss. */
  async evaluate(batches: Iterable<B>): Promise<Evaluation> {
    if (!this.#agreed) await this.#agree();
    let [loss, tokens, count] = [0, 0, 0];
    const metrics: Record<string, number> = {};
    for (const batch of batches) {
      const sums = scope(() => measured(this.#options.loss(this.compute, batch, 1, false)));
      try {
        loss += await sums.loss.item();
        for (const [name, sum] of Object.entries(sums.metrics)) metrics[name] = (metrics[name] ?? 0) + await sum.item();
      } finally {
        disposeTree(sums);
      }
      tokens += this.#options.tokens(batch);
      count++;
    }
    const sums = Float64Array.of(tokens, loss, ...Object.values(metrics));
    if (this.#collective !== null) {
      if (count === 0) throw new UsageError("trainer: expected at least one batch to evaluate on every rank, got none");
      await this.#collective.allReduce([sums]);
    }
    if (sums[0] === 0) return { loss: 0, metrics: {} };
    const [mean, ...means] = Array.from(sums.subarray(1), (sum) => sum / sums[0]!);
    return { loss: mean!, metrics: Object.fromEntries(Object.keys(metrics).map((name, i) => [name, means[i]!])) };
  }

  [Symbol.dispose](): void {
    this.#passes[Symbol.dispose]();
    this.optimizer[Symbol.dispose]();
    this.#extra?.[Symbol.dispose]();
    if (this.compute !== this.params) disposeTree(this.compute);
    disposeTree(this.params);
  }

  async #read(sums: MeasuredLoss, norm: Tensor, tokens: number): Promise<StepResult> {
    try {
      const metrics: Record<string, number> = {};
      for (const [name, sum] of Object.entries(sums.metrics)) metrics[name] = await sum.item();
      return { loss: await sums.loss.item(), metrics, gradientNorm: await norm.item(), tokens };
    } finally {
      disposeTree([sums, norm]);
    }
  }

  /** Takes over the state of rank 0. */
  async #agree(): Promise<void> {
    const { mean, variance, steps } = this.optimizer;
    const counted = Float64Array.of(steps);
    const tensors = leavesOf([this.params, mean, variance, this.extra]).map((leaf) => leaf.tensor);
    await this.#collective!.broadcast([...tensors, counted]);
    this.optimizer.steps = counted[0]!;
    this.refresh();
    this.#agreed = true;
  }

  /** Passes and update. Alone it enqueues all of it at once; with other ranks it waits for their gradients in between. */
  async #enqueueStep(batches: readonly B[], tokens: number, learningRate: number): Promise<{ losses: MeasuredLoss; norm: Tensor }> {
    const { losses, gradients } = scope(() => this.#passes.run(batches, tokens === 0 ? 0 : 1 / tokens, this.#alike(batches)));
    try {
      if (this.#collective !== null) {
        await this.#collective.allReduce(tensorsIn([gradients, losses]));
        if (this.#extra !== null) await this.#collective.allReduce(tensorsIn(this.extra), "max");
      }
      return { losses, norm: scope(() => this.#update(gradients, learningRate)) };
    } catch (error) {
      disposeTree(losses);
      throw error;
    } finally {
      disposeTree(gradients);
    }
  }

  /** @returns the global norm before clipping */
  #update(gradients: MapTree<P, Tensor>, learningRate: number): Tensor {
    const { norm, scale } = clipScale(leavesOf(gradients).map((leaf) => leaf.tensor), this.#maxGradientNorm);
    const copies = this.compute === this.params ? null : this.compute;
    const fp8 = this.#extra?.beforeUpdate(this.params);
    this.optimizer.step(gradients, { learningRate, gradientScale: scale, copies, ...(fp8 === undefined ? {} : { fp8 }) });
    return norm;
  }

  #alike(batches: readonly B[]): string | null {
    const each = batches.map((batch) => this.#options.alike?.(batch) ?? null);
    return each.includes(null) ? null : JSON.stringify([this.optimizer.steps === 0, each]);
  }

  #accumulate(batches: readonly B[], scale: number): StepPasses<P> {
    const [first, ...others] = batches;
    if (first === undefined) throw new UsageError("trainer: expected at least one micro-batch, got none");
    const { result: [loss, raw], metrics } = this.#measuring((f) => scope(() => valueAndGrad(f)(this.compute, first, scale)));
    try {
      const gradients = mapTree(raw, (g) => cast(g, "f32")) as unknown as MapTree<P, Tensor>;
      for (const batch of others) {
        const more = this.#measuring((f) => scope(() => {
          addInto(loss, accumulateGrad(f)(gradients, this.compute, batch, scale));
        }));
        for (const [name, sum] of Object.entries(more.metrics)) addInto(metrics[name]!, sum);
        disposeTree(more.metrics);
      }
      return { losses: { loss, metrics }, gradients };
    } catch (error) {
      disposeTree(metrics);
      throw error;
    }
  }

  /** Differentiates the loss and catches the metrics that come with it, which belong to the caller. */
  #measuring<R>(
    differentiate: (loss: (params: P, batch: B, scale: number) => Tensor) => R,
  ): { readonly result: R; readonly metrics: Readonly<Record<string, Tensor>> } {
    let metrics: Readonly<Record<string, Tensor>> = {};
    try {
      const result = differentiate((params, batch, scale) => {
        const value = measured(this.#options.loss(params, batch, scale, true));
        metrics = keep(value.metrics);
        return value.loss;
      });
      return { result, metrics };
    } catch (error) {
      disposeTree(metrics);
      throw error;
    }
  }
}

function measured(loss: Tensor | MeasuredLoss): MeasuredLoss {
  return loss instanceof Tensor ? { loss, metrics: {} } : loss;
}
