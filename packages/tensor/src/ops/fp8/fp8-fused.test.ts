import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";

import * as t from "../../index.ts";
import { randomSource } from "@danu/testing";

// The fused ops against fp8Linear, whose golden file torch made: in f32 nothing is rounded between the steps, so that they agree
// to the bit.

let device = t.referenceDevice();
beforeEach(() => (device = t.referenceDevice()));

const sizes = fc.record({
  rows: fc.constantFrom([0], [1], [5], [2, 3]), C: fc.integer({ min: 1, max: 9 }), widths: fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 3 }),
  calibrate: fc.boolean(), seed: fc.nat(),
});

/** Draws tensors, the same ones for the same seed. */
function drawing(seed: number): (...shape: number[]) => t.Tensor {
  const random = randomSource(seed);
  return (...shape) => t.tensor(device, Array.from({ length: t.sizeOf(shape) }, () => random() * 2 - 1), shape);
}

function matrixOf(weights: readonly t.Tensor[]): t.Fp8Matrix {
  const rows = weights.reduce((sum, { shape: [O] }) => sum + O!, 0);
  const matrix = t.fp8Matrix(device, rows, weights[0]!.shape[1]!);
  t.writeFp8(matrix, weights, { calibrate: true });
  return matrix;
}

async function read(tensors: readonly (t.Tensor | null)[]): Promise<(number[] | null)[]> {
  return Promise.all(tensors.map(async (tensor) => (tensor === null ? null : [...(await tensor.read())] as number[])));
}

/** Results and gradients of a function, and the scalings that it left. */
async function passOf(f: (...x: t.Tensor[]) => t.Tensor[], x: readonly t.Tensor[], g: readonly t.Tensor[], scalings: readonly t.Tensor[]): Promise<(number[] | null)[]> {
  const { y, pull } = t.pullback((...inputs) => f(...inputs), x);
  return read([...y, ...pull(g), ...scalings]);
}

/** A concatenation with the gradients of its parts. */
const below = (weights: readonly t.Tensor[]): t.Tensor => t.concat(weights, 0);

test("fp8NormLinears is a norm and one linear layer of all weights, and its gradients are theirs", async () => {
  await fc.assert(fc.asyncProperty(sizes, async ({ rows, C, widths, calibrate, seed }) => {
    const draw = drawing(seed);
    const [x, norm, weights] = [draw(...rows, C), draw(C), widths.map((O) => draw(O, C))];
    const g = widths.map((O) => draw(...rows, O));
    const [fused, plain] = [matrixOf(weights), matrixOf(weights)];
    const ends = widths.map((_, i) => widths.slice(0, i + 1).reduce((sum, O) => sum + O, 0));
    expect(await passOf((u, n, ...w) => t.fp8NormLinears(u!, n!, w, fused, { calibrate }), [x, norm, ...weights], g, [fused.scaling])).toEqual(
      await passOf((u, n, ...w) => {
        const y = t.fp8Linear(t.rmsNorm(u!, n!), below(w), plain, { calibrate });
        return widths.map((O, i) => t.slice(y, -1, ends[i]! - O, ends[i]!));
      }, [x, norm, ...weights], g, [plain.scaling]),
    );
  }), { numRuns: 60 });
});

test("fp8FeedForward is a norm, a gated unit between two linear layers, and the residual", async () => {
  await fc.assert(fc.asyncProperty(sizes, async ({ rows, C, widths: [F], calibrate, seed }) => {
    const draw = drawing(seed);
    const [x, norm, gate, up, down, g] = [draw(...rows, C), draw(C), draw(F!, C), draw(F!, C), draw(C, F!), draw(...rows, C)];
    const matrices = [0, 1].map(() => ({ gateUp: matrixOf([gate, up]), down: matrixOf([down]) }));
    const [fused, plain] = [matrices[0]!, matrices[1]!];
    const scalings = [fused, plain].map((pair) => [pair.gateUp.scaling, pair.down.scaling]);
    const got = await passOf(
      (u, n, a, b, c) => [t.fp8FeedForward(u!, n!, { gate: a!, up: b!, down: c! }, fused.gateUp, fused.down, { calibrate })],
      [x, norm, gate, up, down], [g], scalings[0]!,
    );
    const wanted = await passOf((u, n, a, b, c) => {
      const both = t.fp8Linear(t.rmsNorm(u!, n!), below([a!, b!]), plain.gateUp, { calibrate });
      const h = t.swiglu(t.slice(both, -1, 0, F!), t.slice(both, -1, F!, 2 * F!));
      return [t.fp8Linear(h, c!, plain.down, { residual: u!, calibrate })];
    }, [x, norm, gate, up, down], [g], scalings[1]!);
    // The gradient of x is a sum of two, in either order.
    expect(got).toEqual(wanted);
  }), { numRuns: 60 });
});

test("gradients of weights are computed only where they are asked for, and a result that is not used has none", async () => {
  const draw = drawing(1);
  const [x, norm, query, key, gate, up, down] = [draw(4, 3), draw(3), draw(2, 3), draw(5, 3), draw(6, 3), draw(6, 3), draw(3, 6)];
  const matrix = matrixOf([query, key]);
  const [gateUp, last] = [matrixOf([gate, up]), matrixOf([down])];
  const norms = t.run(t.fp8NormLinearsGradOp, [x, norm, draw(4), matrix.scaling, matrix.transposed, null, null, draw(4, 2), draw(4, 5)], { eps: 1e-5, calibrate: false, needsWeights: false });
  expect(norms.map(({ shape }) => shape)).toEqual([[4, 3], [3], [0, 3], [3, 0], [0, 3], [0, 3]]);
  const whole = t.run(t.fp8FeedForwardGradOp, [
    draw(4, 3), x, norm, draw(4), draw(4, 12), gateUp.scaling, gateUp.transposed, last.scaling, last.transposed, null, null, draw(4, 3), null,
  ], { eps: 1e-5, calibrate: false, needsWeights: false });
  expect(whole.map(({ shape }) => shape)).toEqual([[4, 3], [3], [0, 3], [0, 3], [0, 6], [0, 3], [3, 0]]);
  const [, gradients] = t.valueAndGrad((p: { key: t.Tensor }) => t.sum(t.fp8NormLinears(x, norm, [query, p.key], matrix)[0]!))({ key });
  expect([...(await gradients.key.read())]).toEqual(new Array(15).fill(0));
});

test("says what does not fit", () => {
  const draw = drawing(2);
  const [x, norm, gate, down] = [draw(4, 3), draw(3), draw(6, 3), draw(3, 6)];
  const [matrix, last] = [matrixOf([gate, gate]), matrixOf([down])];
  expect(() => t.fp8NormLinears(x, draw(2), [gate, gate], matrix)).toThrow("fp8NormLinears: expected x [..., C] and a norm [C], got [4, 3] and [2]");
  expect(() => t.fp8NormLinears(x, norm, [gate], matrix)).toThrow("expected weights that fill a matrix [12, 3], got [6, 3]");
  expect(() => t.fp8NormLinears(draw(4, 2), draw(2), [gate, gate], matrix)).toThrow("fp8NormLinears: expected weights [O_i, 2], got [6, 3]");
  expect(() => t.fp8FeedForward(x, norm, { gate, up: gate, down: gate }, matrix, last)).toThrow("fp8FeedForward: expected gate and up [F, 3] and down [3, F], got [6, 3], [6, 3], [6, 3]");
  expect(() => t.fp8FeedForward(x, t.cast(norm, "bf16"), { gate, up: gate, down }, matrix, last)).toThrow("expected one float dtype, got f32, bf16");
});
