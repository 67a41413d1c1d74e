import { maximum, mul, sub } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, scores } from "../pairs.ts";
import { diverging } from "../parameters.ts";

/** Hinge loss on the margin: `max(0, 1 − βΔ)`. Zhao et al. 2023 (SLiC-HF); with a reference Liu et al. 2023 (RSO).
 *  The gradient at the kink is 0. */
export const hingeLoss: PreferenceLoss<"beta" | "referenceFree" | "divergence" | "divergenceAlpha"> = defineLoss({
  name: "hinge",
  summary: "Hinge loss: pairs whose margin is large enough no longer count.",
  formula: "max(0, 1 − βΔ)",
  source: "Zhao et al. 2023 (SLiC-HF)",
  parameters: diverging,
  losses: (pairs, parameters, name) =>
    maximum(sub(1, mul(difference(scores(name, pairs, parameters)), parameters.beta)), 0),
});
