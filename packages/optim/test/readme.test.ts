import * as tensor from "@danu/tensor";
import { runExample } from "@danu/testing";
import { expect, test } from "vitest";

import * as subject from "../src/index.ts";

test("the example finds the three numbers", async () => {
  const printed = await runExample(new URL("../README.md", import.meta.url), { "@danu/optim": subject, "@danu/tensor": tensor });
  const [w] = printed[0] as [Float32Array];
  [1, -2, 3].forEach((wanted, i) => expect(w[i]).toBeCloseTo(wanted, 1));
});
