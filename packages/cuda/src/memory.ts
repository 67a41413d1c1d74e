import { DeviceError, UsageError, type Handle } from "@danu/tensor";

import type { Driver } from "./driver.ts";
import { OUT_OF_MEMORY } from "./status.ts";

/** Bytes the device holds. */
export interface MemoryUse {
  readonly live: number;
  readonly peak: number;
}

/** Buffers that were given back, to be taken again in their sizes. */
class FreeBuffers {
  readonly #bySize = new Map<number, Handle[]>();
  /** Bytes of all of them. */
  bytes = 0;

  /** A buffer of exactly this size, or null. */
  take(size: number): Handle | null {
    const handle = this.#bySize.get(size)?.pop() ?? null;
    if (handle !== null) this.bytes -= size;
    return handle;
  }

  give(handle: Handle, size: number): void {
    const same = this.#bySize.get(size);
    if (same === undefined) this.#bySize.set(size, [handle]);
    else same.push(handle);
    this.bytes += size;
  }

  /** Everything that was given back. */
  empty(): Handle[] {
    const all = [...this.#bySize.values()].flat();
    this.#bySize.clear();
    this.bytes = 0;
    return all;
  }
}

/** Memory of work that is repeated: what it frees is handed out again to it alone, so that nothing else is ever at the
 *  addresses that a CUDA graph has learnt. */
export class Arena extends FreeBuffers {}

/** A buffer of the GPU. */
interface Buffer {
  readonly size: number;
  /** Where it returns to; null for everybody. */
  readonly arena: Arena | null;
}

/** What memory calls in need. */
interface MemoryHooks {
  /** Where the GPU has no more: returns what nobody needs now. */
  reclaim(): void;
  /** Before buffers go back to the driver: enqueues what still uses them. */
  leaving(): void;
}

/** Memory of one GPU, from the driver's stream-ordered pool: work enqueued before a buffer was freed may still use it. The pool takes
 *  tens of microseconds a call, so that freed buffers are kept for the next of their sizes, as many bytes as were ever in use. */
export class Memory {
  readonly #driver: Driver;
  readonly #stream: number;
  readonly #deviceBytes: number;
  readonly #buffers = new Map<Handle, Buffer>();
  #within: { readonly arena: Arena; readonly grows: boolean } | null = null;
  readonly #keeps: boolean;
  readonly #hooks: MemoryHooks;
  readonly #kept = new FreeBuffers();
  #live = 0;
  #peak = 0;

  /** @param deviceBytes all that the GPU has  @param keeps whether freed buffers are kept */
  constructor(driver: Driver, stream: number, deviceBytes: number, keeps: boolean, hooks: MemoryHooks) {
    this.#driver = driver;
    this.#stream = stream;
    this.#deviceBytes = deviceBytes;
    this.#keeps = keeps;
    this.#hooks = hooks;
  }

  /** Whether work that is to be repeated is being enqueued. */
  get isWithinArena(): boolean {
    return this.#within !== null;
  }

  get use(): MemoryUse {
    return { live: this.#live, peak: this.#peak };
  }

  /** Starts measuring the peak afresh. */
  resetPeak(): void {
    this.#peak = this.#live;
  }

  /** @throws DeviceError when the GPU has no more, UsageError where an arena that may not grow has none of this size */
  allocate(bytes: number): Handle {
    const size = Math.max(bytes, 16);
    if (this.#within === null) return this.#fromPool(size, null);
    const { arena } = this.#within;
    return arena.take(size) ?? this.#growing(size, arena);
  }

  /** Memory that lives as long as the device, whoever has need of it first. */
  allocateForGood(bytes: number): Handle {
    return this.#growing(bytes, null);
  }

  free(handle: Handle): void {
    const buffer = this.#buffers.get(handle);
    if (buffer === undefined) return;
    if (buffer.arena === null) this.#toPool(handle, buffer.size);
    else buffer.arena.give(handle, buffer.size);
  }

  /** Calls `f` with memory from an arena. @param grows whether the arena may take more from the pool */
  within<T>(arena: Arena, grows: boolean, f: () => T): T {
    const outer = this.#within;
    this.#within = { arena, grows };
    try {
      return f();
    } finally {
      this.#within = outer;
    }
  }

  /** Returns to the pool what has returned to an arena. */
  release(arena: Arena): void {
    for (const handle of arena.empty()) {
      const buffer = this.#buffers.get(handle);
      if (buffer !== undefined) this.#toPool(handle, buffer.size);
    }
  }

  /** Returns to the pool what was kept. */
  trim(): void {
    if (this.#kept.bytes > 0) this.#hooks.leaving();
    for (const handle of this.#kept.empty()) this.#driver.check("cuMemFreeAsync", this.#driver.functions.MemFreeAsync(handle, this.#stream));
  }

  /** Returns everything to the pool, whoever has it. */
  releaseAll(): void {
    for (const handle of this.#kept.empty()) this.#driver.functions.MemFreeAsync(handle, this.#stream);
    for (const handle of this.#buffers.keys()) this.#driver.functions.MemFreeAsync(handle, this.#stream);
    this.forget();
  }

  /** Forgets everything, which went with its context. */
  forget(): void {
    this.#buffers.clear();
    this.#kept.empty();
    this.#live = 0;
  }

  /** A buffer of the pool, where the work that is being enqueued may take one. */
  #growing(size: number, arena: Arena | null): Handle {
    if (this.#within?.grows === false) {
      throw new UsageError(`repeat: expected the same work each time, got memory of ${size} bytes that its first run had no need of; look at what it depends on`);
    }
    return this.#fromPool(size, arena);
  }

  #fromPool(size: number, arena: Arena | null): Handle {
    let handle = this.#kept.take(size) ?? this.#ask(size);
    if (handle === null) {
      this.#hooks.reclaim();
      this.trim();
      handle = this.#ask(size);
    }
    if (handle === null) {
      throw new DeviceError(
        `cuda: no GPU memory for ${megabytes(size)} beside the ${megabytes(this.#live)} in use, of ${megabytes(this.#deviceBytes)}; `
        + "make the micro-batch or the model smaller, or recompute activations",
        { bytes: size, live: this.#live, memoryBytes: this.#deviceBytes },
      );
    }
    this.#buffers.set(handle, { size, arena });
    this.#live += size;
    this.#peak = Math.max(this.#peak, this.#live);
    return handle;
  }

  /** A buffer of the pool, or null where it has none. */
  #ask(size: number): Handle | null {
    let status = 0;
    const handle = this.#driver.handle("cuMemAllocAsync", (out) => {
      status = this.#driver.functions.MemAllocAsync(out, size, this.#stream);
      return status === OUT_OF_MEMORY ? 0 : status;
    });
    return status === OUT_OF_MEMORY ? null : handle;
  }

  #toPool(handle: Handle, size: number): void {
    this.#buffers.delete(handle);
    this.#live -= size;
    this.#kept.give(handle, size);
    if (!this.#keeps || this.#kept.bytes > this.#peak) this.trim();
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
