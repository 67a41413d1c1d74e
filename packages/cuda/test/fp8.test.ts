import { fp8QueryKeyValueGradOp, fp8QueryKeyValueOp, ropeTable } from "@danu/attention";
import {
  disposeTree, encode, fp8Columns, fp8FeedForwardGradOp, fp8FeedForwardOp, fp8LinearGradOp, fp8LinearOp, fp8Matrix, fp8NormLinearsGradOp,
  fp8NormLinearsOp, fp8Padded, fp8Rows, fp8Scaling, fp8Types, fp8Update, keep, referenceDevice, reshape, run, scope, writeFp8, type Device, type Fp8Matrix, type Tensor, type Values,
} from "@danu/tensor";
import { fp8Blocks, hostIntegers, hostTensor, relativeError, upload, type Fp8Blocks } from "@danu/testing";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { cudaDevice, type CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { once } from "./once.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

/** One linear layer, several behind a norm, those whose results are turned, or a whole feed-forward layer. */
type Kind = "linear" | "normLinears" | "queryKeyValue" | "feedForward";

interface Layer {
  readonly kind: Kind;
  readonly rows: readonly number[];
  readonly C: number;
  /** Outputs of the layers, or the width of the feed-forward layer. */
  readonly outputs: readonly number[];
  /** Channels that are turned together. */
  readonly headDim?: number;
  readonly residual: boolean;
  readonly needsWeights: boolean;
  readonly seed: number;
}

/** What a pass there and back gives. */
interface Pass {
  /** In bf16. */
  readonly activations: readonly Tensor[];
  /** In f32. */
  readonly weights: readonly Tensor[];
  /** The gradient of the input in fp8, in rows and transposed. */
  readonly copies: readonly Tensor[];
}

interface Step {
  readonly activations: readonly Values[];
  readonly weights: readonly Values[];
  /** Factors, magnitudes and history of all matrices after the step. */
  readonly scalings: readonly Values[];
  /** In fp8, a byte each. */
  readonly copies: readonly Uint8Array[];
  /** By what the copies were scaled. */
  readonly copyScale: number;
  readonly bytes: readonly Uint8Array[];
}

type Draw = (seed: number, ...shape: number[]) => Tensor;
const eps = 1e-5;

/** The weights that lie in each matrix of a layer. */
function weightsOf({ kind, C, outputs }: Layer, draw: Draw): Tensor[][] {
  const F = outputs[0]!;
  if (kind === "linear") return [[draw(1, F, C)]];
  if (kind !== "feedForward") return [outputs.map((O, i) => draw(10 + i, O, C))];
  return [[draw(1, F, C), draw(2, F, C)], [draw(3, C, F)]];
}

/** @param next scaling by which the gradient of the input is cast for the op before, as if it were of fp8 as well */
function passOf(
  { kind, rows, C, outputs, headDim = 0, residual, needsWeights, seed }: Layer, draw: Draw, weights: Tensor[][], matrices: readonly Fp8Matrix[],
  next: Tensor, step: number,
): Pass {
  const own: Draw = (seed, ...shape) => draw(100 * step + seed, ...shape);
  const [x, norm, calibrate] = [own(20, ...rows, C), own(21, C), step === 0];
  const { scaling, rowwise, transposed } = matrices[0]!;
  const [added, castBy] = [residual ? own(30, ...rows, C) : null, calibrate ? null : next];
  if (kind === "linear") {
    const F = outputs[0]!;
    const [y] = run(fp8LinearOp, [x, weights[0]![0]!, residual ? own(22, ...rows, F) : null, scaling, rowwise, transposed], { calibrate });
    const [dx, dWeight] = run(fp8LinearGradOp, [own(23, ...rows, F), x, scaling, transposed, null, null], { calibrate, needsInput: true, needsWeight: needsWeights });
    return { activations: [y, dx], weights: [dWeight], copies: [] };
  }
  if (kind === "normLinears") {
    const [inverseRms, ...y] = run(fp8NormLinearsOp, [x, norm, scaling, rowwise, transposed, ...weights[0]!], { eps, calibrate });
    const g = outputs.map((O, i) => own(23 + i, ...rows, O));
    const [dx, dNorm, copy, copyTransposed, ...dWeights] = run(
      fp8NormLinearsGradOp, [x, norm, inverseRms, scaling, transposed, added, castBy, ...g], { eps, calibrate, needsWeights },
    );
    return { activations: [...y, dx], weights: [inverseRms, dNorm, ...dWeights], copies: [copy, copyTransposed] };
  }
  if (kind === "queryKeyValue") {
    const table = ropeTable(x.device, { positions: 60, headDim, theta: 10_000 });
    const positions = upload(x.device, hostIntegers("i32", rows, seed + step, 60));
    const [query, key, value] = weights[0] as [Tensor, Tensor, Tensor];
    const [inverseRms, ...y] = run(fp8QueryKeyValueOp, [x, norm, scaling, rowwise, transposed, table, positions, query, key, value], { eps, calibrate });
    const [gQ, gK, gV] = y.map(({ shape }, i) => own(23 + i, ...shape)) as [Tensor, Tensor, Tensor];
    const inputs = [x, norm, inverseRms, scaling, transposed, table, positions, gQ, gK, gV, added, castBy] as const;
    const [dx, dNorm, dQuery, dKey, dValue, ...copies] = run(fp8QueryKeyValueGradOp, inputs, { eps, calibrate, needsWeights });
    return { activations: [...y, dx], weights: [inverseRms, dNorm, dQuery, dKey, dValue], copies };
  }
  const down = matrices[1]!;
  const [[gate, up], [last]] = weights as [[Tensor, Tensor], [Tensor]];
  const inputs = [x, norm, gate, up, last, scaling, rowwise, transposed, down.scaling, down.rowwise, down.transposed] as const;
  const [y, inverseRms, gateUp] = run(fp8FeedForwardOp, inputs, { eps, calibrate });
  const g = own(23, ...rows, C);
  const [dx, dNorm, dGate, dUp, dDown, ...copies] = run(
    fp8FeedForwardGradOp, [g, x, norm, inverseRms, gateUp, scaling, transposed, down.scaling, down.transposed, null, null, added ?? g, castBy],
    { eps, calibrate, needsWeights },
  );
  return { activations: [y, gateUp, dx], weights: [inverseRms, dNorm, dGate, dUp, dDown], copies };
}

/** Steps of a layer there and back, each with other numbers: the first scales by itself, the others by what came before. */
async function stepsOf(device: Device, layer: Layer, count: number): Promise<Step[]> {
  const draw: Draw = (seed, ...shape) => upload(device, hostTensor("bf16", shape, 1000 * layer.seed + seed));
  const weights = scope(() => keep(weightsOf(layer, draw)));
  const matrices = weights.map((own) => {
    const matrix = fp8Matrix(device, own.reduce((sum, { shape }) => sum + shape[0]!, 0), own[0]!.shape[1]!);
    writeFp8(matrix, own, { calibrate: true });
    return matrix;
  });
  const next = fp8Scaling(device);
  const steps: Step[] = [];
  for (let i = 0; i < count; i++) {
    // By the factors that the step before left.
    if (i > 0) matrices.forEach((matrix, j) => writeFp8(matrix, weights[j]!));
    const copyScale = (await next.read())[fp8Rows.indexOf("gradient") * fp8Columns.count + fp8Columns.scale]!;
    const { activations, weights: f32, copies } = scope(() => keep(passOf(layer, draw, weights, matrices, next, i)));
    fp8Update([next]);
    for (const { scaling } of matrices) fp8Update([scaling]);
    const bytes: Uint8Array[] = [];
    for (const tensor of [...activations, ...f32, ...matrices.map(({ scaling }) => scaling), next, ...copies]) bytes.push(await tensor.bytes());
    const [first, second] = [activations.length, activations.length + f32.length];
    const third = second + matrices.length + 1;
    const values = bytes.slice(0, third).map((own, j) => device.decode(j < first ? "bf16" : "f32", own));
    steps.push({
      activations: values.slice(0, first), weights: values.slice(first, second), scalings: values.slice(second), copies: bytes.slice(third), copyScale, bytes,
    });
    disposeTree([activations, f32, copies]);
  }
  disposeTree([weights, matrices, next]);
  return steps;
}

/** How far results may be from those of the simpler ops. The casts of one linear layer are the same, so that only sums differ, by
 *  less than four places of the 13 that tensor cores keep (kernels/twin/tensor-core-sums.h), and what they are rounded to, by one
 *  neighbour in bf16. What a norm makes may differ in its last bit, and now and then lie on the other side of where the cast
 *  rounds; its gradient is a sum over rows of what products were rounded to. Gates and ups are rounded to bf16 in between: where
 *  that takes the largest to its neighbour, the next cast is by another factor, and results differ by roundings to fp8: by 2.5 % on
 *  average, which is 3e-4 in direction, and single numbers by four times as much. Were every bf16 at its neighbour, the direction
 *  would differ by 1.5e-5. */
const bounds = {
  linear: { activations: 2 ** -7, weights: 4 * 2 ** -13, scalings: 0, direction: 1e-5 },
  normLinears: { activations: 2 ** -7, weights: 2 ** -7, scalings: 1e-6, direction: 1e-5 },
  queryKeyValue: { activations: 2 ** -7, weights: 2 ** -7, scalings: 1e-6, direction: 1e-5 },
  feedForward: { activations: 0.1, weights: 0.1, scalings: 2 ** -7, direction: 1e-3 },
} as const satisfies Record<Kind, object>;

/** 1 − 2⟨x, y⟩ / (⟨x, x⟩ + ⟨y, y⟩): 0 for equal vectors, about half the squared relative error for close ones. */
function apart(x: Values, y: Values): number {
  let [product, squares] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    product += x[i]! * y[i]!;
    squares += x[i]! ** 2 + y[i]! ** 2;
  }
  return squares === 0 ? 0 : 1 - (2 * product) / squares;
}

