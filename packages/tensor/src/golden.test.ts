import { expectClose, goldenCases, type GoldenCase, type GoldenTensor } from "@danu/testing";
import { describe, expect, test } from "vitest";

import * as t from "./index.ts";

const device = t.referenceDevice({ precision: "f64" });

function put({ shape, data }: GoldenTensor, dtype: t.DType = "f32"): t.Tensor {
  return t.tensor(device, data, shape, dtype);
}

function attribute(golden: GoldenCase, name: string): GoldenTensor {
  return golden.attributes[name] as GoldenTensor;
}

/** Cross-entropy of given logits, as the head that is the identity gives it. */
function crossEntropy(golden: GoldenCase): (logits: t.Tensor) => t.Tensor {
  const targets = attribute(golden, "targets");
  const counted =
    golden.attributes["reduction"] === "mean" ? targets.data.filter((id) => id !== t.ignoreIndex).length : 1;
  return (logits) => {
    const V = logits.shape[1]!;
    const identity = t.tensor(
      device,
      Array.from({ length: V * V }, (_, i) => Number(i % (V + 1) === 0)),
      [V, V]
    );
    return golden.attributes["reduction"] === "none"
      ? t.tokenLosses(logits, identity, put(targets, "i32"))
      : t.linearCrossEntropy(logits, identity, put(targets, "i32"), { scale: 1 / counted });
  };
}

/** How each golden op is called here, its inputs in the order of the file. */
const functions: Readonly<Record<string, (golden: GoldenCase) => (...x: t.Tensor[]) => t.Tensor>> = {
  rmsNorm:
    ({ attributes }) =>
    (x, weight) =>
      t.rmsNorm(x!, weight!, attributes["eps"] as number),
  swiglu: () => (gate, up) => t.swiglu(gate!, up!),
  softmax: () => (x) => t.softmax(x!),
  embedding: (golden) => (table) => t.embedding(put(attribute(golden, "ids"), "i32"), table!),
  crossEntropy: crossEntropy as (golden: GoldenCase) => (...x: t.Tensor[]) => t.Tensor,
};

describe.each(Object.keys(functions))("%s equals PyTorch in double precision", (op) => {
  test.each(goldenCases(op))("$name", async (golden) => {
    const [y, gradients] = t.scope(() => {
      const { y: outputs, pull } = t.pullback(
        (...x) => [functions[op]!(golden)(...x)] as const,
        Object.values(golden.inputs).map((x) => put(x))
      );
      return [outputs[0], pull([put(golden.outputGradient)])] as const;
    });
    expectClose(await y.read(), golden.output.data, { rtol: 1e-10, atol: 1e-12 });
    for (const [i, name] of Object.keys(golden.inputs).entries()) {
      expectClose(await gradients[i]!.read(), golden.gradients[name]!.data, { rtol: 1e-8, atol: 1e-10 });
    }
    t.disposeTree([y, gradients]);
    expect(device.liveBuffers).toBe(0);
  });
});
