import { mul, scope, stopGradient, type Tensor } from "@danu/tensor";

import { checkPairs, type PreferencePairs } from "./pairs.ts";
import { resolveParameters, type LossParameters, type ParameterName, type ParametersOf } from "./parameters.ts";
import { PreferenceError } from "./preference-error.ts";

/** Which inputs a loss reads beside the policy's log-probabilities. */
export interface LossNeeds {
  /** `referenceChosen` and `referenceRejected`. */
  readonly reference: boolean;
  /** `chosenLengths` and `rejectedLengths`. */
  readonly lengths: boolean;
  /** `klEstimate`. */
  readonly klEstimate: boolean;
}

/** What there is to know about a loss. */
export interface LossDescription<P extends ParameterName = never> {
  /** One sentence. */
  readonly summary: string;
  readonly formula: string;
  /** Author and year. */
  readonly source: string;
  readonly needs: LossNeeds;
  /** True where rewards are `β` times the mean log-probability of a token, not the sum. */
  readonly perToken: boolean;
  readonly parameters: ParametersOf<P>;
}

/** A preference loss: a pure function of log-probabilities to one loss a pair, f32 `[B]`.
 *  @throws PreferenceError on a missing input, an unknown parameter, or a value that it does not accept
 *  @throws ShapeError or DTypeError when the inputs are not f32 `[B]` */
export interface PreferenceLoss<P extends ParameterName = never> extends LossDescription<P> {
  (pairs: PreferencePairs, parameters?: Partial<Pick<LossParameters, P>>): Tensor;
  readonly name: string;
}

interface LossDefinition<P extends ParameterName> {
  readonly name: string;
  readonly summary: string;
  readonly formula: string;
  readonly source: string;
  readonly parameters: ParametersOf<P>;
  /** Left out: the reference, unless it has no parameter `referenceFree`. */
  readonly needs?: Partial<LossNeeds>;
  readonly perToken?: boolean;
  /** False where a row of the result is not a pair, so that weights of pairs have no meaning. */
  readonly weighted?: boolean;
  readonly losses: (pairs: PreferencePairs, parameters: Pick<LossParameters, P>, name: string) => Tensor;
}

/** Makes a loss. One definition, or a few siblings, a file. */
export function defineLoss<P extends ParameterName>(definition: LossDefinition<P>): PreferenceLoss<P> {
  const { name, summary, formula, source, parameters, perToken = false, weighted = true } = definition;
  const needs = { reference: "referenceFree" in parameters, lengths: false, klEstimate: false, ...definition.needs };
  const loss = (pairs: PreferencePairs, given: Partial<Pick<LossParameters, P>> = {}): Tensor => {
    const values = resolveParameters(name, parameters, given);
    checkPairs(name, pairs);
    if (!weighted && pairs.weights !== undefined) {
      throw new PreferenceError(
        `${name}: sorts the batch, so that weights of pairs have no meaning; leave out weights`,
        { loss: name },
      );
    }
    return scope(() => {
      const losses = definition.losses(pairs, values, name);
      return pairs.weights === undefined ? losses : mul(losses, stopGradient(pairs.weights));
    });
  };
  Object.defineProperty(loss, "name", { value: name });
  return Object.assign(loss, { summary, formula, source, needs, perToken, parameters });
}
