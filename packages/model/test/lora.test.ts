import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { cpuDevice } from "@danu/cpu";
import {
  decode, disposeTree, leavesOf, referenceDevice, scope, tensor, valueAndGrad, type Device, type Tensor,
} from "@danu/tensor";
import { relativeError } from "@danu/testing";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";

import {
  adapt, Decoder, defaultLora, fromSafetensorsDType, initialize, initializeLora, loadParameters, LoraError, mergeLora,
  openModelFolder, openSafetensors, readAdapter, writeAdapter,
  type DecoderConfig, type DecoderInput, type LoraConfig, type LoraParameters,
} from "../src/index.ts";

const golden = fileURLToPath(new URL("../../testing/golden/", import.meta.url));

const small: DecoderConfig = {
  hiddenSize: 16, intermediateSize: 24, layers: 2, heads: 4, keyValueHeads: 2, headDim: 4, vocabularySize: 40,
  maxPositions: 32, slidingWindow: 5, ropeTheta: 10000, rmsNormEps: 1e-5, tieEmbeddings: false, initializerRange: 0.3,
  bosId: 1, eosId: 2, padId: null, dtype: "f32",
};

function inputOf(device: Device, ids: readonly number[]): DecoderInput {
  const row = (values: readonly number[]): Tensor => tensor(device, values, [1, ids.length], "i32");
  return { ids: row(ids), positions: row(ids.map((_, i) => i)), documentStart: null };
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "danu-lora-"));
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An adapter whose B is not zero any more. */
async function trained(device: Device, lora: LoraConfig, params: Parameters<typeof adapt>[0]): Promise<LoraParameters> {
  const adapter = await initializeLora(device, small, lora, params, 3);
  const other = await initializeLora(device, { ...small, initializerRange: 1 }, lora, params, 4);
  const swapped = adapter.blocks.map((block, i) => Object.fromEntries(Object.entries(block).map(([target, factors]) => {
    const a = other.blocks[i]![target as "query"]!.a;
    const [rank, outputs] = [factors.b.shape[1]!, factors.b.shape[0]!];
    const values = Float32Array.from({ length: rank * outputs }, (_, j) => Math.sin(j + i) * 0.1);
    factors.b.dispose();
    a.dispose();
    other.blocks[i]![target as "query"]!.b.dispose();
    return [target, { ...factors, b: tensor(device, values, [outputs, rank]) }];
  })));
  return { blocks: swapped };
}

const devices: Record<string, () => Device> = { reference: () => referenceDevice(), cpu: () => cpuDevice() };

