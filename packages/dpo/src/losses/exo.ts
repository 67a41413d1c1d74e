import { add, mul, neg, sigmoid, sub } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, scores } from "../pairs.ts";
import { diverging, labelSmoothing } from "../parameters.ts";
import { logSigmoid } from "../stable.ts";

type Names = "beta" | "referenceFree" | "divergence" | "divergenceAlpha" | "labelSmoothing";

/** Efficient exact optimisation, the reverse KL divergence from smoothed labels:
 *  `σ(βΔ)(log σ(βΔ) − log(1 − ε)) + σ(−βΔ)(log σ(−βΔ) − log ε)`. Ji et al. 2024, eq. 16, with their ε = 0.001. */
export const exoPairLoss: PreferenceLoss<Names> = defineLoss({
  name: "exo_pair",
  summary: "Efficient exact optimisation (EXO): the reverse KL divergence from smoothed labels.",
  formula: "σ(βΔ)(log σ(βΔ) − log(1−ε)) + σ(−βΔ)(log σ(−βΔ) − log ε)",
  source: "Ji et al. 2024",
  parameters: {
    ...diverging,
    labelSmoothing: {
      ...labelSmoothing,
      default: 1e-3,
      expected: "a number between 0 and 0.5, both excluded",
      accepts: (value) => labelSmoothing.accepts(value) && value !== 0,
    },
  },
  losses: (pairs, parameters, name) => {
    const x = mul(difference(scores(name, pairs, parameters)), parameters.beta);
    const y = neg(x);
    const epsilon = parameters.labelSmoothing;
    return add(
      mul(sigmoid(x), sub(logSigmoid(x), Math.log1p(-epsilon))),
      mul(sigmoid(y), sub(logSigmoid(y), Math.log(epsilon))),
    );
  },
});
