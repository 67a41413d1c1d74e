import { disposeTree, fp8Matrix, fp8Update, Tensor, writeFp8, type Device, type Fp8Matrix, type Fp8Place } from "@danu/tensor";

import { ConfigError, type DecoderConfig } from "../config.ts";
import { linearLayers, parameterShapes, type BlockParameters, type DecoderParameters, type LinearLayer } from "../decoder/parameters.ts";
import type { AdaptedParameters } from "../lora/adapted-weight.ts";

/** Matrices of several layers, which read the same input, by name: their weights lie one below the other. */
export const fp8Groups: Readonly<Record<"queryKeyValue" | "gateUp", readonly LinearLayer[]>> = {
  queryKeyValue: ["query", "key", "value"], gateUp: ["gate", "up"],
};

/** Name of a matrix of a block: of a group of layers that are all in fp8, or of one layer. */
export type Fp8MatrixName = keyof typeof fp8Groups | LinearLayer;

/** Matrices of a block. */
export type Fp8Matrices = Readonly<Partial<Record<Fp8MatrixName, Fp8Matrix>>>;

/** How a block is computed in fp8. */
export interface Fp8Block {
  readonly matrices: Fp8Matrices;
  /** Whether inputs and gradients are scaled by themselves, as before the first update. */
  readonly calibrate: boolean;
}

/** The linear layers of a decoder that are computed in fp8: all those of attention and feed-forward. Embedding, head, norms and
 *  attention never are, as in Danube. It is what a trainer keeps beside the weights: the scalings go into checkpoints, and the
 *  matrices follow from them and the weights. */
export class Fp8Weights implements Disposable {
  readonly blocks: readonly Fp8Matrices[];

  /** Matrices without weights; `refresh` writes those.
   *  @param except layers that stay in the dtype of the activations: a block (`0`), a layer (`down`), or both (`0.down`)
   *  @throws ConfigError for a name that is none of these */
  constructor(device: Device, config: DecoderConfig, except: readonly string[] = []) {
    checkNames(config, except);
    this.blocks = parameterShapes(config).blocks.map((shape, block): Fp8Matrices => {
      const kept = linearLayers.filter((layer) => ![String(block), layer, `${block}.${layer}`].some((name) => except.includes(name)));
      const groups = groupNames.filter((name) => fp8Groups[name].every((layer) => kept.includes(layer)));
      const grouped = groups.flatMap((name): readonly LinearLayer[] => fp8Groups[name]);
      const names: Fp8MatrixName[] = [...groups, ...kept.filter((layer) => !grouped.includes(layer))];
      return Object.fromEntries(names.map((name) => {
        const rows = layersOf(name).reduce((sum, layer) => sum + shape[layer][0]!, 0);
        return [name, fp8Matrix(device, rows, shape[layersOf(name)[0]!][1]!)];
      }));
    });
  }

  /** The scalings, f32 `[3, 20]` each, as a tree. */
  get tensors(): unknown {
    return this.blocks.map((matrices) => Object.fromEntries(entriesOf(matrices).map(([name, { scaling }]) => [name, scaling])));
  }

  /** Writes weights that were set from outside. @param params f32  @param steps optimizer steps taken so far; before the first,
   *  nothing is known of the magnitudes and the weights give their own factors */
  refresh(params: DecoderParameters, steps: number): void {
    this.blocks.forEach((matrices, i) => {
      for (const [name, matrix] of entriesOf(matrices)) {
        writeFp8(matrix, layersOf(name).map((layer) => params.blocks[i]![layer]), { calibrate: steps === 0 });
      }
    });
  }

  /** Takes the factors of the next step from the magnitudes of this one.
   *  @returns the weights, which must be written by those factors now, each with its place */
  beforeUpdate(params: DecoderParameters): ReadonlyMap<Tensor, Fp8Place> {
    fp8Update(this.blocks.flatMap((matrices) => entriesOf(matrices).map(([, { scaling }]) => scaling)));
    const places = new Map<Tensor, Fp8Place>();
    this.blocks.forEach((matrices, i) => {
      for (const [name, matrix] of entriesOf(matrices)) {
        let row = 0;
        for (const layer of layersOf(name)) {
          const weight = params.blocks[i]![layer];
          places.set(weight, { matrix, row });
          row += weight.shape[0]!;
        }
      }
    });
    return places;
  }

  [Symbol.dispose](): void {
    disposeTree(this.blocks);
  }
}

const groupNames = Object.keys(fp8Groups) as (keyof typeof fp8Groups)[];

/** The layers whose weights a matrix has, from top to bottom. */
function layersOf(name: Fp8MatrixName): readonly LinearLayer[] {
  return name in fp8Groups ? fp8Groups[name as keyof typeof fp8Groups] : [name as LinearLayer];
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

/** Weights of a decoder with layers in fp8. */
export type Fp8Parameters = Omit<DecoderParameters, "blocks"> & {
  readonly blocks: readonly (BlockParameters & { readonly fp8: Fp8Block })[];
};

/** Puts the matrices beside the weights, so that a decoder computes those layers in fp8; nothing is copied.
 *  @param calibrate for passes before the first update  @throws ConfigError for weights with an adapter beside them */
export function inFp8(params: AdaptedParameters, weights: Fp8Weights, calibrate: boolean): Fp8Parameters {
  const blocks = params.blocks.map((block, i) => {
    for (const layer of linearLayers) {
      if (!(block[layer] instanceof Tensor)) throw new ConfigError(`fp8: expected plain weights, got an adapter beside ${layer}; merge it, or train it in bf16`);
    }
    return { ...(block as BlockParameters), fp8: { matrices: weights.blocks[i]!, calibrate } };
  });
  return { ...params, blocks };
}

function entriesOf(matrices: Fp8Matrices): [Fp8MatrixName, Fp8Matrix][] {
  return Object.entries(matrices) as [Fp8MatrixName, Fp8Matrix][];
}
