import { cpuDevice } from "@danu/cpu";
import {
  disposeTree,
  leavesOf,
  scope,
  tensor,
  valueAndGrad,
  type Device,
  type MapTree,
  type Tensor,
} from "@danu/tensor";
import { hostIntegers, seeds, times } from "@danu/testing";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";

import { Decoder, initialize, preset, type DecoderParameters } from "../src/index.ts";

const V = 50;
const config = {
  ...preset("nano"),
  hiddenSize: 48,
  intermediateSize: 100,
  layers: 2,
  heads: 4,
  keyValueHeads: 2,
  headDim: 12,
  vocabularySize: V,
  initializerRange: 0.2,
  slidingWindow: 9,
};
const device: Device = cpuDevice({ threads: 2 });
const decoder = new Decoder(device, config, 100);
const params = initialize(device, config, 1);
const lossAndGradients = valueAndGrad((p: DecoderParameters, documents: readonly Rows[]) => {
  const { ids, targets, positions, starts } = joined(documents);
  const row = (values: readonly number[]): Tensor => tensor(device, values, [1, values.length], "i32");
  return decoder.loss(p, { ids: row(ids), positions: row(positions), documentStart: row(starts) }, row(targets));
});

afterAll(() => {
  disposeTree(params);
  decoder[Symbol.dispose]();
  expect(device.liveBuffers).toBe(0);
  device[Symbol.dispose]();
});

/** Tokens of a document, and what follows each of them; the last one has nothing to predict. */
interface Rows {
  readonly ids: readonly number[];
  readonly targets: readonly number[];
}

/** Documents one after another, with every token's position in its document and the index of that one's first. */
function joined(documents: readonly Rows[]): Rows & { readonly positions: number[]; readonly starts: number[] } {
  const [ids, targets, positions, starts]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (const document of documents) {
    const start = ids.length;
    document.ids.forEach((_, i) => {
      positions.push(i);
      starts.push(start);
    });
    ids.push(...document.ids);
    targets.push(...document.targets);
  }
  return { ids, targets, positions, starts };
}

async function read(run: () => [Tensor, MapTree<DecoderParameters, Tensor>]): Promise<Map<string, Float64Array>> {
  const [loss, gradients] = scope(run);
  const values = new Map([["loss", Float64Array.from(await loss.read())]]);
  for (const { path, tensor: gradient } of leavesOf(gradients))
    values.set(path, Float64Array.from(await gradient.read()));
  disposeTree([loss, gradients]);
  return values;
}

test("a packed row has the loss and the gradients of its documents one by one", async () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 2, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(lengths, seeds, async (sizes, seed) => {
      const documents = sizes.map((length, i): Rows => {
        const ids = hostIntegers("i32", [length], seed + i, V).values;
        return { ids, targets: [...ids.slice(1), -100] };
      });
      const packed = await read(() => lossAndGradients(params, documents));
      const total = new Map<string, Float64Array>();
      for (const document of documents) {
        for (const [path, values] of await read(() => lossAndGradients(params, [document]))) {
          const sum = total.get(path) ?? new Float64Array(values.length);
          total.set(
            path,
            sum.map((value, i) => value + values[i]!),
          );
        }
      }
      expect([...total.keys()]).toEqual([...packed.keys()]);
      for (const [path, values] of packed) {
        const truth = total.get(path)!;
        const scale = truth.reduce((top, value) => Math.max(top, Math.abs(value)), 0.01);
        const difference = truth.reduce((top, value, i) => Math.max(top, Math.abs(value - values[i]!)), 0);
        expect(difference / scale, path).toBeLessThan(1e-5);
      }
    }),
    times(6),
  );
});

test("without the document mask the loss is another", async () => {
  const document = { ids: [1, 2, 3, 4, 5, 6], targets: [2, 3, 4, 5, 6, 7] };
  const { ids, targets, positions } = joined([document, document]);
  const row = (values: readonly number[]): Tensor => tensor(device, values, [1, values.length], "i32");
  const losses = scope(() => [
    decoder.loss(params, { ids: row(ids), positions: row(positions), documentStart: null }, row(targets)),
    lossAndGradients(params, [document, document])[0],
  ]) as [Tensor, Tensor];
  const [unmasked, masked] = [await losses[0].item(), await losses[1].item()];
  expect(Math.abs(unmasked - masked)).toBeGreaterThan(1e-2);
  disposeTree(losses);
});
