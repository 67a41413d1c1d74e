import { conformanceCase, hostTensor, seeds, shapes, type ConformanceCase } from "@danu/testing";
import fc from "fast-check";

import { logSigmoidOp } from "../src/index.ts";

const logSigmoid = conformanceCase(logSigmoidOp, {
  dtypes: ["f32"],
  sample: (dtype) =>
    fc
      .tuple(shapes(), seeds, fc.constantFrom("moderate", "wide", "adversarial"))
      .map(([shape, seed, palette]) => ({ x: [hostTensor(dtype, shape, seed, palette)], attrs: null })),
  bound: () => ({ relative: 16, floor: 2 ** -120 }),
  gradient: () => [{ relative: 16, floor: 2 ** -120 }],
});

/** Cases of the ops of this package, for the conformance suite of a device. */
export const dpoCases: readonly ConformanceCase[] = [logSigmoid];
