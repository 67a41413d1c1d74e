import { exp, mul, neg, sigmoid, sub } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, scores } from "../pairs.ts";
import { diverging, temperature } from "../parameters.ts";
import { logSigmoid } from "../stable.ts";

type Names = "beta" | "referenceFree" | "divergence" | "divergenceAlpha" | "temperature";

/** Discovered preference optimisation, the log-ratio modulated loss: with `u = βΔ`,
 *  `−log σ(u) (1 − σ(u/τ)) + e⁻ᵘ σ(u/τ)`. Lu et al. 2024, eq. 5. */
export const discopopLoss: PreferenceLoss<Names> = defineLoss({
  name: "discopop",
  summary: "Discovered preference optimisation (DiscoPOP): logistic for wrong margins, exponential for right ones.",
  formula: "−log σ(u)(1 − σ(u/τ)) + e⁻ᵘ σ(u/τ), u = βΔ",
  source: "Lu et al. 2024",
  parameters: { ...diverging, temperature },
  losses: (pairs, parameters, name) => {
    const u = mul(difference(scores(name, pairs, parameters)), parameters.beta);
    const modulation = mul(u, 1 / parameters.temperature);
    // The product e⁻ᵘ σ(u/τ) as one exponential, for e⁻ᵘ overflows where σ(u/τ) vanishes.
    return sub(exp(sub(logSigmoid(modulation), u)), mul(logSigmoid(u), sigmoid(neg(modulation))));
  },
});
