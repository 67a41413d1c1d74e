import type { Handle } from "@danu/tensor";

import type { Chip } from "../../chip.ts";
import type { Step } from "../../chain.ts";
import type { CudaDevice } from "../../device.ts";
import { decodeSharedBytes, kernelsByWidth, mostChannels, widthOf, type Width } from "../attention/widths.ts";

/** Most steps of a launch. */
export const mostSteps = 120;
const kernels = kernelsByWidth("chain", "chain", `(ppiii[${mostSteps} ppppppppppiiiiiiiif])`);
const kinds = { linear: 0, swiglu: 1, queryKeyValue: 2, attention: 3 } as const;

// See chain.cu and chain-steps.cuh.
const THREADS = 512;
const BARRIER_BYTES = 1024;
const SLOT_BYTES = 17_408;
const LEAST_SLOTS = 3;
const MOST_SLOTS = 16;
const MOST_ROW = 8192;
const AREA_WORDS = 2 ** 17;
/** Memory in which the blocks of a launch pass on results, zero before the first launch. */
export const EXCHANGE_BYTES: number = 256 + 4 * 2 ** 20;

/** Bytes of a row in shared memory; see few-rows.cuh. */
export function rowBytes(K: number): number {
  return Math.ceil(K / 64) * 128 + 64;
}

/** Shared memory beside the ring: for products, and for attention with the new key and value. */
function restBytes(mostK: number, width: Width): number {
  return Math.ceil((8192 + rowBytes(mostK) + 128) / 128) * 128 + decodeSharedBytes(width) + 4 * width;
}

function slotsOf({ sharedBytes }: Chip, rest: number): number {
  return Math.min(MOST_SLOTS, Math.floor((sharedBytes - BARRIER_BYTES - rest) / SLOT_BYTES));
}

/** Whether a chip runs chains, whatever their steps. */
export function canChain(chip: Chip): boolean {
  return chip.capability === 90 && slotsOf(chip, restBytes(MOST_ROW, widthOf(mostChannels))) >= LEAST_SLOTS;
}

/** Whether a step is of a size and at addresses that the kernels take. */
export function fitsChain({ kind, x, results, weights, norm, n, G = 1, D = 0, K, parts = 1 }: Step): boolean {
  if (kind === "attention") return n / G <= 16 && n * D <= MOST_ROW && n * (D / 2 + parts * (D + 1)) <= AREA_WORDS;
  const read = [...x, ...weights, ...(norm === undefined ? [] : [norm])];
  const isSmall = kind === "queryKeyValue" ? (n + 2 * G) * (D / 2) <= AREA_WORDS : n <= MOST_ROW;
  return isSmall && K % 8 === 0 && K <= MOST_ROW && D % 8 === 0 && (kind !== "swiglu" || n % 2 === 0)
    && read.every(([at]) => at % 16 === 0) && results.every(([at]) => at % 4 === 0);
}

/** Enqueues steps, each of which takes what the one before has made. @param exchange of `EXCHANGE_BYTES`, the same for every launch */
export function launchChain(cuda: CudaDevice, exchange: Handle, steps: readonly Step[]): void {
  const width = widthOf(steps.find(({ kind }) => kind === "attention")?.D ?? 0);
  const mostK = Math.max(...steps.map(({ kind, K }) => (kind === "attention" ? 0 : K)));
  const rest = restBytes(mostK, width);
  const slots = slotsOf(cuda.chip, rest);
  cuda.launch(
    kernels[steps[0]!.dtype][width],
    { grid: [cuda.chip.multiprocessors], block: THREADS, shared: BARRIER_BYTES + slots * SLOT_BYTES + rest, together: true },
    exchange, cuda.fault, steps.length, slots, mostK, steps.map(structOf),
  );
}

/** A step as the kernels take it. */
function structOf({ kind, x, results, weights, norm, residual, angles, n, G = 0, D = 0, K, extra = 0, parts = 0, scale = 0 }: Step, index: number) {
  const at = (range: readonly [Handle, number] | undefined): Handle => range?.[0] ?? 0;
  const [y, y2, y3] = results;
  const [a, b, c] = weights;
  return [
    at(x[0]), at(norm), at(y), at(y2), at(y3), at(a), at(b), at(c), at(residual ?? angles?.[0]), at(angles?.[1]),
    kinds[kind], index - 1, n, G, D, K, extra, parts, scale,
  ] as const;
}
