import { add, mul, sub } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { logRatios } from "../pairs.ts";
import { compared } from "../parameters.ts";

/** Self-play preference optimisation with win probabilities 1 and 0: `(s_c − 1/(2β))² + (s_r + 1/(2β))²`, the paper's
 *  η being 1/β. Wu et al. 2024, eq. 4.7. */
export const sppoHardLoss: PreferenceLoss<"beta" | "referenceFree"> = defineLoss({
  name: "sppo_hard",
  summary: "Self-play preference optimisation (SPPO): pulls each log-ratio to a target of its own.",
  formula: "(s_c − 1/(2β))² + (s_r + 1/(2β))²",
  source: "Wu et al. 2024",
  parameters: compared,
  losses: (pairs, parameters, name) => {
    const { chosen, rejected } = logRatios(name, pairs, parameters);
    const target = 0.5 / parameters.beta;
    const [c, r] = [sub(chosen, target), add(rejected, target)];
    return add(mul(c, c), mul(r, r));
  },
});
