import { add, mul } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference } from "../pairs.ts";
import { beta, labelSmoothing, weight } from "../parameters.ts";
import { smoothedLogistic } from "./noisy-labels.ts";
import { supervised } from "./supervised.ts";

/** Contrastive preference optimisation: `−log σ(β(log π_c − log π_r)) + λ · (supervised loss of chosen)`, optionally
 *  with label smoothing. Xu et al. 2024, eq. 3 and 5. */
export const cpoLoss: PreferenceLoss<"beta" | "labelSmoothing" | "supervisedWeight"> = defineLoss({
  name: "cpo",
  summary: "Contrastive preference optimisation (CPO): DPO without a reference, held by a supervised term.",
  formula: "−log σ(β(log π_c − log π_r)) + λ · sft",
  source: "Xu et al. 2024",
  needs: { lengths: true },
  parameters: {
    beta,
    labelSmoothing: { ...labelSmoothing, default: 0 },
    supervisedWeight: weight("λ, weight of the supervised loss"),
  },
  losses: (pairs, parameters, name) => {
    const preference = smoothedLogistic(mul(difference(pairs), parameters.beta), parameters.labelSmoothing);
    if (parameters.supervisedWeight === 0) return preference;
    return add(preference, mul(supervised(name, pairs), parameters.supervisedWeight));
  },
});
