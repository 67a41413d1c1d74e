import { type DType } from "@danu/tensor";

import { rounded } from "../host-tensor.ts";
import { ordinals } from "../ulps.ts";
import type { Bound, Slack } from "./case.ts";

const unit = 2 ** -24;
const smallestNormal = 2 ** -126;

/** Asserts that the elements lie within the bound around exact results, and are NaN and infinite where those are.
 *  @param magnitudes the exact results for absolute inputs, needed by the `sum` bound
 *  @throws Error with the worst element */
export function expectWithin(
  name: string,
  dtype: DType,
  actual: ArrayLike<number>,
  exact: ArrayLike<number>,
  bound: Bound,
  magnitudes: ArrayLike<number> | null
): void {
  if (actual.length !== exact.length)
    throw new Error(`${name}: expected ${exact.length} elements, got ${actual.length}`);
  const slack = Float64Array.from(exact, (x, i) =>
    typeof bound === "string" ? 0 : slackOf(bound, x, magnitudes?.[i] ?? 0)
  );
  const low = ordinals(
    dtype,
    Float64Array.from(exact, (x, i) => x - slack[i]!)
  );
  const high = ordinals(
    dtype,
    Float64Array.from(exact, (x, i) => x + slack[i]!)
  );
  const got = ordinals(dtype, actual);
  const steps = typeof bound === "string" ? 0 : bound.steps ?? 0;
  let misses = 0;
  let worst = -1;
  let worstDistance = -1;
  for (let i = 0; i < actual.length; i++) {
    const distance =
      Number.isNaN(exact[i]!) || Number.isNaN(actual[i]!)
        ? holdsNaN(dtype, exact[i]!) === Number.isNaN(actual[i]!)
          ? 0
          : Infinity
        : bound === "bits" && got[i] === 0 && Object.is(actual[i], 0) !== Object.is(rounded(dtype, [exact[i]!])[0], 0)
        ? 1
        : Math.max(low[i]! - got[i]!, got[i]! - high[i]!);
    if (distance <= steps) continue;
    misses++;
    if (distance > worstDistance) [worst, worstDistance] = [i, distance];
  }
  if (misses === 0) return;
  throw new Error(
    `${name}: ${misses} of ${actual.length} ${dtype} elements are out of bounds; worst at index ${worst}: ` +
      `expected ${exact[worst]} ± ${slack[worst]}, got ${actual[worst]}, ${worstDistance} steps of ${dtype} beyond`
  );
}

/** Integers have no NaN. */
function holdsNaN(dtype: DType, exact: number): boolean {
  return Number.isNaN(rounded(dtype, [exact])[0]);
}

function slackOf(
  { relative = 0, sum = 0, absolute = 0, floor = smallestNormal }: Slack,
  exact: number,
  magnitude: number
): number {
  const slack = unit * (relative * Math.abs(exact) + sum * magnitude + absolute) + floor;
  return Number.isFinite(exact) && Number.isFinite(slack) ? slack : 0;
}