/** Asserts that the copies of a step are its gradient of the input, the last of its activations, cast. */
function expectCast({ activations, copies: [rowwise, transposed], copyScale }: Step, C: number): void {
  if (rowwise === undefined || transposed === undefined || rowwise.length === 0) return;
  const { limit, dtype } = fp8Types.gradient;
  const scaled = activations.at(-1)!.map((value) => Math.min(Math.max(value * copyScale, -limit), limit));
  expect(Buffer.compare(rowwise, encode(dtype, scaled))).toBe(0);
  const padded = transposed.length / C;
  expect(padded).toBe(fp8Padded(rowwise.length / C));
  expect(Buffer.compare(transposed, transposed.map((_, i) => rowwise[(i % padded) * C + Math.floor(i / padded)] ?? 0))).toBe(0);
}

const expectedSteps = once<Step[]>();

/** Asserts that a layer on the GPU is what the simpler ops say, and the same bits a second time. */
async function expectSame(cuda: CudaDevice, layer: Layer, count: number): Promise<void> {
  const [got, again] = [await stepsOf(cuda, layer, count), await stepsOf(cuda, layer, count)];
  const wanted = await expectedSteps(JSON.stringify([layer, count]), () => stepsOf(referenceDevice(), layer, count));
  for (const [i, step] of got.entries()) {
    expect(step.bytes.map((own, j) => Buffer.compare(own, again[i]!.bytes[j]!)), `bits of step ${i}`).toEqual(step.bytes.map(() => 0));
    expect(step.copies.map(({ length }) => length)).toEqual(wanted[i]!.copies.map(({ length }) => length));
    expectCast(step, layer.C);
    for (const kind of ["activations", "weights", "scalings"] as const) {
      for (const [j, values] of step[kind].entries()) {
        expect(values.length, `${kind} ${j}`).toBe(wanted[i]![kind][j]!.length);
        expect(relativeError(values, wanted[i]![kind][j]!), `${kind} ${j} of step ${i}`).toBeLessThanOrEqual(bounds[layer.kind][kind]);
        if (kind !== "scalings") expect(apart(values, wanted[i]![kind][j]!), `${kind} ${j} of step ${i}`).toBeLessThan(bounds[layer.kind].direction);
      }
    }
  }
}

