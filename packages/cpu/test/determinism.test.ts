import { createHash } from "node:crypto";

import { Decoder, initialize, preset, type DecoderParameters } from "@danu/model";
import { cast, disposeTree, leavesOf, mapTree, scope, tensor, valueAndGrad, type DType } from "@danu/tensor";
import { hostIntegers, upload } from "@danu/testing";
import { expect, test } from "vitest";

import { bestIsa, cpuDevice, isasUpTo, type Isa } from "../src/index.ts";

const [B, T] = [3, 75];
const config = {
  ...preset("nano"),
  hiddenSize: 96,
  intermediateSize: 200,
  layers: 2,
  heads: 6,
  keyValueHeads: 2,
  headDim: 16,
  vocabularySize: 500,
  slidingWindow: 20,
};

/** A hash of the loss of a decoder and of every gradient, over packed documents. */
async function lossAndGradients(isa: Isa, threads: number, dtype: DType): Promise<string> {
  using device = cpuDevice({ isa, threads });
  using decoder = new Decoder(device, config, T);
  const masters = initialize(device, config, 11);
  const params = mapTree(masters, (x) => cast(x, dtype)) as unknown as DecoderParameters;
  const input = {
    ids: upload(device, hostIntegers("i32", [B, T], 1, config.vocabularySize)),
    positions: tensor(
      device,
      Array.from({ length: B * T }, (_, i) => (i % T) % 30),
      [B, T],
      "i32",
    ),
    documentStart: tensor(
      device,
      Array.from({ length: B * T }, (_, i) => Math.floor((i % T) / 30) * 30),
      [B, T],
      "i32",
    ),
  };
  const targets = upload(device, hostIntegers("i32", [B, T], 2, config.vocabularySize));
  const [loss, gradients] = scope(() =>
    valueAndGrad((p: DecoderParameters) => decoder.loss(p, input, targets, 1 / (B * T)))(params),
  );
  const hash = createHash("sha256");
  expect(Math.abs((await loss.item()) - Math.log(config.vocabularySize))).toBeLessThan(0.2);
  for (const { tensor: leaf } of leavesOf([loss, gradients])) hash.update(await leaf.bytes());
  disposeTree(dtype === "f32" ? [loss, gradients] : [loss, gradients, masters]);
  return hash.digest("hex");
}

test.each(isasUpTo(bestIsa()))(
  "%s: loss and gradients of a decoder have the same bits for 1, 2 and 3 threads",
  async (isa) => {
    for (const dtype of ["f32", "bf16"] as const) {
      const one = await lossAndGradients(isa, 1, dtype);
      for (const threads of [1, 2, 3])
        expect(await lossAndGradients(isa, threads, dtype), `${dtype}, ${threads} threads`).toBe(one);
    }
  },
);
