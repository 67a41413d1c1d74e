import { DanuError, keep, tensor, zeros, type Device, type Tensor } from "@danu/tensor";

import type { DecoderConfig } from "../config.ts";
import { huggingFaceNames, linearLayers, parameterShapes, type DecoderParameters, type LinearLayer } from "../decoder/parameters.ts";
import { Random } from "../random.ts";

/** Linear layers of a block that an adapter can change. */
export type LoraTarget = LinearLayer;

/** Every linear layer but the head, as Danube's preference tuning has it. */
export const loraTargets: readonly LoraTarget[] = linearLayers;

/** What an adapter looks like. */
export interface LoraConfig {
  /** Width r of the adapter. */
  readonly rank: number;
  /** The update is scaled by `alpha / rank`. */
  readonly alpha: number;
  /** Share of the inputs that training leaves out, from 0 to below 1. */
  readonly dropout: number;
  readonly targets: readonly LoraTarget[];
  /** Scales by `alpha / √rank` instead. Kalajdzievski 2023. */
  readonly rankStabilized: boolean;
  /** Learns the length of every row apart from its direction. Liu et al. 2024. */
  readonly dora: boolean;
}

/** Danube's adapter of preference tuning: rank 4, alpha 16, all linear layers. */
export const defaultLora: LoraConfig = {
  rank: 4, alpha: 16, dropout: 0, targets: loraTargets, rankStabilized: false, dora: false,
};

/** The update of one weight. */
export interface LoraFactors<T = Tensor> {
  /** `[r, inputs]` */
  readonly a: T;
  /** `[outputs, r]` */
  readonly b: T;
  /** Length of every row, `[outputs]`; null without DoRA. */
  readonly magnitude: T | null;
}

/** An adapter, as a plain tree: the update of each target in each block. */
export interface LoraParameters<T = Tensor> {
  readonly blocks: readonly Readonly<Partial<Record<LoraTarget, LoraFactors<T>>>>[];
}

/** An error of an adapter's settings or files. */
export class LoraError extends DanuError {
  constructor(message: string, data: Readonly<Record<string, unknown>> = {}) {
    super("LoraError", message, data);
  }
}

/** Factor of the update. */
export function loraScale({ rank, alpha, rankStabilized }: LoraConfig): number {
  return rankStabilized ? alpha / Math.sqrt(rank) : alpha / rank;
}

/** Checks the settings of an adapter. @throws LoraError */
export function checkLora(config: LoraConfig): void {
  const { rank, alpha, dropout, targets } = config;
  const whole = (value: number): boolean => Number.isInteger(value) && value > 0;
  if (!whole(rank)) throw new LoraError(`lora: expected a rank of at least 1, got ${rank}`, { rank });
  if (!(Number.isFinite(alpha) && alpha > 0)) throw new LoraError(`lora: expected alpha above 0, got ${alpha}`, { alpha });
  if (!(dropout >= 0 && dropout < 1)) {
    throw new LoraError(`lora: expected a dropout from 0 to below 1, got ${dropout}`, { dropout });
  }
  if (targets.length === 0) throw new LoraError(`lora: expected targets among ${loraTargets.join(", ")}, got none`);
  for (const target of targets) {
    if (loraTargets.includes(target)) continue;
    throw new LoraError(`lora: expected targets among ${loraTargets.join(", ")}, got "${target}"`, { target });
  }
}

/** Builds an adapter's tree by name and shape; names are those of the adapted weights. */
export function mapLora<T>(
  config: DecoderConfig, lora: LoraConfig,
  f: (weight: string, part: "a" | "b" | "magnitude", shape: readonly number[], target: LoraTarget, block: number) => T,
): LoraParameters<T> {
  const [names, shapes] = [huggingFaceNames(config), parameterShapes(config)];
  return {
    blocks: names.blocks.map((name, i) => Object.fromEntries(
      loraTargets.filter((target) => lora.targets.includes(target)).map((target) => {
        const [outputs, inputs] = shapes.blocks[i]![target] as [number, number];
        const part = (kind: "a" | "b" | "magnitude", shape: readonly number[]): T => f(name[target], kind, shape, target, i);
        const factors: LoraFactors<T> = {
          a: part("a", [lora.rank, inputs]),
          b: part("b", [outputs, lora.rank]),
          magnitude: lora.dora ? part("magnitude", [outputs]) : null,
        };
        return [target, factors];
      }),
    )),
  };
}

/** A fresh adapter that changes nothing: `a` is uniform within ±1/√inputs, `b` is 0, a magnitude is the length of its
 *  row. f32; the caller owns it. Hu et al. 2021.
 *  @param params the weights to adapt  @param seed equal seeds give equal adapters */
export async function initializeLora(
  device: Device, config: DecoderConfig, lora: LoraConfig, params: DecoderParameters, seed: number,
): Promise<LoraParameters> {
  checkLora(lora);
  const random = new Random(seed);
  const lengths = lora.dora ? await rowLengths(params, lora) : null;
  return mapLora(config, lora, (_, part, shape, target, block) => {
    if (part === "b") return keep(zeros(device, shape));
    if (part === "magnitude") return keep(tensor(device, lengths!.get(params.blocks[block]![target])!, shape));
    const bound = 1 / Math.sqrt(shape[1]!);
    const values = new Float32Array(shape[0]! * shape[1]!);
    for (let i = 0; i < values.length; i++) values[i] = (2 * random.uniform() - 1) * bound;
    return keep(tensor(device, values, shape));
  });
}

async function rowLengths(params: DecoderParameters, lora: LoraConfig): Promise<Map<Tensor, Float32Array>> {
  const lengths = new Map<Tensor, Float32Array>();
  for (const block of params.blocks) {
    for (const target of lora.targets) {
      const weight = block[target];
      const values = await weight.read();
      const [outputs, inputs] = weight.shape as [number, number];
      lengths.set(weight, Float32Array.from({ length: outputs }, (_, row) => {
        let squares = 0;
        for (let i = row * inputs; i < (row + 1) * inputs; i++) squares += Number(values[i]) ** 2;
        return Math.sqrt(squares);
      }));
    }
  }
  return lengths;
}
