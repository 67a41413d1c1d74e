import { linearOp, referenceDevice, sumOp, swigluOp, type KernelOf, type ReferenceDevice } from "@danu/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { times } from "../arbitraries.ts";
import type { ConformanceCase } from "./case.ts";
import { checkGradients, checkOutputs } from "./check.ts";
import { expectWithin } from "./compare.ts";
import { fusedCases } from "./fused.ts";
import { primitiveCases } from "./primitives.ts";

const oracle = referenceDevice({ precision: "f64" });

function caseOf(name: string): ConformanceCase {
  return [...primitiveCases, ...fusedCases].find((tests) => tests.op.name === name)!;
}

/** What the conformance suite finds about one op of a device. */
async function verdict(
  device: ReferenceDevice,
  name: string,
  check: typeof checkOutputs = checkOutputs
): Promise<string> {
  const tests = caseOf(name);
  const result = await fc.check(
    fc.asyncProperty(tests.sample("f32"), (sample) => check(device, oracle, tests, sample)),
    times(60)
  );
  return result.failed ? String((result.errorInstance as Error).message) : "passes";
}

describe("the conformance suite notices", () => {
  test("a sum that starts from its second term, or that drops NaN", async () => {
    const lines =
      (device: ReferenceDevice, from: number, term: (x: number) => number): KernelOf<typeof sumOp> =>
      ([y], [x], { axis }) => {
        const inner = x.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
        const n = x.shape[axis]!;
        const values = device.load(x);
        device.store(
          y,
          Float64Array.from({ length: y.size }, (_, i) => {
            let total = 0;
            for (let r = from; r < n; r++)
              total += term(values[(Math.floor(i / inner) * n + r) * inner + (i % inner)]!);
            return total;
          })
        );
      };
    const device = referenceDevice();
    expect(
      await verdict(
        device.provide(
          sumOp,
          lines(device, 0, (x) => x)
        ),
        "sum"
      )
    ).toBe("passes");
    expect(
      await verdict(
        device.provide(
          sumOp,
          lines(device, 1, (x) => x)
        ),
        "sum"
      )
    ).toContain("sum output 0");
    expect(
      await verdict(
        device.provide(
          sumOp,
          lines(device, 0, (x) => (Number.isNaN(x) ? 0 : x))
        ),
        "sum"
      )
    ).toContain("expected NaN");
    expect(
      await verdict(
        device.provide(
          sumOp,
          lines(device, 0, (x) => x * (1 + 1e-6))
        ),
        "sum"
      )
    ).toContain("out of bounds");
  });

  test("a kernel that is not repeatable", async () => {
    const device = referenceDevice();
    let calls = 0;
    device.provide(swigluOp, ([y]) => device.store(y, new Float64Array(y.size).fill(calls++)));
    expect(await verdict(device, "swiglu")).toContain("same bits in a second run");
  });

  test("a fused kernel that ignores an optional input", async () => {
    const device = referenceDevice();
    device.provide(linearOp, ([y], [x, weight]) => {
      const plain = linearOp.decompose!([x, weight, null], null)[0];
      device.store(y, device.load(plain));
      plain.dispose();
    });
    expect(await verdict(device, "linear")).toContain("linear output 0");
    expect(await verdict(device, "linear", checkGradients)).toBe("passes");
  });
});

describe("bounds", () => {
  const within =
    (actual: number, exact: number, bound: Parameters<typeof expectWithin>[4], dtype: "f32" | "bf16" = "f32") =>
    () =>
      expectWithin("x", dtype, [actual], [exact], bound, [Math.abs(exact)]);

  test("round the exact result to the type of the output", () => {
    expect(within(1.0078125, 1.005, "value", "bf16")).not.toThrow();
    expect(within(1, 1.005, "value", "bf16")).toThrow("expected 1.005 ± 0, got 1, 1 steps of bf16 beyond");
    expect(within(Infinity, 1e39, "value")).not.toThrow();
    expect(within(Infinity, 3.4028235e38, { relative: 8 })).not.toThrow();
    expect(within(Infinity, 1e38, { relative: 8 })).toThrow("got Infinity");
  });

  test("tell the sign of zero only where bits are asked for", () => {
    expect(within(-0, 0, "value")).not.toThrow();
    expect(within(-0, 0, "bits")).toThrow("got 0");
  });

  test("let NaN be nothing but NaN", () => {
    expect(within(NaN, NaN, { relative: 8 })).not.toThrow();
    expect(within(NaN, 0, { absolute: 1e9 })).toThrow("got NaN");
    expect(within(0, NaN, { absolute: 1e9 })).toThrow("expected NaN");
  });
});
