import { add, div, minimum, mul, neg, type Tensor } from "@danu/tensor";

import { expMinusOne, logSigmoid } from "./stable.ts";

/** Name of an f-divergence. */
export type Divergence = "reverse_kl" | "forward_kl" | "js_divergence" | "alpha_divergence";

/** Larger exponents are cut, with gradient 0 beyond: e⁸⁰ is the last even tenth that f32 can still multiply. */
const largestExponent = 80;

/** `f′(t)` of every divergence `Σ π_ref f(π / π_ref)`, as a function of `log t`; 0 at t = 1. */
export const divergences: Readonly<Record<Divergence, (logRatio: Tensor, alpha: number) => Tensor>> = {
  reverse_kl: (logRatio) => logRatio,
  forward_kl: (logRatio) => neg(expMinusOne(minimum(neg(logRatio), largestExponent))),
  js_divergence: (logRatio) => add(logSigmoid(logRatio), Math.LN2),
  alpha_divergence: (logRatio, alpha) => {
    const power = alpha - 1;
    if (power === 0) return logRatio;
    return div(expMinusOne(minimum(mul(logRatio, power), largestExponent)), power);
  },
};