describe.each(Object.keys(devices))("LoRA on %s", (deviceName) => {
  const device = devices[deviceName]!();
  afterAll(() => device[Symbol.dispose]());

  test.each(["lora", "rslora", "attention-only", "dora"])("%s: logits, loss and gradients of peft in float64", async (name) => {
    const expected = new Map<string, { values: ArrayLike<number>; shape: readonly number[] }>();
    await using file = await openSafetensors(`${golden}lora/${name}/expected.safetensors`);
    for (const key of file.names) {
      const { dtype, shape } = file.info(key);
      expected.set(key, { values: decode(fromSafetensorsDType(dtype)!, await file.read(key)), shape });
    }
    await using folder = await openModelFolder(`${golden}decoder/mistral-untied`);
    const params = await loadParameters(device, folder.weights, folder.config);
    const { lora, adapter } = await readAdapter(device, `${golden}lora/${name}`, folder.config);
    const [B, T] = expected.get("input_ids")!.shape as [number, number];
    const rows = (values: ArrayLike<number>): Tensor => tensor(device, values, [B, T], "i32");
    const input: DecoderInput = {
      ids: rows(expected.get("input_ids")!.values),
      positions: rows(Array.from({ length: B * T }, (_, i) => i % T)),
      documentStart: null,
    };
    const targets = rows(expected.get("targets")!.values);
    using decoder = new Decoder(device, folder.config, 64);
    const logits = decoder.logits(adapt(params, adapter, lora), input);
    expect(relativeError(await logits.read(), expected.get("logits")!.values)).toBeLessThan(2e-5);

    const [loss, gradients] = scope(() => valueAndGrad((p: LoraParameters) => (
      decoder.loss(adapt(params, p, lora), input, targets, 1 / (B * (T - 1)))
    ))(adapter));
    expect(relativeError(await loss.read(), expected.get("loss")!.values)).toBeLessThan(1e-5);
    const moduleOf = { query: "self_attn.q_proj", key: "self_attn.k_proj", value: "self_attn.v_proj", output: "self_attn.o_proj",
      gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj" } as Record<string, string>;
    const partOf = { a: "lora_A.weight", b: "lora_B.weight", magnitude: "lora_magnitude_vector" } as Record<string, string>;
    const leaves = leavesOf(gradients);
    expect(leaves.length).toBe([...expected.keys()].filter((key) => key.startsWith("grad.")).length);
    for (const { path, tensor: gradient } of leaves) {
      const [, block, target, part] = path.split(".");
      const key = `grad.base_model.model.model.layers.${block}.${moduleOf[target!]}.${partOf[part!]}`;
      expect(relativeError(await gradient.read(), expected.get(key)!.values), path).toBeLessThan(1e-4);
    }
    disposeTree([logits, loss, gradients, params, adapter, input.ids, input.positions, targets]);
  });

  test.each([{}, { rankStabilized: true }, { dora: true }])("merged weights give what the adapter gives: %o", async (settings) => {
    const lora: LoraConfig = { ...defaultLora, ...settings };
    const params = initialize(device, small, 1);
    const adapter = await trained(device, lora, params);
    using decoder = new Decoder(device, small);
    const input = inputOf(device, [1, 5, 7, 9, 30, 2, 8]);
    const adapted = decoder.logits(adapt(params, adapter, lora), input);
    const base = decoder.logits(params, input);
    mergeLora(params, adapter, lora);
    const merged = decoder.logits(params, input);
    expect(relativeError(await merged.read(), await adapted.read())).toBeLessThan(1e-5);
    expect(relativeError(await base.read(), await adapted.read())).toBeGreaterThan(1e-3);
    disposeTree([params, adapter, adapted, base, merged, input.ids, input.positions]);
  });

  test("an adapter with B = 0 leaves the bits of the logits", async () => {
    const params = initialize(device, small, 1);
    const adapter = await initializeLora(device, small, defaultLora, params, 2);
    using decoder = new Decoder(device, small);
    const input = inputOf(device, [1, 5, 7, 9]);
    const [base, adapted] = [decoder.logits(params, input), decoder.logits(adapt(params, adapter, defaultLora), input)];
    expect(await adapted.bytes()).toEqual(await base.bytes());
    disposeTree([params, adapter, base, adapted, input.ids, input.positions]);
  });

  test("dropout: the same for the same seed, another for another, none outside of training", async () => {
    const lora: LoraConfig = { ...defaultLora, dropout: 0.5 };
    const params = initialize(device, small, 1);
    const adapter = await trained(device, lora, params);
    using decoder = new Decoder(device, small);
    const input = inputOf(device, [1, 5, 7, 9]);
    const run = async (seed: number | null): Promise<string> => {
      const logits = decoder.logits(adapt(params, adapter, lora, seed), input);
      const values = String(await logits.read());
      logits.dispose();
      return values;
    };
    expect(await run(1)).toBe(await run(1));
    expect(await run(1)).not.toBe(await run(2));
    expect(await run(null)).toBe(await run(null));
    expect(await run(null)).not.toBe(await run(1));
    disposeTree([params, adapter, input.ids, input.positions]);
  });

  test("written and read again it is the same, and nothing is left", async () => {
    const folder = await temporaryFolder();
    for (const settings of [{}, { dora: true, targets: ["query", "down"] as const, rank: 3 }]) {
      const lora: LoraConfig = { ...defaultLora, ...settings };
      const params = initialize(device, small, 1);
      const adapter = await trained(device, lora, params);
      await writeAdapter(folder, adapter, small, lora, "base");
      const again = await readAdapter(device, folder, small);
      expect(again.lora).toEqual(lora);
      const [before, after] = [leavesOf(adapter), leavesOf(again.adapter)];
      expect(after.map((leaf) => leaf.path)).toEqual(before.map((leaf) => leaf.path));
      for (const [i, leaf] of after.entries()) expect(await leaf.tensor.read()).toEqual(await before[i]!.tensor.read());
      disposeTree([params, adapter, again.adapter]);
    }
  });
});

test("settings and files that are no adapter", async () => {
  using device = referenceDevice();
  const params = initialize(device, small, 1);
  const wrong: [Partial<LoraConfig>, RegExp][] = [
    [{ rank: 0 }, /rank of at least 1, got 0/],
    [{ alpha: NaN }, /alpha above 0/],
    [{ dropout: 1 }, /dropout from 0 to below 1/],
    [{ targets: [] }, /targets among query/],
    [{ targets: ["head" as "query"] }, /got "head"/],
  ];
  for (const [settings, message] of wrong) {
    await expect(initializeLora(device, small, { ...defaultLora, ...settings }, params, 1)).rejects.toThrow(message);
  }
  const folder = await temporaryFolder();
  const adapter = await initializeLora(device, small, defaultLora, params, 1);
  await writeAdapter(folder, adapter, small, defaultLora);
  const path = join(folder, "adapter_config.json");
  const settings = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  const broken: [Record<string, unknown>, RegExp][] = [
    [{ peft_type: "IA3" }, /expected peft_type to be LORA, got "IA3"/],
    [{ r: "4" }, /expected r to be a number/],
    [{ bias: "all" }, /expected bias to be "none"/],
    [{ target_modules: "all-linear" }, /a list of module names/],
    [{ target_modules: ["lm_head"] }, /names among q_proj/],
    [{ rank_pattern: { "q_proj": 8 } }, /rank_pattern/],
    [{ r: 5 }, /expected .*lora_A.weight of \[5, 16\], got \[4, 16\]/],
  ];
  for (const [change, message] of broken) {
    await writeFile(path, JSON.stringify({ ...settings, ...change }));
    await expect(readAdapter(device, folder, small)).rejects.toThrow(message);
  }
  await writeFile(path, JSON.stringify({ ...settings, r: 0 }));
  await expect(readAdapter(device, folder, small)).rejects.toThrow(LoraError);
  disposeTree([params, adapter]);
  expect(device.liveBuffers).toBe(0);
});
