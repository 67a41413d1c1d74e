import { assign, scope } from "@danu/tensor";

import type { DecoderParameters } from "../decoder/parameters.ts";
import { adapt, mergedWeight } from "./adapted-weight.ts";
import { loraTargets, type LoraConfig, type LoraParameters } from "./lora.ts";

/** Writes an adapter's updates into the weights themselves; the adapter is then of no more use with them. */
export function mergeLora(params: DecoderParameters, adapter: LoraParameters, lora: LoraConfig): void {
  adapt(params, adapter, lora).blocks.forEach((block, i) => {
    for (const target of loraTargets) {
      const weight = block[target];
      if ("factors" in weight) scope(() => assign(params.blocks[i]![target], mergedWeight(weight)));
    }
  });
}
