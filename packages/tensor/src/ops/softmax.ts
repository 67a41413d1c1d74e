import type { Tensor } from "../tensor.ts";
import { add } from "./add.ts";
import { div } from "./div.ts";
import { exp } from "./exp.ts";
import { full } from "./full.ts";
import { lessEqual } from "./less-equal.ts";
import { log } from "./log.ts";
import { max } from "./max.ts";
import { stopGradient } from "./stop-gradient.ts";
import { sub } from "./sub.ts";
import { sum } from "./sum.ts";
import { abs } from "./abs.ts";
import { where } from "./where.ts";

/** The largest element along the last axis as a constant, 0 where it is infinite, so that subtracting it is safe. */
function pivot(x: Tensor): Tensor {
  const top = stopGradient(max(x, { axis: -1, keepDims: true }));
  const zero = full(x.device, [], 0, x.dtype);
  return where(lessEqual(full(x.device, [], Infinity, x.dtype), abs(top)), zero, top);
}

/** `e^x / Σ e^x` over the last axis; rows of −∞ alone give NaN. */
export function softmax(x: Tensor): Tensor {
  const e = exp(sub(x, pivot(x)));
  return div(e, sum(e, { axis: -1, keepDims: true }));
}

/** `log Σ e^x` over the last axis, which is kept with size 1. */
export function logSumExp(x: Tensor): Tensor {
  const top = pivot(x);
  return add(log(sum(exp(sub(x, top)), { axis: -1, keepDims: true })), top);
}

/** `x − log Σ e^x` over the last axis. */
export function logSoftmax(x: Tensor): Tensor {
  return sub(x, logSumExp(x));
}
