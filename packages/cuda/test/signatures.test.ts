import { beforeAll, describe, expect, test, vi } from "vitest";

import type { Kernel } from "../src/kernel.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin, type StandinParameter } from "./standin/control.ts";

const kernels = vi.hoisted(() => [] as Kernel[]);

vi.mock("../src/kernel.ts", async (original) => {
  const actual = await original<typeof import("../src/kernel.ts")>();
  const defineKernel = (file: string, name: string, signature: string): Kernel => {
    const kernel = actual.defineKernel(file, name, signature);
    kernels.push(kernel);
    return kernel;
  };
  return { ...actual, defineKernel };
});

// Modules make their kernels when they are loaded.
await import("../src/index.ts");

// The driver takes a list of addresses on trust: nothing else compares what TypeScript passes with what a kernel takes.
describe.skipIf(twinMissing)(`signatures of kernels${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load([...new Set(kernels.map(({ file }) => file))]);
  }, 600_000);

  test("are those of the compiled kernels", () => {
    expect(kernels.length).toBeGreaterThan(0);
    const expected = kernels.map(({ file, name }) => {
      const compiled = standin.parameters(file, name);
      return `${name} of ${file}.cu: ${compiled?.map(({ type, offset }) => `${type} at ${offset}`).join(", ") ?? "missing"}; ${bytesOf(compiled ?? [])} bytes`;
    });
    const passed = kernels.map(({ file, name, slots, parameters, bytes }) => {
      const compiled = standin.parameters(file, name) ?? [];
      // Of a struct the compiled kernel tells no more than its size.
      const types = parameters.map((offset, i) => (compiled[i]?.type === "s" ? "s" : slots.find((slot) => slot.offset === offset)?.type));
      return `${name} of ${file}.cu: ${parameters.map((offset, i) => `${types[i]} at ${offset}`).join(", ")}; ${bytes} bytes`;
    });
    expect(passed).toEqual(expected);
  });
});

function bytesOf(parameters: readonly StandinParameter[]): number {
  const last = parameters.at(-1);
  return last === undefined ? 0 : last.offset + last.bytes;
}
