import { bytesPerElement, type Handle, type Tensor } from "@danu/tensor";
import koffi from "koffi";

import type { Chip } from "./chip.ts";
import type { Driver } from "./driver.ts";
import type { LaunchShape } from "./launcher.ts";

/** Memory by its address and bytes. */
export type Range = readonly [from: Handle, bytes: number];

/** Where the elements of a tensor are. */
export function rangeOf({ handle, size, dtype }: Tensor): Range {
  return [handle, size * bytesPerElement[dtype]];
}

/** Of a kernel that waits by itself for those in front of it (see `grid_wait`): what it reads before it waits, and all that it
 *  writes. */
export interface Overlap {
  readonly reads: readonly Range[];
  readonly writes: readonly Range[];
}

// Codes of cuda.h; CUlaunchConfig of 56 bytes at 0 and a CUlaunchAttribute of 72 at 64.
const PROGRAMMATIC_STREAM_SERIALIZATION = 6;
const ATTRIBUTE_AT = 64;
// Larger than what V8 keeps on its own heap, where it would move.
const BYTES = 4096;

/** Launches kernels that may start while the one in front of them is still at work: programmatic dependent launch, on Hopper,
 *  whose kernels are compiled with it. Each waits for those in front of it, which have waited themselves: all but the last are
 *  done when it starts, so that it may read early whatever that last one does not write. */
export class EarlyStarts {
  readonly #driver: Driver;
  readonly #stream: number;
  readonly #isPossible: boolean;
  readonly #words = new Uint32Array(new ArrayBuffer(BYTES));
  readonly #address = Number(koffi.address(this.#words.buffer));
  /** What the kernel in front writes; null where something else is in front. */
  #written: readonly Range[] | null = null;

  constructor(driver: Driver, stream: number, chip: Chip) {
    this.#driver = driver;
    this.#stream = stream;
    this.#isPossible = chip.capability === 90;
    this.#words[ATTRIBUTE_AT / 4] = PROGRAMMATIC_STREAM_SERIALIZATION;
    this.#words[ATTRIBUTE_AT / 4 + 2] = 1;
  }

  /** Says that something else than such a kernel is enqueued. */
  interrupt(): void {
    this.#written = null;
  }

  /** Notes a kernel that is about to be enqueued. @returns whether it may start early */
  follows({ reads, writes }: Overlap): boolean {
    const before = this.#written;
    this.#written = writes;
    return this.#isPossible && before !== null && !reads.some((read) => before.some((written) => areJoint(read, written)));
  }

  /** Enqueues a kernel that starts early. @returns the driver's status */
  launch(entry: number, { grid: [x, y = 1, z = 1], block, shared = 0 }: LaunchShape, args: number): number {
    this.#words.set([x, y, z, block, 1, 1, shared, 0, ...wordsOf(this.#stream), ...wordsOf(this.#address + ATTRIBUTE_AT), 1]);
    return this.#driver.functions.LaunchKernelEx(this.#address, entry, args, 0);
  }
}

/** Whether two ranges have memory in common. */
export function areJoint([a, bytesOfA]: Range, [b, bytesOfB]: Range): boolean {
  return a < b + bytesOfB && b < a + bytesOfA;
}

/** The two halves of an address, the low one first. */
function wordsOf(address: number): readonly [number, number] {
  return [address >>> 0, Math.floor(address / 2 ** 32)];
}
