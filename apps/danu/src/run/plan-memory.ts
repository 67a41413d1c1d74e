import { parameterCount, type DecoderConfig } from "@danu/model";
import { DeviceError } from "@danu/tensor";

import type { OpenDevice } from "../cli/device.ts";
import { bytes, counted, withCommas } from "../cli/format.ts";
import type { PassDType } from "../recipe/recipe.ts";
import { computeDtype } from "./fp8-passes.ts";

/** Settings that decide how much memory training takes. */
export interface MemorySettings {
  readonly dtype: PassDType;
  /** Tokens of a micro-batch. */
  readonly tokens: number;
  /** Compute the activations of every block twice, whether or not there is room for them. */
  readonly recompute: boolean;
  /** Parameters that are trained; all of the model's by default, else an adapter's beside them. */
  readonly trained?: number;
}

/** What training will take, known before its first step. */
export interface MemoryPlan {
  /** Bytes that are held at most, as expected. */
  readonly bytes: number;
  /** Blocks whose activations are computed again in the backward pass, the first ones. */
  readonly recomputedBlocks: number;
  /** Bytes that the device has; null where it does not say. */
  readonly available: number | null;
}

/** Recomputes as few blocks as fit the device.
 *  @throws DeviceError where a GPU has no room even if all are recomputed: other memory cannot help it out */
export function planMemory(config: DecoderConfig, settings: MemorySettings, device: OpenDevice): MemoryPlan {
  const { layers } = config;
  const available = device.availableBytes();
  const needed = (blocks: number): number => trainingBytes(config, settings, blocks);
  let recomputedBlocks = settings.recompute ? layers : 0;
  while (available !== null && recomputedBlocks < layers && needed(recomputedBlocks) > available) recomputedBlocks++;
  const plan = { bytes: needed(recomputedBlocks), recomputedBlocks, available };
  if (available !== null && plan.bytes > available && device.cuda !== null) {
    throw new DeviceError(
      `cuda: expected a run that fits the ${bytes(available)} that are free, got one of about ${bytes(plan.bytes)} with every block `
      + `recomputed; use fewer --micro-batch-tokens than ${withCommas(settings.tokens)}, or a smaller model`,
      plan,
    );
  }
  return plan;
}

/** Memory that training is expected to take at most, in bytes.
 *
 *  A parameter has its f32 master weight, two moments and gradient, in low precision a copy, and in fp8 another two of a byte;
 *  with several micro-batches the gradients are there while activations are. One block more than those kept is on its way back; of
 *  a recomputed block only the stream is kept, while one of them is there in full. Frozen weights are held once. */
function trainingBytes(config: DecoderConfig, settings: MemorySettings, recomputedBlocks: number): number {
  const { tokens, dtype, trained = parameterCount(config) } = settings;
  const { hiddenSize: C, layers } = config;
  const element = computeDtype(dtype) === "bf16" ? 2 : 4;
  const perParameter = { f32: 16, bf16: 18, fp8: 20 }[dtype];
  const inFull = layers - recomputedBlocks + (recomputedBlocks > 0 ? 2 : 1);
  const frozen = trained === parameterCount(config) ? 0 : parameterCount(config) * element;
  return frozen + trained * perParameter + tokens * (recomputedBlocks * C + inFull * keptOfBlock(config, dtype)) * element;
}

/** Numbers that a block keeps of a token: residual stream, attention output, what attention reads, and the feed-forward layer. */
function keptOfBlock({ hiddenSize: C, intermediateSize: F, heads, keyValueHeads, headDim }: DecoderConfig, dtype: PassDType): number {
  const attention = (2 * heads + 2 * keyValueHeads) * headDim;
  // Norms and gated units are computed again where they are ops with the products around them.
  if (dtype === "fp8") return 2 * C + attention + 2 * F;
  return 4 * C + attention + (heads + keyValueHeads) * headDim + 3 * F;
}

/** The plan in words. */
export function memoryText({ bytes: needed, recomputedBlocks, available }: MemoryPlan): string {
  const room = available === null ? "" : ` of ${bytes(available)} free`;
  const again = recomputedBlocks === 0 ? "" : `, ${counted(recomputedBlocks, "block")} computed again on the way back`;
  const warning = available !== null && needed > available ? "; that may be too much: use fewer --micro-batch-tokens" : "";
  return `about ${bytes(needed)}${room}${again}${warning}`;
}
