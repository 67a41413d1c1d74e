import { dtypes, type Tensor } from "@danu/tensor";
import fc from "fast-check";

import { axisSizes, broadcastable, seeds, shapes } from "../arbitraries.ts";
import { hostIntegers, hostTensor, rounded, subtleValues, type HostTensor, type Palette } from "../host-tensor.ts";
import type { Bound, CaseOf, PrimitiveCases } from "./case.ts";

/** Types that every device computes in. */
export const computed = ["f32", "bf16", "f16"] as const;
const numeric = [...computed, "i32", "u8"] as const;
const palettes: fc.Arbitrary<Palette> = fc.constantFrom("adversarial", "wide", "moderate");

type Unary = CaseOf<readonly [Tensor], null>;
type Binary = CaseOf<readonly [Tensor, Tensor], null>;

function unary(bound: Bound, prepare: (x: HostTensor) => HostTensor = (x) => x): Unary {
  return {
    dtypes: computed,
    sample: (dtype) =>
      fc
        .tuple(shapes(), seeds, palettes)
        .map(([shape, seed, palette]) => ({ x: [prepare(hostTensor(dtype, shape, seed, palette))], attrs: null })),
    bound: () => bound,
  };
}

/** Beyond 2¹⁷ radians, eight times the longest position, a device may reduce angles as coarsely as it likes. */
function angles(x: HostTensor): HostTensor {
  return {
    ...x,
    values: rounded(
      x.dtype,
      x.values.map((value) => (Number.isFinite(value) ? value % 2 ** 17 : value))
    ),
  };
}

function binary(): Binary {
  return {
    dtypes: numeric,
    sample: (dtype) =>
      fc
        .tuple(broadcastable(2), seeds, palettes, palettes)
        .map(([[a, b], seed, one, other]) => ({
          x: [hostTensor(dtype, a!, seed, one), hostTensor(dtype, b!, seed + 1, other)],
          attrs: null,
        })),
    bound: () => "value",
  };
}

export const elementwiseCases: Pick<
  PrimitiveCases,
  "add" | "sub" | "mul" | "div" | "maximum" | "minimum" | "less" | "lessEqual" | "equal" | "neg" | "abs" | "sqrt"
  | "exp" | "log" | "sin" | "cos" | "tanh" | "sigmoid" | "where" | "cast" | "fill" | "iota" | "assign"
> = {
  add: binary(),
  sub: binary(),
  mul: binary(),
  div: binary(),
  maximum: binary(),
  minimum: binary(),
  less: binary(),
  lessEqual: binary(),
  equal: binary(),
  neg: unary("bits"),
  abs: unary("bits"),
  sqrt: unary("value"),
  exp: unary({ relative: 8 }),
  log: unary({ relative: 8 }),
  sin: unary({ relative: 8, absolute: 8 }, angles),
  cos: unary({ relative: 8, absolute: 8 }, angles),
  tanh: unary({ relative: 16 }),
  sigmoid: unary({ relative: 16 }),
  where: {
    dtypes,
    sample: (dtype) =>
      fc.tuple(broadcastable(3), seeds).map(([[mask, a, b], seed]) => ({
        x: [
          hostIntegers("u8", mask!, seed, 3),
          hostTensor(dtype, a!, seed + 1, "adversarial"),
          hostTensor(dtype, b!, seed + 2, "adversarial"),
        ],
        attrs: null,
      })),
    bound: () => "bits",
  },
  cast: {
    dtypes,
    sample: (dtype) =>
      fc
        .tuple(shapes(), seeds, palettes, fc.constantFrom(...dtypes))
        .map(([shape, seed, palette, to]) => ({ x: [hostTensor(dtype, shape, seed, palette)], attrs: { dtype: to } })),
    bound: () => "bits",
  },
  fill: {
    dtypes,
    sample: (dtype) =>
      fc
        .tuple(shapes(), fc.oneof(fc.constantFrom(...subtleValues("f32"), ...subtleValues(dtype)), fc.double()))
        .map(([shape, value]) => ({ x: [hostTensor(dtype, shape, 0)], attrs: { value } })),
    bound: () => "bits",
  },
  iota: {
    dtypes: ["f32", "i32", "bf16"],
    sample: (dtype) =>
      fc
        .tuple(axisSizes, fc.integer({ min: -9, max: 65536 }), fc.integer({ min: -3, max: 100 }))
        .map(([length, start, step]) => ({ x: [hostTensor(dtype, [length], 0)], attrs: { start, step } })),
    bound: () => "value",
  },
  assign: {
    dtypes,
    sample: (dtype) =>
      fc
        .tuple(shapes(), seeds, fc.constantFrom(...dtypes))
        .map(([shape, seed, from]) => ({
          x: [hostTensor(dtype, shape, seed), hostTensor(from, shape, seed + 1, "adversarial")],
          attrs: null,
        })),
    bound: () => "bits",
  },
};
