import { Tensor, type Values } from "@danu/tensor";

import { bucketsOf, readBucket, writeBucket, type Bucket } from "./buckets.ts";
import { describe } from "./call.ts";
import type { Reduction, Shared } from "./collective.ts";
import { CollectiveError, messageOf } from "./errors.ts";

/** The values of every rank, in the order of ranks; those of one rank have the types and shapes of all others. */
type Ranks = readonly (readonly Shared[])[];

/** Sums or maxima over ranks, taken rank by rank in f64 on the host and rounded once. @param bytes of a bucket */
export async function allReduceThroughHost(ranks: Ranks, reduction: Reduction, bytes: number): Promise<void> {
  for (const value of ranks[0]!) {
    if (value instanceof Tensor && value.dtype !== "f32") {
      throw new CollectiveError(`allReduce: expected f32 tensors and f64 numbers, got ${describe(value)}; cast it to f32`, null);
    }
  }
  await bucketByBucket(ranks, bytes, async (bucket) => {
    const reduced = reduce(await onEveryRank(ranks, (values) => readBucket(values, bucket)), reduction);
    await onEveryRank(ranks, (values) => writeBucket(values, bucket, reduced));
  });
}

/** Copies the values of one rank to all others. @param bytes of a bucket */
export async function broadcastThroughHost(ranks: Ranks, root: number, bytes: number): Promise<void> {
  if (ranks[root] === undefined) {
    throw new CollectiveError(`broadcast: expected a root from 0 to ${ranks.length - 1}, got ${root}`, null);
  }
  await bucketByBucket(ranks, bytes, async (bucket) => {
    let elements: Values | null = null;
    await onEveryRank(ranks, async (values, rank) => { if (rank === root) elements = await readBucket(values, bucket); });
    await onEveryRank(ranks, (values, rank) => { if (rank !== root) writeBucket(values, bucket, elements!); });
  });
}

async function bucketByBucket(ranks: Ranks, bytes: number, share: (bucket: Bucket) => Promise<void>): Promise<void> {
  if (ranks.length === 1) return;
  for (const bucket of bucketsOf(ranks[0]!, bytes)) await share(bucket);
}

/** Does the same for every rank, and waits for all of them though one fails. @throws CollectiveError that names it */
async function onEveryRank<T>(ranks: Ranks, work: (values: readonly Shared[], rank: number) => T | Promise<T>): Promise<T[]> {
  const settled = await Promise.allSettled(ranks.map(async (values, rank) => work(values, rank)));
  return settled.map((result, rank) => {
    if (result.status === "fulfilled") return result.value;
    throw new CollectiveError(`rank ${rank} failed: ${messageOf(result.reason)}`, rank, result.reason);
  });
}

function reduce(parts: readonly Values[], reduction: Reduction): Float64Array {
  const result = Float64Array.from(parts[0]!);
  for (const part of parts.slice(1)) {
    if (reduction === "sum") for (let i = 0; i < result.length; i++) result[i]! += part[i]!;
    else for (let i = 0; i < result.length; i++) result[i] = Math.max(result[i]!, part[i]!);
  }
  return result;
}
