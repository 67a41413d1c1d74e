import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { cpuDevice } from "@danu/cpu";
import {
  decode, disposeTree, leavesOf, referenceDevice, scope, tensor, valueAndGrad, type Device, type Tensor,
} from "@danu/tensor";
import { relativeError } from "@danu/testing";
import { afterAll, describe, expect, test } from "vitest";

import {
  Decoder, fromSafetensorsDType, huggingFaceNames, loadParameters, openModelFolder, openSafetensors, type DecoderInput,
} from "../src/index.ts";

const golden = fileURLToPath(new URL("../../testing/golden/decoder/", import.meta.url));
const cases = ["mistral-window", "mistral-head-dim-80-theta-100000", "mistral-tied", "mistral-untied", "llama", "packed-documents"];

async function readExpected(name: string): Promise<Map<string, { values: ArrayLike<number>; shape: readonly number[] }>> {
  await using file = await openSafetensors(`${golden}${name}/expected.safetensors`);
  const tensors = new Map<string, { values: ArrayLike<number>; shape: readonly number[] }>();
  for (const key of file.names) {
    const { dtype, shape } = file.info(key);
    tensors.set(key, { values: decode(fromSafetensorsDType(dtype)!, await file.read(key)), shape });
  }
  return tensors;
}

const devices: Record<string, () => Device> = { reference: () => referenceDevice(), cpu: () => cpuDevice() };

describe.each(Object.keys(devices))("decoder on %s, against transformers in float64", (deviceName) => {
  const device = devices[deviceName]!();
  afterAll(() => device[Symbol.dispose]());

  test.each(cases)("%s: logits, loss and every gradient", async (name) => {
    const expected = await readExpected(name);
    const { lossReduction } = JSON.parse(readFileSync(`${golden}${name}/case.json`, "utf8")) as { lossReduction?: string };
    await using folder = await openModelFolder(`${golden}${name}`);
    const params = await loadParameters(device, folder.weights, folder.config);
    const ids = expected.get("input_ids")!;
    const [B, T] = ids.shape as [number, number];
    const integers = (key: string, fallback: ArrayLike<number>): Tensor => (
      tensor(device, expected.get(key)?.values ?? fallback, [B, T], "i32")
    );
    const input: DecoderInput = {
      ids: integers("input_ids", []),
      positions: integers("positions", Array.from({ length: B * T }, (_, i) => i % T)),
      documentStart: expected.has("document_starts") ? integers("document_starts", []) : null,
    };
    const targets = integers("targets", []);
    const trained = Array.from(expected.get("targets")!.values).filter((id) => id !== -100).length;
    const scale = lossReduction === "sum" ? 1 : 1 / trained;

    using decoder = new Decoder(device, folder.config, 64);
    const logits = decoder.logits(params, input);
    expect(relativeError(await logits.read(), expected.get("logits")!.values)).toBeLessThan(2e-5);

    const [loss, gradients] = scope(() => valueAndGrad((p: typeof params) => decoder.loss(p, input, targets, scale))(params));
    expect(relativeError(await loss.read(), expected.get("loss")!.values)).toBeLessThan(1e-5);
    const names = leavesOf(gradients).map(({ path }) => path);
    const huggingFace = new Map<string, string>();
    const flat = (node: unknown, path: string): void => {
      if (typeof node === "string") huggingFace.set(path, node);
      else if (node !== null) for (const [key, child] of Object.entries(node as object)) flat(child, path === "" ? key : `${path}.${key}`);
    };
    flat(huggingFaceNames(folder.config), "");
    expect(names.length).toBe([...expected.keys()].filter((key) => key.startsWith("grad.")).length);
    for (const { path, tensor: gradient } of leavesOf(gradients)) {
      const truth = expected.get(`grad.${huggingFace.get(path)}`)!.values;
      expect(relativeError(await gradient.read(), truth), path).toBeLessThan(1e-4);
    }
    disposeTree([logits, loss, gradients, params, input.ids, input.positions, targets]);
    input.documentStart?.dispose();
  });
});
