import { formatShape, Tensor, type Shape } from "@danu/tensor";

import type { Shared } from "./collective.ts";
import { CollectiveError } from "./errors.ts";

/** What a rank asks for. */
export interface Call {
  /** With everything that must be the same on all ranks but the values: `broadcast from rank 0`. */
  readonly name: string;
  readonly values: readonly Shared[];
}

/** Element type of a value; `f64` for numbers of the host. */
export function typeOf(value: Shared): string {
  return value instanceof Tensor ? value.dtype : "f64";
}

/** Type and shape, as messages print them. */
export function describe(value: Shared): string {
  const shape: Shape = value instanceof Tensor ? value.shape : [value.length];
  return `${typeOf(value)} ${formatShape(shape)}`;
}

/** @throws CollectiveError when the calls of two ranks are not the same */
export function checkSame(rank: number, call: Call, otherRank: number, other: Call): void {
  const fail = (what: string): never => {
    throw new CollectiveError(`${what}; all ranks must make the same calls, in the same order, with the same shapes`, otherRank);
  };
  const { name, values } = call;
  if (other.name !== name) fail(`rank ${rank} called ${name} where rank ${otherRank} called ${other.name}`);
  if (other.values.length !== values.length) {
    fail(`${name}: rank ${rank} gave ${values.length} values, rank ${otherRank} ${other.values.length}`);
  }
  values.forEach((value, i) => {
    const [expected, got] = [describe(value), describe(other.values[i]!)];
    if (got !== expected) fail(`${name}: value ${i + 1} is ${expected} on rank ${rank}, ${got} on rank ${otherRank}`);
  });
}
