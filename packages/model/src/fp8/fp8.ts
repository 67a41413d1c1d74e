import { fp8Scaling, fp8Update, type Device, type Tensor } from "@danu/tensor";

import { ConfigError, type DecoderConfig } from "../config.ts";
import { linearLayers, type LinearLayer } from "../decoder/parameters.ts";
import type { AdaptedBlock, AdaptedParameters } from "../lora/adapted-weight.ts";

/** A linear layer's weight whose products are computed in fp8. */
export interface Fp8Weight {
  /** `[outputs, inputs]`, in the dtype of the activations. */
  readonly weight: Tensor;
  /** Factors and magnitudes, f32 `[3, 19]`; see `fp8Linear`. */
  readonly scaling: Tensor;
  /** Whether every tensor is scaled by itself, as before the first update. */
  readonly calibrate: boolean;
}

/** The scaling of every linear layer that is computed in fp8: what delayed scaling remembers between steps. */
export interface Fp8Scalings {
  readonly blocks: readonly Readonly<Partial<Record<LinearLayer, Tensor>>>[];
}

/** Scalings of a fresh model: all linear layers of attention and feed-forward. Embedding, head, norms and attention are
 *  never in fp8, as in Danube. The caller owns them.
 *  @param except layers that stay in the dtype of the activations: a block (`0`), a layer (`down`), or both (`0.down`)
 *  @throws ConfigError for a name that is none of these */
export function createFp8Scalings(device: Device, config: DecoderConfig, except: readonly string[] = []): Fp8Scalings {
  checkNames(config, except);
  const blocks = Array.from({ length: config.layers }, (_, block) => {
    const kept = linearLayers.filter((layer) => ![String(block), layer, `${block}.${layer}`].some((name) => except.includes(name)));
    return Object.fromEntries(kept.map((layer) => [layer, fp8Scaling(device)]));
  });
  return { blocks };
}

function checkNames({ layers }: DecoderConfig, except: readonly string[]): void {
  for (const name of except) {
    const [first, second, ...rest] = name.split(".");
    const isBlock = /^\d+$/.test(first!) && Number(first) < layers;
    const isLayer = (text: string | undefined): boolean => (linearLayers as readonly (string | undefined)[]).includes(text);
    const isKnown = rest.length === 0 && (second === undefined ? isBlock || isLayer(first) : isBlock && isLayer(second));
    if (isKnown) continue;
    throw new ConfigError(
      `fp8: expected a block from 0 to ${layers - 1}, a layer of ${linearLayers.join(", ")}, or both as in 0.down, got "${name}"`, { name },
    );
  }
}

/** Puts scalings beside the weights, so that a decoder computes those layers in fp8; nothing is copied.
 *  @param calibrate for passes before the first update */
export function inFp8(params: AdaptedParameters, scalings: Fp8Scalings, calibrate: boolean): AdaptedParameters {
  const blocks = params.blocks.map((block, i): AdaptedBlock => {
    const changed: { -readonly [K in keyof AdaptedBlock]: AdaptedBlock[K] } = { ...block };
    for (const layer of linearLayers) {
      const scaling = scalings.blocks[i]![layer];
      if (scaling === undefined) continue;
      const weight = block[layer];
      changed[layer] = "factors" in weight
        ? { ...weight, weight: wrap(weight.weight, scaling, calibrate) }
        : wrap(weight, scaling, calibrate);
    }
    return changed;
  });
  return { ...params, blocks };
}

function wrap(weight: Tensor | Fp8Weight, scaling: Tensor, calibrate: boolean): Fp8Weight {
  return { weight: "scaling" in weight ? weight.weight : weight, scaling, calibrate };
}

/** Takes the factors of the next step from the magnitudes of this one. */
export function updateFp8Scalings({ blocks }: Fp8Scalings): void {
  for (const block of blocks) for (const scaling of Object.values(block)) fp8Update(scaling);
}
