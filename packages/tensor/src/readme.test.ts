import { readFileSync } from "node:fs";

import { gradcheck, hostTensor } from "@danu/testing";
import { expect, test, vi } from "vitest";

import {
  add, assign, defineOp, disposeTree, matmul, mean, mul, referenceDevice, run, scope, sub, tanh, tensor, valueAndGrad,
  zeros, type Op, type Tensor,
} from "./index.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const source = readFileSync(new URL(import.meta.url), "utf8");

/** The lines of this file between two markers, without their indent. */
function between(marker: string): string {
  const lines = source.split("\n");
  const start = lines.findIndex((line) => line.trim() === `// ${marker}`);
  const end = lines.findIndex((line) => line.trim() === `// end of ${marker}`);
  const indent = lines[start]!.length - lines[start]!.trimStart().length;
  return lines.slice(start + 1, end).map((line) => line.slice(indent)).join("\n");
}

test("the first example learns slope and offset", async () => {
  const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
  // the first example
  const device = referenceDevice();
  const x = tensor(device, [0, 1, 2, 3, 4, 5], [6, 1]);
  const y = tensor(device, [1, 3, 5, 7, 9, 11], [6, 1]);
  const params = { slope: zeros(device, [1, 1]), offset: zeros(device, [1]) };

  const lossAndGradients = valueAndGrad((p: typeof params) => {
    const error = sub(add(matmul(x, p.slope), p.offset), y);
    return mean(mul(error, error));
  });
  for (let step = 0; step < 500; step++) {
    scope(() => {
      const [, gradients] = lossAndGradients(params);
      assign(params.slope, sub(params.slope, mul(gradients.slope, 0.05)));
      assign(params.offset, sub(params.offset, mul(gradients.offset, 0.05)));
    });
  }
  console.log(await params.slope.item(), await params.offset.item());
  // end of the first example
  const [slope, offset] = log.mock.calls[0] as [number, number];
  log.mockRestore();
  expect(slope).toBeCloseTo(2, 3);
  expect(offset).toBeCloseTo(1, 3);
  disposeTree([x, y, params]);
  expect(device.liveBuffers).toBe(0);
  expect(readme).toContain(between("the first example"));
});

// the op
const softcapOp: Op<readonly [Tensor], readonly [Tensor], { readonly cap: number }> = defineOp({
  name: "softcap",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  vjp: ([g], _, [y], { cap }) => [g && sub(g, mul(g, mul(mul(y, y), 1 / cap ** 2)))],
  decompose: ([x], { cap }) => [mul(tanh(mul(x, 1 / cap)), cap)],
  saves: { inputs: [], outputs: [0] },
});
// end of the op

test("the op of the README has the gradient it claims", async () => {
  await gradcheck((x) => run(softcapOp, [x!], { cap: 0.7 })[0], [hostTensor("f32", [5], 3)]);
  expect(readme).toContain(between("the op"));
});
