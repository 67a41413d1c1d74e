import { bytesPerElement, Device, DeviceError, dtypes, type DType, type Handle, type Tensor } from "@danu/tensor";

import type { Isa } from "./isa.ts";
import { loadLibrary, type Library } from "./library.ts";

/** Bytes the device holds. */
export interface MemoryUse {
  readonly live: number;
  readonly peak: number;
  readonly cached: number;
}

/** The fast CPU device: C++ kernels that run in order on their own threads while JavaScript goes on. */
export class CpuDevice extends Device {
  readonly name = "cpu";
  readonly isa: Isa;
  /** Functions of the native library; the first argument of each is `queue`. */
  readonly library: Library;
  readonly #queue: unknown;
  #closed = false;
  #waits = 0;

  constructor(isa: Isa, threads: number) {
    super();
    this.isa = isa;
    this.library = loadLibrary(isa);
    this.#queue = this.library.create(threads);
    if (this.#queue === null) throw new DeviceError(`cpu: could not start ${threads} threads; ask for fewer`, { threads });
  }

  /** The native task queue. @throws DeviceError after the device was disposed */
  get queue(): unknown {
    if (this.#closed) throw new DeviceError("cpu: the device was disposed");
    return this.#queue;
  }

  get threads(): number {
    return this.library.threads(this.queue);
  }

  allocate(bytes: number): Handle {
    const address = this.library.alloc(this.queue, bytes);
    if (address === 0) {
      const { live } = this.memory();
      throw new DeviceError(
        `cpu: no memory for ${megabytes(bytes)} beside the ${megabytes(live)} in use; make the batch or the model smaller`, { bytes, live },
      );
    }
    return address;
  }

  free(handle: Handle): void {
    if (!this.#closed) this.library.free(this.queue, handle);
  }

  write(handle: Handle, bytes: Uint8Array): void {
    this.library.write(this.queue, handle, bytes, bytes.byteLength);
  }

  async read(handle: Handle, bytes: number): Promise<Uint8Array> {
    const host = new Uint8Array(bytes);
    const { library, queue } = this;
    if (library.idle(queue) === 1) {
      library.read(queue, library.submitted(queue), host, handle, bytes);
    } else {
      // A copy taken in the order of the queue, since later work may overwrite or reuse the memory before the wait ends.
      const staging = this.allocate(bytes);
      library.copy(queue, staging, handle, bytes);
      const count = library.submitted(queue);
      await this.finish();
      library.read(this.queue, count, host, staging, bytes);
      this.free(staging);
    }
    this.#throwFailure();
    return host;
  }

  /** Waits for the work enqueued so far. */
  async finish(): Promise<void> {
    const { library, queue } = this;
    this.#waits++;
    try {
      await library.waitUntilAsync(queue, library.submitted(queue));
    } finally {
      this.#waits--;
      this.#endIfUnused();
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#endIfUnused();
  }

  /** Threads that wait for the queue must not see it go: the last of them ends it. */
  #endIfUnused(): void {
    if (this.#closed && this.#waits === 0) this.library.destroy(this.#queue);
  }

  /** Calls a kernel. @throws DeviceError when it refuses its arguments or finds no memory */
  check(name: string, status: number): void {
    if (status === 0) return;
    throw new DeviceError(status === 1 ? `cpu: no memory for ${name}; make the batch smaller` : `cpu: ${name} refused its arguments`, { status });
  }

  /** Memory in use, most in use at once, and kept for reuse, in bytes. */
  memory(): MemoryUse {
    const out = new BigInt64Array(3);
    this.library.memory(this.queue, out);
    return { live: Number(out[0]), peak: Number(out[1]), cached: Number(out[2]) };
  }

  /** Starts measuring the peak of `memory` afresh. */
  resetPeak(): void {
    this.library.resetPeak(this.queue);
  }

  /** Multiply-add rate of all threads at full vector width, measured for the given time, in FLOP/s. */
  peakFlops(dtype: "f32" | "bf16", milliseconds = 100): number {
    return this.library.peakFlops(this.queue, codeOf(dtype), milliseconds);
  }

  /** Rate at which all threads together read this many bytes again and again, measured for the given time, in bytes a
   *  second. @throws DeviceError when there is no memory for them */
  readBandwidth(bytes: number, milliseconds = 100): number {
    const rate = this.library.readBandwidth(this.queue, bytes, milliseconds);
    if (rate === 0) throw new DeviceError(`cpu: no memory to read ${megabytes(bytes)}; ask for less`, { bytes });
    return rate;
  }

  #throwFailure(): void {
    const out = new BigInt64Array(3);
    if (this.library.error(this.queue, out) === 0) return;
    const [code, a, b] = [...out].map(Number) as [number, number, number];
    if (code === 1) throw new DeviceError(`cpu: expected an index from 0 to ${b - 1}, got ${a}; look at the ids or positions`, { index: a, size: b });
    throw new DeviceError(code === 2 ? `cpu: a kernel found no memory for ${megabytes(a)}` : `cpu: a kernel refused argument ${a}`, { code, a, b });
  }
}

/** Code of an element type in the C ABI. */
export function codeOf(dtype: DType): number {
  return dtypes.indexOf(dtype);
}

/** The CPU device that a kernel's output lives on. */
export function cpuOf(tensor: Tensor): CpuDevice {
  return tensor.device as CpuDevice;
}

/** Bytes of one element of a tensor. */
export function elementBytes(tensor: Tensor): number {
  return bytesPerElement[tensor.dtype];
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
