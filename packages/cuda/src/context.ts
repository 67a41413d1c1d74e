import type { Driver } from "./driver.ts";

// CU_MEMPOOL_ATTR_RELEASE_THRESHOLD of cuda.h.
const RELEASE_THRESHOLD = 4;

// CU_STREAM_NON_BLOCKING of cuda.h: in no order with the streams of others.
const NON_BLOCKING = 1;

/** The primary context of one GPU, in which everything of this process lives, and its one stream; the driver calls go to
 *  the context in use. */
export class Context {
  static #inUse: Context | null = null;
  readonly #driver: Driver;
  readonly #ordinal: number;
  readonly #handle: number;
  /** The stream that all work is put into. */
  readonly stream: number;

  constructor(driver: Driver, ordinal: number) {
    const { functions } = driver;
    this.#driver = driver;
    this.#ordinal = ordinal;
    this.#handle = driver.handle("cuDevicePrimaryCtxRetain", (out) => functions.DevicePrimaryCtxRetain(out, ordinal));
    try {
      this.use();
      this.#keepMemory(2n ** 64n - 1n);
      this.stream = driver.handle("cuStreamCreate", (out) => functions.StreamCreate(out, NON_BLOCKING));
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  use(): void {
    if (Context.#inUse === this) return;
    this.#driver.check("cuCtxSetCurrent", this.#driver.functions.CtxSetCurrent(this.#handle));
    Context.#inUse = this;
  }

  /** Gives the GPU's memory back to others, and the context if nobody else of this process uses it. */
  release(): void {
    try {
      this.#driver.functions.StreamDestroy_v2(this.stream);
      this.#keepMemory(0n);
      this.#driver.functions.MemPoolTrimTo(this.#pool(), 0);
    } finally {
      this.#leave();
    }
  }

  /** Ends the context for everybody, after a fault. */
  reset(): void {
    this.#driver.functions.DevicePrimaryCtxReset_v2(this.#ordinal);
    this.#leave();
  }

  #leave(): void {
    this.#driver.functions.CtxSetCurrent(0);
    this.#driver.functions.DevicePrimaryCtxRelease_v2(this.#ordinal);
    Context.#inUse = null;
  }

  /** Freed memory stays with the process up to this many bytes, since the next step wants it again. */
  #keepMemory(bytes: bigint): void {
    const threshold = new BigUint64Array(new ArrayBuffer(256), 0, 1);
    threshold[0] = bytes;
    this.#driver.check("cuMemPoolSetAttribute", this.#driver.functions.MemPoolSetAttribute(this.#pool(), RELEASE_THRESHOLD, threshold));
  }

  #pool(): number {
    return this.#driver.handle("cuDeviceGetDefaultMemPool", (out) => this.#driver.functions.DeviceGetDefaultMemPool(out, this.#ordinal));
  }
}
