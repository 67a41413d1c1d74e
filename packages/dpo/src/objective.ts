import { add, mul, scope, type Tensor } from "@danu/tensor";

import type { LossNeeds, PreferenceLoss } from "./define-loss.ts";
import { preferenceMetrics, type PreferenceMetrics } from "./metrics.ts";
import { perToken, type PreferencePairs } from "./pairs.ts";
import { resolveParameters, type LossParameters, type ParameterName } from "./parameters.ts";
import { preferenceLosses, type LossName } from "./preference-losses.ts";
import { PreferenceError } from "./preference-error.ts";

/** A loss by name, its parameters, and its weight among others. */
export interface LossTerm extends Partial<LossParameters> {
  readonly loss: LossName;
  /** 1 when left out. */
  readonly weight?: number;
}

/** What a run of preference training minimises. */
export interface PreferenceObjective {
  /** Inputs that some term reads. */
  readonly needs: LossNeeds;
  /** The weighted sum of the terms, one number a pair, f32 `[B]`; its mean is the loss of the batch.
   *  @throws PreferenceError on a missing input, ShapeError or DTypeError on wrong ones */
  readonly losses: (pairs: PreferencePairs) => Tensor;
  /** Rewards with the β of the first term that has one, of sums or means as that term takes them; with β = 1 where
   *  there is no such term. */
  readonly metrics: (pairs: PreferencePairs) => PreferenceMetrics;
}

interface ResolvedTerm {
  readonly loss: PreferenceLoss<ParameterName>;
  readonly weight: number;
  readonly parameters: Partial<LossParameters>;
}

/** One loss, or several as a weighted sum, checked before the first step.
 *  @throws PreferenceError on no term, an unknown loss, a wrong parameter or weight */
export function preferenceObjective(terms: LossTerm | readonly LossTerm[]): PreferenceObjective {
  const resolved = ("loss" in terms ? [terms] : terms).map(resolveTerm);
  if (resolved.length === 0) throw new PreferenceError("preferenceObjective: expected at least one loss, got none");
  const rewarding = resolved.find(({ parameters }) => parameters.beta !== undefined);
  const needs = (key: keyof LossNeeds): boolean => resolved.some((term) => needsOf(term)[key]);
  return {
    needs: { reference: needs("reference"), lengths: needs("lengths"), klEstimate: needs("klEstimate") },
    losses: (pairs) =>
      scope(() => {
        const weighted = resolved.map(({ loss, weight, parameters }) => {
          const losses = loss(pairs, parameters);
          return weight === 1 ? losses : mul(losses, weight);
        });
        return weighted.reduce((total, losses) => add(total, losses));
      }),
    metrics: (pairs) =>
      scope(() => {
        if (rewarding === undefined) return preferenceMetrics(pairs, { beta: 1 });
        const {
          loss,
          parameters: { beta = 1 },
        } = rewarding;
        return preferenceMetrics(loss.perToken ? perToken(pairs) : pairs, {
          beta,
          referenceFree: !needsOf(rewarding).reference,
        });
      }),
  };
}

function needsOf({ loss, parameters }: ResolvedTerm): LossNeeds {
  return { ...loss.needs, reference: loss.needs.reference && parameters.referenceFree !== true };
}

function resolveTerm({ loss: name, weight = 1, ...given }: LossTerm): ResolvedTerm {
  if (!Object.hasOwn(preferenceLosses, name)) {
    const known = Object.keys(preferenceLosses).join(", ");
    throw new PreferenceError(`preferenceObjective: expected one of ${known}, got ${String(name)}`, { loss: name });
  }
  if (!Number.isFinite(weight)) {
    throw new PreferenceError(`${name}: expected a finite weight, got ${String(weight)}`, { loss: name, weight });
  }
  const loss = preferenceLosses[name] as PreferenceLoss<ParameterName>;
  return { loss, weight, parameters: resolveParameters(name, loss.parameters, given) };
}
