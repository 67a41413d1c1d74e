import type { Handle } from "@danu/tensor";

import type { CudaDevice } from "./device.ts";
import { areJoint, type Range } from "./early-starts.ts";
import { EXCHANGE_BYTES, fitsChain, launchChain, mostSteps } from "./kernels/generation/chain.ts";
import type { Memory } from "./memory.ts";

/** What is done to one row: a product, or attention of one position over a cache. */
export interface Step {
  readonly kind: "linear" | "swiglu" | "queryKeyValue" | "attention";
  readonly dtype: "bf16" | "f16";
  /** The row; of attention its queries, keys and values. */
  readonly x: readonly Range[];
  readonly results: readonly Range[];
  /** Weights; of attention keys and values of the cache, which it appends to, and how many of them are stored. */
  readonly weights: readonly Range[];
  readonly norm?: Range;
  readonly residual?: Range;
  readonly angles?: readonly [table: Range, position: Range];
  /** Elements of a linear layer or gated unit; heads otherwise. */
  readonly n: number;
  /** Key-value heads, and channels of a head. */
  readonly G?: number;
  readonly D?: number;
  /** Elements of the row; of attention room of the cache. */
  readonly K: number;
  /** Of a linear layer elements from one row of weights to the next; of angles, positions; of attention, the window. */
  readonly extra?: number;
  /** Parts that the keys of a key-value head are shared out in. */
  readonly parts?: number;
  /** The norm's eps, or the scale of attention. */
  readonly scale?: number;
}

/** Steps of one row on Hopper, one after another in one launch, in which weights never stop coming. They are only noted until a
 *  step cannot follow, or anything else is enqueued; within repeated work alone, whose memory stays meanwhile.
 *
 *  A step begins when all blocks have ended the one before it, whose result it takes: memory that is freed may be used again by a
 *  later step. What a step reads beside that result is read ahead, and so was there before the launch. */
export class Chain {
  readonly #cuda: CudaDevice;
  readonly #memory: Memory;
  readonly #isPossible: boolean;
  #exchange: Handle = 0;
  #steps: Step[] = [];
  #alone = (): void => undefined;

  constructor(cuda: CudaDevice, memory: Memory, isPossible: boolean) {
    this.#cuda = cuda;
    this.#memory = memory;
    this.#isPossible = isPossible;
  }

  /** Enqueues a step, or notes it. @param alone enqueues it by itself, with no memory of its own where it is a product */
  add(step: Step, alone: () => void): void {
    if (!this.#isPossible || !this.#memory.isWithinArena || !fitsChain(step)) return alone();
    if (!this.#isFollowedBy(step)) this.end();
    if (this.#steps.length === 0) {
      if (step.kind === "attention") return alone();
      this.#reserve();
      this.#alone = alone;
    }
    this.#steps.push(step);
  }

  /** Enqueues what was noted. */
  end(): void {
    const steps = this.#steps;
    this.#steps = [];
    if (steps.length === 0) return;
    // Work of several ops, and later than they.
    this.#cuda.as("", steps.length === 1 ? this.#alone : () => launchChain(this.#cuda, this.#exchange, steps));
  }

  /** Forgets what was noted, with a device that is closed or has failed. */
  forget(): void {
    this.#steps = [];
  }

  #isFollowedBy(step: Step): boolean {
    const last = this.#steps.at(-1);
    if (last === undefined || this.#steps.length === mostSteps) return false;
    const { kind, x, D, weights, norm, angles = [] } = step;
    const isAttention = kind === "attention";
    // Rotated heads go on to their attention alone, and heads of one size to the kernel of their width.
    if (isAttention !== (last.kind === "queryKeyValue")) return false;
    if (D !== undefined && this.#steps.some((other) => other.D !== undefined && other.D !== D)) return false;
    const ahead = [...weights, ...(norm === undefined ? [] : [norm]), ...angles];
    return x.every((row, i) => isSame(row, last.results[i])) && !ahead.some((range) => this.#writerOf(range) !== undefined) && this.#hasResidual(step);
  }

  /** Whether a residual is there before the launch, or was written by the thread that reads it. */
  #hasResidual({ residual }: Step): boolean {
    const writer = residual === undefined ? undefined : this.#writerOf(residual);
    return writer === undefined || (writer.kind === "linear" && isSame(residual!, writer.results[0]));
  }

  /** The last step that writes to memory. */
  #writerOf(range: Range): Step | undefined {
    return this.#steps.findLast((step) => writesOf(step).some((written) => areJoint(written, range)));
  }

  /** Takes memory in which blocks pass on results, once for the device. */
  #reserve(): void {
    if (this.#exchange !== 0) return;
    const exchange = this.#memory.allocateForGood(EXCHANGE_BYTES);
    this.#cuda.fill(exchange, 0, 4, EXCHANGE_BYTES / 4);
    this.#exchange = exchange;
  }
}

function writesOf({ kind, results, weights }: Step): readonly Range[] {
  return kind === "attention" ? [...results, ...weights.slice(0, 2)] : results;
}

function isSame([from, bytes]: Range, other: Range | undefined): boolean {
  return other !== undefined && from === other[0] && bytes === other[1];
}
