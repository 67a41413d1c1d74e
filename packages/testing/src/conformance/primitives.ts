import { primitives } from "@danu/tensor";

import { conformanceCase, type ConformanceCase, type PrimitiveCases } from "./case.ts";
import { elementwiseCases } from "./elementwise.ts";
import { movementCases } from "./movement.ts";
import { productCases } from "./products.ts";

const cases: PrimitiveCases = { ...elementwiseCases, ...movementCases, ...productCases };

/** Cases of the ops that every device must have. */
export const primitiveCases: readonly ConformanceCase[] = (Object.keys(primitives) as (keyof typeof primitives)[]).map(
  (name) => conformanceCase(primitives[name], cases[name] as never)
);
