import { divergences, type Divergence } from "./divergence.ts";
import { PreferenceError } from "./preference-error.ts";

/** Every parameter that some preference loss takes. */
export interface LossParameters {
  /** β: how far the policy is held to the reference, per nat. */
  readonly beta: number;
  /** True leaves the reference out: its log-probabilities count as 0. */
  readonly referenceFree: boolean;
  /** Which f-divergence holds the policy to the reference. */
  readonly divergence: Divergence;
  /** α of the α-divergence. */
  readonly divergenceAlpha: number;
  /** ε: the share of pairs whose labels are taken to be swapped. */
  readonly labelSmoothing: number;
  /** τ of DiscoPOP: how sharply it changes from the logistic to the exponential loss. */
  readonly temperature: number;
  /** γ of SimPO: by how much the chosen reward should lead. */
  readonly margin: number;
  /** Weight of the supervised loss beside the preference term. */
  readonly supervisedWeight: number;
  /** Weight of desirable examples in KTO. */
  readonly desirableWeight: number;
  /** Weight of undesirable examples in KTO. */
  readonly undesirableWeight: number;
}

/** Name of a parameter of some loss. */
export type ParameterName = keyof LossParameters;

/** What a value of a parameter may be, for checks and for the help of a command line. */
export interface Parameter<T = unknown> {
  readonly default: T;
  /** One line. */
  readonly meaning: string;
  /** What is accepted, in words. */
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
}

/** The parameters of one loss. */
export type ParametersOf<P extends ParameterName> = { readonly [K in P]: Parameter<LossParameters[K]> };

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

export const beta: Parameter<number> = {
  default: 0.1,
  meaning: "how strongly the policy is held to the reference",
  expected: "a number above 0",
  accepts: (value) => isNumber(value) && value > 0,
};

const referenceFree: Parameter<boolean> = {
  default: false,
  meaning: "leave the reference out: its log-probabilities count as 0",
  expected: "true or false",
  accepts: (value) => typeof value === "boolean",
};

const divergence: Parameter<Divergence> = {
  default: "reverse_kl",
  meaning: "the f-divergence between policy and reference",
  expected: `one of ${Object.keys(divergences).join(", ")}`,
  accepts: (value) => typeof value === "string" && Object.hasOwn(divergences, value),
};

const divergenceAlpha: Parameter<number> = {
  default: 0.5,
  meaning: "α of alpha_divergence",
  expected: "a finite number",
  accepts: isNumber,
};

export const labelSmoothing: Parameter<number> = {
  default: 0.1,
  meaning: "the share of pairs whose labels are taken to be swapped",
  expected: "a number from 0 up to, but not including, 0.5",
  accepts: (value) => isNumber(value) && value >= 0 && value < 0.5,
};

export const temperature: Parameter<number> = {
  default: 0.05,
  meaning: "how sharply the loss changes from logistic to exponential",
  expected: "a number above 0",
  accepts: (value) => isNumber(value) && value > 0,
};

export const margin: Parameter<number> = {
  default: 1,
  meaning: "by how much the chosen reward should lead",
  expected: "a finite number",
  accepts: isNumber,
};

/** A factor of one part of a loss. */
export function weight(meaning: string): Parameter<number> {
  return { default: 1, meaning, expected: "a number of at least 0", accepts: (value) => isNumber(value) && value >= 0 };
}

/** The parameters of every loss that compares with a reference. */
export const compared: ParametersOf<"beta" | "referenceFree"> = { beta, referenceFree };

/** The parameters of every loss of the difference of two scores, which any f-divergence may give. */
export const diverging: ParametersOf<"beta" | "referenceFree" | "divergence" | "divergenceAlpha"> = {
  beta,
  referenceFree,
  divergence,
  divergenceAlpha,
};

/** Fills in defaults.
 *  @throws PreferenceError on a parameter that the loss does not take, or a value that it does not accept */
export function resolveParameters<P extends ParameterName>(
  name: string,
  known: ParametersOf<P>,
  given: Partial<Pick<LossParameters, P>>,
): Pick<LossParameters, P> {
  const parameters = known as Readonly<Record<string, Parameter>>;
  const values: Record<string, unknown> = {};
  for (const [key, parameter] of Object.entries(parameters)) values[key] = parameter.default;
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(parameters, key)) {
      const names = Object.keys(parameters).join(", ") || "none";
      throw new PreferenceError(`${name}: has no parameter ${key}; its parameters: ${names}`, {
        loss: name,
        parameter: key,
      });
    }
    const parameter = parameters[key]!;
    if (!parameter.accepts(value)) {
      throw new PreferenceError(`${name}: expected ${parameter.expected} for ${key}, got ${String(value)}`, {
        loss: name,
        [key]: value,
      });
    }
    values[key] = value;
  }
  return values as unknown as Pick<LossParameters, P>;
}
