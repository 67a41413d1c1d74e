import { ArgumentMemory } from "./arguments.ts";
import type { Chip } from "./chip.ts";
import type { Driver } from "./driver.ts";
import { EarlyStarts, type Overlap } from "./early-starts.ts";
import type { ArgumentsOf, Kernel } from "./kernel.ts";
import { Modules } from "./modules.ts";

/** Blocks, threads and shared memory of a launch. */
export interface LaunchShape {
  /** Blocks along x, y and z; 1 where left out. */
  readonly grid: readonly [x: number, y?: number, z?: number];
  /** Threads of a block. */
  readonly block: number;
  /** Dynamic shared memory of a block, in bytes. */
  readonly shared?: number;
  /** Of a kernel that may start before the one in front of it is done. */
  readonly overlap?: Overlap;
  /** Of a kernel whose blocks must all run at the same time. */
  readonly together?: boolean;
}

/** Launches kernels on one stream, in each of the ways that the driver has for it. */
export class Launcher {
  readonly #driver: Driver;
  readonly #stream: number;
  readonly #modules: Modules;
  readonly #arguments = new ArgumentMemory();
  readonly #early: EarlyStarts;

  /** @param folder where the fatbins are */
  constructor(driver: Driver, stream: number, chip: Chip, folder: string) {
    this.#driver = driver;
    this.#stream = stream;
    this.#modules = new Modules(driver, folder);
    this.#early = new EarlyStarts(driver, stream, chip);
  }

  /** Says that something else than a kernel is enqueued. */
  interrupt(): void {
    this.#early.interrupt();
  }

  /** Enqueues a kernel. @returns the driver's status  @throws DeviceError where its file is missing or does not load */
  launch<S extends string>(kernel: Kernel<S>, shape: LaunchShape, args: ArgumentsOf<S>): number {
    const { grid: [x, y = 1, z = 1], block, shared = 0, overlap, together = false } = shape;
    const entry = this.#modules.functionOf(kernel, shared, overlap !== undefined);
    this.#arguments.write(kernel, args as never);
    const { list } = this.#arguments;
    const { functions } = this.#driver;
    if (overlap === undefined) this.#early.interrupt();
    else if (this.#early.follows(overlap)) return this.#early.launch(entry, shape, list);
    return together
      ? functions.LaunchCooperativeKernel(entry, x, y, z, block, 1, 1, shared, this.#stream, list)
      : functions.LaunchKernel(entry, x, y, z, block, 1, 1, shared, this.#stream, list, 0);
  }

  free(): void {
    this.#modules.free();
  }
}
