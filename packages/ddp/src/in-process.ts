import { UsageError } from "@danu/tensor";

import type { Collective, Reduction, Shared } from "./collective.ts";
import { Group } from "./group.ts";
import { allReduceThroughHost, broadcastThroughHost } from "./through-host.ts";

/** Settings of ranks that meet on the host. */
export interface InProcessOptions {
  /** Bytes of a rank's tensors that are on the host at a time; 25 MiB by default, as in Li et al. 2020. */
  readonly bucketBytes?: number;
}

/** Ranks that are concurrent functions of one process, each with tensors on a device of its own: several GPUs, or the parts
 *  of a CPU. Sums are taken on the host, in f64 in the order of ranks, and rounded once; see `runRanks`.
 *  @returns one link a rank, in their order  @throws UsageError when `size` is not a number of ranks */
export function inProcess(size: number, { bucketBytes = 25 * 2 ** 20 }: InProcessOptions = {}): Collective[] {
  if (!Number.isInteger(size) || size < 1) throw new UsageError(`inProcess: expected a whole number of ranks from 1 on, got ${size}`);
  const group = new Group(size);
  return Array.from({ length: size }, (_, rank) => new InProcessRank(group, rank, size, bucketBytes));
}

class InProcessRank implements Collective {
  readonly rank: number;
  readonly size: number;
  readonly #group: Group;
  readonly #bucketBytes: number;

  constructor(group: Group, rank: number, size: number, bucketBytes: number) {
    this.#group = group;
    this.rank = rank;
    this.size = size;
    this.#bucketBytes = bucketBytes;
  }

  allReduce(values: readonly Shared[], reduction: Reduction = "sum"): Promise<void> {
    return this.#group.call(this.rank, {
      name: `allReduce (${reduction})`, values, carryOut: (ranks) => allReduceThroughHost(ranks, reduction, this.#bucketBytes),
    });
  }

  broadcast(values: readonly Shared[], root = 0): Promise<void> {
    return this.#group.call(this.rank, {
      name: `broadcast from rank ${root}`, values, carryOut: (ranks) => broadcastThroughHost(ranks, root, this.#bucketBytes),
    });
  }

  barrier(): Promise<void> {
    return this.#group.call(this.rank, { name: "barrier", values: [], carryOut: async () => undefined });
  }

  leave(reason?: unknown): void {
    this.#group.leave(this.rank, reason);
  }
}
