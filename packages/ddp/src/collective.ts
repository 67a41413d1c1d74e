import type { Tensor } from "@danu/tensor";

/** What ranks share: a tensor on the device of its rank, or numbers on the host, such as counts. */
export type Shared = Tensor | Float64Array;

/** How the values of all ranks become one. A maximum need not notice a NaN. */
export type Reduction = "sum" | "max";

/** The link of one rank to the others that work on the same thing, each on a device of its own.
 *
 *  All ranks make the same calls in the same order with values of the same types and shapes, and calls of one rank are
 *  carried out in that order. When a call resolves, host numbers are there, and whatever is enqueued on the tensors from
 *  then on sees the result; a device may still be at work on it.
 *
 *  A rank that calls something else, leaves or fails ends it for all: every call that waits, and every later one, rejects
 *  with the same CollectiveError, and the values of that call are undefined. */
export interface Collective {
  /** From 0 to `size` − 1. */
  readonly rank: number;
  /** Number of ranks. */
  readonly size: number;
  /** Overwrites values with their sum or maximum over all ranks: the same bits on every rank, and the same again for the
   *  same values, whatever the timing.
   *  @param values f32 tensors and f64 numbers  @throws CollectiveError */
  allReduce(values: readonly Shared[], reduction?: Reduction): Promise<void>;
  /** Overwrites values with those of one rank.
   *  @param values of any types  @param root rank whose values all get, 0 by default  @throws CollectiveError */
  broadcast(values: readonly Shared[], root?: number): Promise<void>;
  /** Waits until all ranks are here. @throws CollectiveError */
  barrier(): Promise<void>;
  /** Ends the part of this rank, so that no other waits for it. @param reason what it failed by, for their errors */
  leave(reason?: unknown): void;
}