const width = fc.constantFrom(16, 48, 80, 144);
const every = {
  C: fc.constantFrom(16, 48, 144, 272), residual: fc.boolean(), needsWeights: fc.boolean(), seed: fc.integer({ min: 0, max: 1e6 }),
};
const layers = (kind: Exclude<Kind, "queryKeyValue">): fc.Arbitrary<Layer> => fc.record({
  ...every, kind: fc.constant(kind), rows: fc.constantFrom([0], [1], [5], [2, 9], [150]),
  outputs: fc.array(width, { minLength: 1, maxLength: kind === "normLinears" ? 3 : 1 }),
});
/** Channels and numbers of heads. */
const heads = fc.constantFrom(...[[8, 6, 2], [16, 5, 1], [64, 4, 2], [80, 2, 1], [96, 1, 1], [120, 2, 2], [128, 1, 1]] as const);
const rotated: fc.Arbitrary<Layer> = fc.record({
  ...every, kind: fc.constant("queryKeyValue" as const), rows: fc.constantFrom([0, 3], [1, 1], [2, 9], [1, 150]), heads,
}).map(({ heads: [D, H, G], ...layer }) => ({ ...layer, headDim: D, outputs: [H * D, G * D, G * D] }));

describe.skipIf(twinMissing)(`fp8 layers${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["cast", "elementwise", "few-rows", "fp8-scaling", "gemm", "matmul", "movement", "norm", "norm-fp8", "quantise", "reduce", "rope", "rope-fp8", "swiglu-fp8"]);
  }, 600_000);

  describe.each(["8.0", "8.9", "9.0"])("on a GPU of compute capability %s", (capability) => {
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    const kinds = { linear: layers("linear"), normLinears: layers("normLinears"), queryKeyValue: rotated, feedForward: layers("feedForward") };
    test.each(Object.entries(kinds))("three steps equal the simpler ops: %s", async (_, drawn) => {
      await fc.assert(fc.asyncProperty(drawn, async (layer) => await expectSame(cuda, layer, 3)), { numRuns: 6, seed: 5, endOnFailure: true });
    }, 300_000);

    const stacks: fc.Arbitrary<Fp8Blocks> = fc.record({
      rows: fc.constantFrom([1], [2, 9], [50]), C: fc.constantFrom(16, 48), F: fc.constantFrom(32, 80), blocks: fc.constant(2),
      dtype: fc.constant("bf16" as const), calibrate: fc.boolean(), seed: fc.nat(1e6),
    });
    test("gradients have the same bits, cast as they are made or as they are read", async () => {
      await fc.assert(fc.asyncProperty(stacks, async (size) => {
        // Views in between make no copies, and change nothing else.
        expect(await fp8Blocks(cuda, size, (x) => x)).toEqual(await fp8Blocks(cuda, size, (x) => reshape(reshape(x, [-1]), x.shape)));
      }), { numRuns: 3, seed: 9, endOnFailure: true });
    }, 300_000);
  });

  describe("large layers on Hopper", () => {
    let cuda: CudaDevice;
    beforeAll(() => {
      standin.reset();
      cuda = cudaDevice({ driver: standin.library, kernels: standin.folder });
    });
    beforeEach(() => standin.clear());
    afterAll(() => cuda[Symbol.dispose]());
    const products = (): Set<string> => new Set(standin.calls().flatMap((call) => /\b(?:(?:gemm|rope)_fp8_\w+|rms_norm_backward_fp8)/.exec(call)?.[0] ?? []));

    // 33 pairs of tiles, the fewest that these kernels take, for one product of each layer.
    const common = { residual: false, needsWeights: true } as const;
    test.each<[layer: Layer, kernels: readonly string[], steps?: number]>([
      [{ ...common, kind: "linear", rows: [40], C: 32, outputs: [8208], seed: 1 }, ["gemm_fp8_forward", "gemm_fp8_weight_gradient"]],
      [{ ...common, kind: "linear", rows: [40], C: 8208, outputs: [32], seed: 2 }, ["gemm_fp8_input_gradient", "gemm_fp8_weight_gradient"]],
      [{ ...common, kind: "linear", rows: [24], C: 16, outputs: [8208], residual: true, seed: 3 }, ["gemm_fp8_forward_residual", "gemm_fp8_weight_gradient"]],
      [{ ...common, kind: "normLinears", rows: [24], C: 16, outputs: [8208, 16, 32], seed: 4 }, ["gemm_fp8_forward", "gemm_fp8_weight_gradients"]],
      [
        { ...common, kind: "queryKeyValue", rows: [2, 12], C: 16, outputs: [8208, 16, 32], headDim: 16, seed: 6 },
        ["gemm_fp8_forward", "gemm_fp8_weight_gradients", "rope_fp8_backward"],
      ],
      [{ ...common, kind: "feedForward", rows: [24], C: 32, outputs: [4112], seed: 5 }, ["gemm_fp8_forward", "gemm_fp8_weight_gradients"]],
      // As many rows as the norm asks for that casts its gradient; the first step scales by itself, and its gradient is not cast.
      [
        { ...common, kind: "normLinears", rows: [8200], C: 16, outputs: [16], residual: true, seed: 7 },
        ["gemm_fp8_forward", "gemm_fp8_input_gradient", "rms_norm_backward_fp8"], 2,
      ],
    ])("%j", async (layer, kernels, steps = 1) => {
      await expectSame(cuda, layer, steps);
      expect(products()).toEqual(new Set(kernels));
    }, 120_000);
  });
});
