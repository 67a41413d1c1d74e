import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { encode, type Device, type DType, type Tensor } from "@danu/tensor";

import type { DecoderConfig } from "../config.ts";
import { loadTensor } from "../decoder/weights.ts";
import { readJsonObject } from "../folder/files.ts";
import { fileError } from "../safetensors/errors.ts";
import { openSafetensors, torchMetadata, type TensorSource } from "../safetensors/index.ts";
import { writeTogether } from "../safetensors/staged-files.ts";
import { stageSafetensors } from "../safetensors/writer.ts";
import { checkLora, LoraError, loraTargets, mapLora, type LoraConfig, type LoraParameters, type LoraTarget } from "./lora.ts";

const configName = "adapter_config.json";
const weightsName = "adapter_model.safetensors";

/** PEFT's name of every target. */
const moduleNames: Readonly<Record<LoraTarget, string>> = {
  query: "q_proj", key: "k_proj", value: "v_proj", output: "o_proj", gate: "gate_proj", up: "up_proj", down: "down_proj",
};

const partNames = { a: "lora_A.weight", b: "lora_B.weight", magnitude: "lora_magnitude_vector" } as const;

/** PEFT's name of a part of an adapter, from the name of the weight that it adapts. */
function peftName(weight: string, part: keyof typeof partNames): string {
  return `base_model.model.${weight.replace(/weight$/, "")}${partNames[part]}`;
}

/** Writes an adapter as PEFT does: `adapter_config.json` and `adapter_model.safetensors`, together or not at all.
 *  @param baseModel where the weights are that it adapts, as PEFT will look for them
 *  @throws FileError if the folder cannot be written to */
export async function writeAdapter(
  path: string, adapter: LoraParameters, config: DecoderConfig, lora: LoraConfig, baseModel: string | null = null,
): Promise<void> {
  const tensors: TensorSource[] = [];
  mapLora(config, lora, (weight, part, shape, target, block) => {
    const tensor = adapter.blocks[block]![target]![part]!;
    tensors.push({ name: peftName(weight, part), dtype: "F32", shape, read: async () => encode("f32", await tensor.read()) });
  });
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw fileError("write", path, error);
  }
  await writeTogether(async (files) => {
    await stageSafetensors(files, join(path, weightsName), tensors, { metadata: torchMetadata });
    const settings = `${JSON.stringify(toPeft(lora, baseModel), null, 2)}\n`;
    await files.add(join(path, configName), (sink) => sink.write(Buffer.from(settings)));
  });
}

/** Reads an adapter that PEFT or `writeAdapter` wrote. The caller owns it.
 *  @throws LoraError if it is of another kind, ConfigError if it does not fit the model  @throws FileError */
export async function readAdapter(
  device: Device, path: string, config: DecoderConfig, dtype: DType = "f32",
): Promise<{ readonly lora: LoraConfig; readonly adapter: LoraParameters }> {
  const lora = fromPeft(await readJsonObject(join(path, configName)), path);
  await using weights = await openSafetensors(join(path, weightsName));
  const loaded = new Map<string, Tensor>();
  const wanted: { name: string; shape: readonly number[] }[] = [];
  mapLora(config, lora, (weight, part, shape) => wanted.push({ name: peftName(weight, part), shape }));
  try {
    for (const { name, shape } of wanted) loaded.set(name, await loadTensor(device, weights, name, shape, dtype));
  } catch (error) {
    for (const tensor of loaded.values()) tensor.dispose();
    throw error;
  }
  return { lora, adapter: mapLora(config, lora, (weight, part) => loaded.get(peftName(weight, part))!) };
}

function toPeft(lora: LoraConfig, baseModel: string | null): Readonly<Record<string, unknown>> {
  return {
    peft_type: "LORA", task_type: "CAUSAL_LM", base_model_name_or_path: baseModel,
    r: lora.rank, lora_alpha: lora.alpha, lora_dropout: lora.dropout,
    target_modules: lora.targets.map((target) => moduleNames[target]),
    use_rslora: lora.rankStabilized, use_dora: lora.dora,
    bias: "none", fan_in_fan_out: false, init_lora_weights: true, inference_mode: true, modules_to_save: null,
  };
}

/** Settings that change the mathematics and have no counterpart here. */
const plainValues: Readonly<Record<string, unknown>> = {
  bias: "none", fan_in_fan_out: false, modules_to_save: null, layers_to_transform: null, rank_pattern: {}, alpha_pattern: {},
};

function fromPeft(settings: Readonly<Record<string, unknown>>, path: string): LoraConfig {
  const fail = (field: string, expected: string): never => {
    const got = JSON.stringify(settings[field]) ?? "nothing";
    throw new LoraError(`${path}: expected ${field} to be ${expected}, got ${got}`, { path, field });
  };
  if (settings["peft_type"] !== "LORA") fail("peft_type", "LORA");
  for (const [field, plain] of Object.entries(plainValues)) {
    const value = settings[field];
    if (value != null && JSON.stringify(value) !== JSON.stringify(plain)) fail(field, JSON.stringify(plain));
  }
  const number = (field: string): number => {
    const value = settings[field];
    return typeof value === "number" ? value : fail(field, "a number");
  };
  const names = settings["target_modules"];
  if (!Array.isArray(names)) fail("target_modules", "a list of module names");
  const known = Object.values(moduleNames);
  for (const name of names as unknown[]) {
    if (!known.includes(name as string)) fail("target_modules", `names among ${known.join(", ")}`);
  }
  const lora: LoraConfig = {
    rank: number("r"), alpha: number("lora_alpha"), dropout: settings["lora_dropout"] === undefined ? 0 : number("lora_dropout"),
    targets: loraTargets.filter((target) => (names as unknown[]).includes(moduleNames[target])),
    rankStabilized: settings["use_rslora"] === true, dora: settings["use_dora"] === true,
  };
  checkLora(lora);
  return lora;
}
