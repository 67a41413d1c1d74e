import {
  add,
  DTypeError,
  formatShape,
  maximum,
  mean,
  mul,
  neg,
  scope,
  ShapeError,
  sigmoid,
  stopGradient,
  sub,
  where,
  type Tensor,
} from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { logRatios, required } from "../pairs.ts";
import { beta, compared, resolveParameters, weight, type LossParameters, type ParametersOf } from "../parameters.ts";

type WeightNames = "desirableWeight" | "undesirableWeight";

const weights: ParametersOf<WeightNames> = {
  desirableWeight: weight("λ_D, weight of desirable examples"),
  undesirableWeight: weight("λ_U, weight of undesirable examples"),
};

/** Kahneman–Tversky optimisation with the two answers of a pair as a desirable and an undesirable example:
 *  `½ λ_D (1 − σ(β(s_c − z))) + ½ λ_U (1 − σ(β(z − s_r)))`, z being the `klEstimate` of the pairs, as a constant.
 *  Ethayarajh et al. 2024, eq. 7. */
export const ktoLoss: PreferenceLoss<"beta" | "referenceFree" | WeightNames> = defineLoss({
  name: "kto",
  summary: "Kahneman–Tversky optimisation (KTO): each answer is good or bad by itself, losses saturate.",
  formula: "½ λ_D (1 − σ(β(s_c − z))) + ½ λ_U (1 − σ(β(z − s_r))), z = KL estimate",
  source: "Ethayarajh et al. 2024",
  needs: { klEstimate: true },
  parameters: { ...compared, ...weights },
  losses: (pairs, parameters, name) => {
    const { chosen, rejected } = logRatios(name, pairs, parameters);
    const z = stopGradient(required(name, pairs, "klEstimate", "give one made by klEstimate"));
    return add(
      mul(sigmoid(mul(sub(z, chosen), parameters.beta)), parameters.desirableWeight / 2),
      mul(sigmoid(mul(sub(rejected, z), parameters.beta)), parameters.undesirableWeight / 2),
    );
  },
});

/** Examples that are good or bad by themselves, without pairs. */
export interface LabelledExamples {
  /** `log π(y)` f32 `[N]`. */
  readonly logProbabilities: Tensor;
  /** `log π_ref(y)` f32 `[N]`. */
  readonly reference: Tensor;
  /** 1 where the answer is desirable, else 0; u8 `[N]`. */
  readonly desirable: Tensor;
  /** f32 `[]`; see `klEstimate`. */
  readonly klEstimate: Tensor;
}

const exampleParameters: ParametersOf<"beta" | WeightNames> = { beta, ...weights };

/** KTO of examples without pairs: `λ_D (1 − σ(β(s − z)))` where desirable, else `λ_U (1 − σ(β(z − s)))`.
 *  Ethayarajh et al. 2024, eq. 7.
 *  @returns f32 `[N]`  @throws PreferenceError on a wrong parameter, ShapeError or DTypeError on wrong inputs */
export function ktoExampleLoss(
  examples: LabelledExamples,
  parameters: Partial<Pick<LossParameters, "beta" | WeightNames>> = {},
): Tensor {
  const values = resolveParameters("kto", exampleParameters, parameters);
  const { logProbabilities, reference, desirable } = examples;
  checkExamples(examples);
  return scope(() => {
    const gain = mul(sub(sub(logProbabilities, reference), stopGradient(examples.klEstimate)), values.beta);
    return where(
      desirable,
      mul(sigmoid(neg(gain)), values.desirableWeight),
      mul(sigmoid(gain), values.undesirableWeight),
    );
  });
}

function checkExamples({ logProbabilities, reference, desirable, klEstimate: z }: LabelledExamples): void {
  const N = logProbabilities.size;
  const shapes = [logProbabilities, reference, desirable, z].map(({ shape }) => formatShape(shape));
  if (shapes.join() !== [`[${N}]`, `[${N}]`, `[${N}]`, "[]"].join()) {
    throw new ShapeError(`kto: expected three of [N] and klEstimate [], got ${shapes.join(", ")}`);
  }
  const dtypes = [logProbabilities, reference, desirable, z].map(({ dtype }) => dtype).join();
  if (dtypes !== "f32,f32,u8,f32") {
    throw new DTypeError(`kto: expected log-probabilities and klEstimate in f32 and desirable in u8, got ${dtypes}`);
  }
}

/** Estimate of the KL divergence of the policy from the reference for KTO: `max(0, mean(log π − log π_ref))` over
 *  completions that answer other prompts, as a constant. Ethayarajh et al. 2024, section 4.1.
 *  @param logProbabilities `log π(y′)` f32 `[N]` of each prompt with the completion of another
 *  @param reference the same under the reference, f32 `[N]`  @returns f32 `[]` */
export function klEstimate(logProbabilities: Tensor, reference: Tensor): Tensor {
  return scope(() => stopGradient(maximum(mean(sub(logProbabilities, reference)), 0)));
}
