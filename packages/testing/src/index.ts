export { axisSizes, broadcastable, seeds, shapes, shapesWithAxis, times, type ShapeLimits } from "./arbitraries.ts";
export {
  hostIntegers,
  hostTensor,
  rounded,
  subtleValues,
  upload,
  type HostTensor,
  type Palette,
} from "./host-tensor.ts";
export { fp8Blocks, type Fp8Blocks } from "./fp8-blocks.ts";
export { normal, randomSource } from "./random.ts";
export { relativeError } from "./relative-error.ts";
export { ordinals } from "./ulps.ts";
export { expectClose, type Closeness } from "./expect-close.ts";
export { runExample } from "./run-example.ts";
export { gradcheck, type GradcheckOptions } from "./gradcheck.ts";
export {
  goldenAdamw,
  goldenCases,
  goldenConversions,
  goldenDecoded,
  goldenJson,
  goldenPath,
  type GoldenAdamw,
  type GoldenCase,
  type GoldenConversion,
  type GoldenTensor,
} from "./golden.ts";
export {
  conformanceCase,
  type Bound,
  type CaseFor,
  type CaseOf,
  type ConformanceCase,
  type HostInputs,
  type Sample,
  type Slack,
} from "./conformance/case.ts";
export { inverseRms } from "./conformance/fused.ts";
export { normedProductBound } from "./conformance/generation.ts";
export { copyBounds, gradientEps, inputGradientBound, OTHER_NEIGHBOUR, scaling as hostScaling } from "./conformance/fp8.ts";
export { expectWithin } from "./conformance/compare.ts";
export { conformance, type ConformanceOptions, type Skip } from "./conformance/suite.ts";
