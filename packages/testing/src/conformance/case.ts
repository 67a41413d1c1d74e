import type { AnyOp, AnyUpdate, DType, Inputs, Op, primitives, Tensor, Update } from "@danu/tensor";
import type fc from "fast-check";

import type { HostTensor } from "../host-tensor.ts";

/** Inputs of an op before they are on a device. */
export type HostInputs<X extends Inputs> = {
  readonly [K in keyof X]: X[K] extends Tensor ? HostTensor : HostTensor | null;
};

/** One call of an op. */
export interface Sample<X extends Inputs = Inputs, A = unknown> {
  readonly x: HostInputs<X>;
  readonly attrs: A;
  /** Attributes for the oracle where those of the device would round its result. */
  readonly exactAttrs?: A;
  /** Inputs, by index, that the op takes in one dtype only: the oracle gets them in it as well. */
  readonly fixed?: readonly number[];
}

/** How far the result may be from the exact one, before both are rounded to the dtype of the output.
 *  The first three count in units of 2⁻²⁴, half the spacing of f32 at 1. */
export interface Slack {
  /** Of the exact result. */
  readonly relative?: number;
  /** Of the result for the absolute values of the inputs: the bound of a sum of so many terms, in any order. */
  readonly sum?: number;
  /** Of 1. */
  readonly absolute?: number;
  /** In addition; 2⁻¹²⁶ when left out, so that intermediate results may lose subnormals. */
  readonly floor?: number;
  /** Steps of the output's dtype beyond that, for results that are rounded more than once by design. */
  readonly steps?: number;
}

/** `bits`: the rounded exact value and its sign; `value`: the rounded exact value, where −0 is 0. NaN is always NaN. */
export type Bound = "bits" | "value" | Slack;

/** How one op is tested, with the types of that op. */
export interface CaseOf<X extends Inputs, A> {
  /** Element types to test; the op's main operand has it. */
  readonly dtypes: readonly DType[];
  readonly sample: (dtype: DType) => fc.Arbitrary<Sample<X, A>>;
  /** One bound for all outputs, or one for each. */
  readonly bound: (sample: Sample<X, A>) => Bound | readonly Bound[];
  /** One bound for the gradient of each input, for ops whose own gradient rule a device runs. */
  readonly gradient?: (sample: Sample<X, A>) => readonly Bound[];
  /** A call that must fail, at the next read and no earlier. */
  readonly failing?: () => Sample<X, A>;
}

/** A case together with its op. */
export interface ConformanceCase extends CaseOf<Inputs, unknown> {
  readonly op: AnyOp | AnyUpdate;
}

/** The case type of an op value. */
export type CaseFor<O> = O extends Op<infer X, infer _Y, infer A>
  ? CaseOf<X, A>
  : O extends Update<infer X, infer A>
  ? CaseOf<X, A>
  : never;

/** One case for every primitive: a missing one does not compile. */
export type PrimitiveCases = { readonly [Name in keyof typeof primitives]: CaseFor<(typeof primitives)[Name]> };

/** Ties a case to its op; the types of inputs and attributes are checked here and forgotten afterwards. */
export function conformanceCase<O extends AnyOp | AnyUpdate>(op: O, tests: CaseFor<O>): ConformanceCase {
  return { ...(tests as unknown as CaseOf<Inputs, unknown>), op };
}
