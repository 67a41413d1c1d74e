import type { Handle } from "@danu/tensor";
import koffi from "koffi";

import type { Driver } from "./driver.ts";

/** Host memory that the GPU's copy engine reads and writes itself, and JavaScript's view of it. */
interface Pinned {
  readonly address: number;
  readonly view: Uint8Array;
}

const HALF_BYTES = 8 << 20;

function pin(driver: Driver, bytes: number): Pinned {
  const address = driver.handle("cuMemHostAlloc", (out) => driver.functions.MemHostAlloc(out, bytes, 0));
  return { address, view: new Uint8Array(koffi.view(BigInt(address), bytes)) };
}

interface Half {
  readonly pinned: Pinned;
  /** Event that tells when the GPU has read what was filled in last. */
  read: number | null;
}

/** Carries bytes from the host to the GPU: they are copied into pinned memory at once, so that the caller may change them,
 *  and from there in the order of the stream. Two halves take turns; one is filled again when the GPU has read it. */
export class Uploads {
  readonly #driver: Driver;
  readonly #stream: number;
  readonly #halves: Half[] = [];
  #half = 0;
  #used = 0;

  constructor(driver: Driver, stream: number) {
    this.#driver = driver;
    this.#stream = stream;
  }

  write(to: Handle, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.byteLength;) {
      if (this.#used === HALF_BYTES) this.#turn();
      const { address, view } = this.#current().pinned;
      const count = Math.min(bytes.byteLength - done, HALF_BYTES - this.#used);
      view.set(bytes.subarray(done, done + count), this.#used);
      const { functions } = this.#driver;
      this.#driver.check("cuMemcpyHtoDAsync", functions.MemcpyHtoDAsync_v2(to + done, address + this.#used, count, this.#stream));
      // Copies start at multiples of 64 bytes, which the copy engine is fastest with.
      this.#used = Math.min(HALF_BYTES, Math.ceil((this.#used + count) / 64) * 64);
      done += count;
    }
  }

  free(): void {
    for (const { pinned, read } of this.#halves) {
      this.#driver.functions.MemFreeHost(pinned.address);
      if (read !== null) this.#driver.functions.EventDestroy_v2(read);
    }
    this.#halves.length = 0;
  }

  #current(): Half {
    return (this.#halves[this.#half] ??= { pinned: pin(this.#driver, HALF_BYTES), read: null });
  }

  #turn(): void {
    const { functions } = this.#driver;
    const full = this.#current();
    full.read ??= this.#driver.handle("cuEventCreate", (out) => functions.EventCreate(out, EVENT_WITHOUT_TIME));
    this.#driver.check("cuEventRecord", functions.EventRecord(full.read, this.#stream));
    this.#half = 1 - this.#half;
    this.#used = 0;
    const next = this.#current();
    if (next.read !== null) this.#driver.check("cuEventSynchronize", functions.EventSynchronize(next.read));
  }
}

/** An event that only marks a place in a stream. */
export const EVENT_WITHOUT_TIME = 2;

/** Pinned memory that a read arrives in, by size; a few are kept. */
export class Downloads {
  readonly #driver: Driver;
  readonly #kept: Pinned[] = [];
  readonly #taken = new Set<Pinned>();

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  /** Memory of at least this many bytes. */
  take(bytes: number): Pinned {
    const fits = this.#kept.findIndex(({ view }) => view.byteLength >= bytes);
    const pinned = fits >= 0 ? this.#kept.splice(fits, 1)[0]! : pin(this.#driver, Math.max(4096, 2 ** Math.ceil(Math.log2(bytes))));
    this.#taken.add(pinned);
    return pinned;
  }

  give(pinned: Pinned): void {
    this.#taken.delete(pinned);
    if (this.#kept.length < 4 && pinned.view.byteLength <= HALF_BYTES) this.#kept.push(pinned);
    else this.#driver.functions.MemFreeHost(pinned.address);
  }

  free(): void {
    for (const { address } of [...this.#kept.splice(0), ...this.#taken]) this.#driver.functions.MemFreeHost(address);
    this.#taken.clear();
  }
}
