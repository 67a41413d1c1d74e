import { defineOp, exp, mul, run, stopGradient, type Op, type Tensor } from "@danu/tensor";
import { expect, test } from "vitest";

import { gradcheck } from "./gradcheck.ts";
import { hostTensor } from "./host-tensor.ts";

test("a right gradient passes, for every input", async () => {
  await gradcheck((a, b) => mul(exp(a!), b!), [hostTensor("f32", [2, 3], 1), hostTensor("f32", [3], 2)]);
});

test("a wrong, a missing and a partly missing gradient fail, and the input is named", async () => {
  const halved: Op<readonly [Tensor], readonly [Tensor], null> = defineOp({
    name: "halved",
    infer: ([x]) => [x],
    vjp: ([g]) => [g && mul(g, 0.499)],
    decompose: ([x]) => [mul(x, 0.5)],
  });
  const x = [hostTensor("f32", [2], 1), hostTensor("f32", [2], 2)];
  await expect(gradcheck((a, b) => mul(a!, run(halved, [b!], null)[0]), x)).rejects.toThrow(
    "gradient of input 1 [2]: 2 of 2 values differ"
  );
  await expect(gradcheck((a) => stopGradient(a!), x.slice(0, 1))).rejects.toThrow("gradient of input 0 [2]");
  await expect(gradcheck((a) => mul(a!, stopGradient(a!)), x.slice(0, 1))).rejects.toThrow("gradient of input 0 [2]");
});
