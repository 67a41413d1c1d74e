import { mul, sub } from "@danu/tensor";

import { ascending } from "../ascending.ts";
import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { difference, logRatios, required } from "../pairs.ts";
import { compared, labelSmoothing } from "../parameters.ts";
import { smoothedLogistic } from "./noisy-labels.ts";

const noSmoothing = { ...labelSmoothing, default: 0 };

/** Alignment by optimal transport on pairs: with `δ = sort(log π_c − log π_r) − sort(log ref_c − log ref_r)` over the
 *  batch, `−(1 − ε) log σ(βδ) − ε log σ(−βδ)`. Melnyk et al. 2024. Rows of the result are quantiles, not pairs. */
export const aotLoss: PreferenceLoss<"beta" | "referenceFree" | "labelSmoothing"> = defineLoss({
  name: "aot",
  summary: "Alignment by optimal transport (AOT): the policy's margins dominate the reference's, quantile by quantile.",
  formula: "−(1−ε) log σ(βδ) − ε log σ(−βδ), δ = sort(log π_c − log π_r) − sort(log ref_c − log ref_r)",
  source: "Melnyk et al. 2024",
  weighted: false,
  parameters: { ...compared, labelSmoothing: noSmoothing },
  losses: (pairs, { beta, referenceFree, labelSmoothing: epsilon }, name) => {
    const policy = ascending(difference(pairs));
    if (referenceFree) return smoothedLogistic(mul(policy, beta), epsilon);
    const hint = "give the reference's log-probabilities, or set referenceFree";
    const reference = ascending(
      sub(required(name, pairs, "referenceChosen", hint), required(name, pairs, "referenceRejected", hint)),
    );
    return smoothedLogistic(mul(sub(policy, reference), beta), epsilon);
  },
});

/** Alignment by optimal transport without pairs: as `aot` with `δ = sort(s_c) − sort(s_r)`. Melnyk et al. 2024. */
export const aotUnpairedLoss: PreferenceLoss<"beta" | "referenceFree" | "labelSmoothing"> = defineLoss({
  name: "aot_unpaired",
  summary: "Alignment by optimal transport of all chosen over all rejected answers, whichever belong together.",
  formula: "−(1−ε) log σ(βδ) − ε log σ(−βδ), δ = sort(s_c) − sort(s_r)",
  source: "Melnyk et al. 2024",
  weighted: false,
  parameters: { ...compared, labelSmoothing: noSmoothing },
  losses: (pairs, parameters, name) => {
    const { chosen, rejected } = logRatios(name, pairs, parameters);
    return smoothedLogistic(
      mul(sub(ascending(chosen), ascending(rejected)), parameters.beta),
      parameters.labelSmoothing,
    );
  },
});
