import * as tensor from "@danu/tensor";
import { runExample } from "@danu/testing";
import { expect, test } from "vitest";

import * as subject from "../src/index.ts";

test("the example sums over two ranks", async () => {
  const printed = await runExample(new URL("../README.md", import.meta.url), { "@danu/ddp": subject, "@danu/tensor": tensor });
  expect(printed).toEqual([[[[4, 6, 40], [4, 6, 40]]]]);
});
