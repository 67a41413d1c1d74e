import {
  Device, DeviceError, UsageError,
  type AnyOp, type AnyUpdate, type AttrsOf, type Handle, type InputsOf, type KernelOf, type Repeated, type Tensor,
} from "@danu/tensor";

import { Chain } from "./chain.ts";
import { peakFlopsOf, type Chip } from "./chip.ts";
import { Context } from "./context.ts";
import { CublasLt, WORKSPACE_BYTES } from "./cublaslt/cublaslt.ts";
import type { Multiplication } from "./cublaslt/description.ts";
import type { CublasLtLibrary } from "./cublaslt/library.ts";
import type { Driver } from "./driver.ts";
import type { ArgumentsOf, Kernel } from "./kernel.ts";
import { canChain } from "./kernels/generation/chain.ts";
import { Launcher, type LaunchShape } from "./launcher.ts";
import { Memory, type MemoryUse } from "./memory.ts";
import { RecentWork } from "./recent-work.ts";
import { RepeatedWork } from "./repeated-work.ts";
import { Downloads, Uploads } from "./staging.ts";
import { isKernelFault, statusText } from "./status.ts";
import { TensorMaps } from "./tensor-map.ts";
import { Waits } from "./waits.ts";

/** How a device goes about its work. */
export interface DeviceSettings {
  /** Wait for every kernel, so that one that fails is named. */
  readonly waitAfterLaunch: boolean;
  /** Keep freed buffers for the next of their sizes. */
  readonly keepsMemory: boolean;
  /** For `cublasLtMatmul`; null for a device without. */
  readonly cublasLt: CublasLtLibrary | null;
}

// What a kernel leaves that met an index outside of its table: a mark, the index, and the size of the table; see fault.cuh.
const FAULT_BYTES = 16;
const COUNTERS = 256;

/** One NVIDIA GPU: kernels run in order on one stream while JavaScript goes on. */
export class CudaDevice extends Device {
  readonly name: string;
  readonly chip: Chip;
  /** Where kernels report an index that is out of range, i32 `[4]`. */
  readonly fault: Handle;
  /** Where the blocks of a kernel that are done count themselves, i32 `[256]`, zero between kernels. */
  readonly counters: Handle;
  /** Steps of a row that become one launch. */
  readonly chain: Chain;
  readonly #driver: Driver;
  readonly #context: Context;
  readonly #launcher: Launcher;
  readonly #maps: TensorMaps;
  readonly #uploads: Uploads;
  readonly #downloads: Downloads;
  readonly #memory: Memory;
  readonly #repeated = new Set<RepeatedWork<unknown>>();
  readonly #waits: Waits;
  /** Name of the op whose kernels are being launched. */
  #op = "";
  readonly #recent = new RecentWork();
  readonly #waitAfterLaunch: boolean;
  #cublasLt: CublasLt | null = null;
  #state: "open" | "failed" | "closed" = "open";
  #failure = "";

  /** @param folder where the fatbins are */
  constructor(driver: Driver, chip: Chip, folder: string, { waitAfterLaunch, keepsMemory, cublasLt }: DeviceSettings) {
    super();
    this.name = `cuda:${chip.ordinal}`;
    this.chip = chip;
    this.#driver = driver.reportingTo((what, status) => this.#fail(what, status));
    this.#waitAfterLaunch = waitAfterLaunch;
    this.#context = new Context(this.#driver, chip.ordinal);
    this.#memory = new Memory(this.#driver, this.#context.stream, chip.memoryBytes, keepsMemory, {
      reclaim: () => this.#repeated.forEach((work) => work.giveUp()), leaving: () => this.chain.end(),
    });
    this.#launcher = new Launcher(this.#driver, this.#context.stream, chip, folder);
    this.chain = new Chain(this, this.#memory, canChain(chip) && !waitAfterLaunch);
    this.#maps = new TensorMaps(this.#driver);
    this.#uploads = new Uploads(this.#driver, this.#context.stream);
    this.#downloads = new Downloads(this.#driver);
    this.#waits = new Waits(this.#driver, this.#context.stream);
    try {
      this.fault = this.allocate(FAULT_BYTES + 4 * COUNTERS);
      this.counters = this.fault + FAULT_BYTES;
      this.fill(this.fault, 0, 4, FAULT_BYTES / 4 + COUNTERS);
      if (cublasLt !== null) this.#cublasLt = new CublasLt(cublasLt, this.#context.stream, this.allocate(WORKSPACE_BYTES));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  override provide<O extends AnyOp | AnyUpdate>(op: O, kernel: KernelOf<O>, accepts?: (x: InputsOf<O>, attrs: AttrsOf<O>) => boolean): this {
    const named = (...args: never[]): void => this.as(op.name, () => (kernel as (...args: never[]) => void)(...args));
    return super.provide(op, named as KernelOf<O>, accepts);
  }

  /** Runs `f` as work of an op, "" for none, whose name goes with its kernels where they fail. */
  as(op: string, f: () => void): void {
    const outer = this.#op;
    this.#op = op;
    try {
      f();
    } finally {
      this.#op = outer;
    }
  }

  allocate(bytes: number): Handle {
    this.#use();
    return this.#memory.allocate(bytes);
  }

  free(handle: Handle): void {
    if (this.#state !== "open") return;
    this.#context.use();
    this.#memory.free(handle);
  }

  write(handle: Handle, bytes: Uint8Array): void {
    this.#use();
    if (this.#memory.isWithinArena) throw new UsageError("repeat: expected work on tensors, got values of the host; write them before it runs");
    this.#interrupt();
    this.#uploads.write(handle, bytes);
  }

  async read(handle: Handle, bytes: number): Promise<Uint8Array> {
    this.#use();
    const { functions } = this.#driver;
    this.#interrupt();
    const copy = (to: number, from: Handle, count: number): void => {
      this.#driver.check("cuMemcpyDtoHAsync", count === 0 ? 0 : functions.MemcpyDtoHAsync_v2(to, from, count, this.#context.stream));
    };
    const pinned = this.#downloads.take(FAULT_BYTES + bytes);
    try {
      copy(pinned.address, this.fault, FAULT_BYTES);
      copy(pinned.address + FAULT_BYTES, handle, bytes);
      await this.finish();
      // Others ran since the work was found done; where one closed the device, the pinned memory is gone.
      this.#use();
      this.#throwFault(new Int32Array(pinned.view.buffer, pinned.view.byteOffset, FAULT_BYTES / 4));
      return pinned.view.slice(FAULT_BYTES, FAULT_BYTES + bytes);
    } finally {
      // Of a device that was closed or failed meanwhile nothing is left to be given back.
      if (this.#state === "open") this.#downloads.give(pinned);
    }
  }

  /** Waits for the work enqueued so far, without blocking other work of the process. */
  async finish(): Promise<void> {
    this.#use();
    await this.#waits.untilDone(() => {
      if (this.#state === "open") this.#context.use();
      return this.#state === "open";
    });
    this.#use();
  }

  /** Enqueues a kernel. @throws DeviceError where it cannot be launched */
  launch<S extends string>(kernel: Kernel<S>, shape: LaunchShape, ...args: ArgumentsOf<S>): void {
    this.#use();
    if (shape.grid.includes(0)) return;
    this.chain.end();
    const what = this.#named(kernel.name);
    this.#driver.check(what, this.#launcher.launch(kernel, shape, args));
    this.#launched(what);
  }

  /** Enqueues products by cuBLASLt.
   *  @returns false, with nothing enqueued, where it has no way to do them or the device was opened without it */
  cublasLtMatmul(product: Multiplication): boolean {
    if (this.#cublasLt === null) return false;
    this.#use();
    this.#interrupt();
    const what = this.#named("cublasLtMatmul");
    try {
      if (!this.#cublasLt.multiply(product, what)) return false;
    } catch (error) {
      // Where a kernel has failed before, nothing works any more, and the driver says so.
      this.freeBytes();
      throw error;
    }
    this.#launched(what);
    return true;
  }

  override repeat<T>(work: () => T): Repeated<T> {
    const repeated: RepeatedWork<T> = new RepeatedWork({
      driver: this.#driver, stream: this.#context.stream, memory: this.#memory, captures: !this.#waitAfterLaunch,
      use: () => {
        this.#use();
        this.#interrupt();
      },
      interrupt: () => this.#interrupt(),
      ended: (arena) => {
        this.#repeated.delete(repeated);
        if (this.#state !== "open") return;
        this.#context.use();
        this.#memory.release(arena);
      },
    }, work);
    this.#repeated.add(repeated);
    return repeated;
  }

  /** Describes a tensor to the copy engine. */
  get maps(): TensorMaps {
    this.#use();
    return this.#maps;
  }

  /** Enqueues a copy within the device. */
  copy(to: Handle, from: Handle, bytes: number): void {
    this.#use();
    this.#interrupt();
    if (bytes > 0) this.#driver.check("cuMemcpyDtoDAsync", this.#driver.functions.MemcpyDtoDAsync_v2(to, from, bytes, this.#context.stream));
  }

  /** Enqueues writing `count` elements of 1, 2 or 4 bytes. */
  fill(to: Handle, bits: number, elementBytes: 1 | 2 | 4, count: number): void {
    this.#use();
    this.#interrupt();
    if (count === 0) return;
    const { functions } = this.#driver;
    const set = elementBytes === 1 ? functions.MemsetD8Async : elementBytes === 2 ? functions.MemsetD16Async : functions.MemsetD32Async;
    this.#driver.check("cuMemsetAsync", set(to, bits, count, this.#context.stream));
  }

  /** Runs `f` with memory that is free again afterwards. */
  withScratch<T>(bytes: number, f: (scratch: Handle) => T): T {
    const scratch = this.allocate(bytes);
    try {
      return f(scratch);
    } finally {
      this.free(scratch);
    }
  }

  /** The same with several pieces of one allocation. */
  withPieces<const S extends readonly number[], T>(sizes: S, f: (...pieces: { -readonly [K in keyof S]: Handle }) => T): T {
    // What the copy engine, tensor cores and wide loads ask of an address.
    const alignment = 256;
    let total = 0;
    const offsets = sizes.map((bytes) => {
      const at = total;
      total += Math.ceil(bytes / alignment) * alignment;
      return at;
    });
    return this.withScratch(total, (first) => f(...(offsets.map((at) => first + at) as { -readonly [K in keyof S]: Handle })));
  }

  /** Memory in use and most in use at once, in bytes. */
  memory(): MemoryUse {
    return this.#memory.use;
  }

  /** Starts measuring the peak of `memory` afresh. */
  resetPeak(): void {
    this.#memory.resetPeak();
  }

  /** Rate that the chip is specified for, in FLOP/s. */
  peakFlops(dtype: "f32" | "bf16" | "fp8"): number {
    return peakFlopsOf(this.chip, dtype);
  }

  /** Bytes of the GPU that nobody uses now. */
  freeBytes(): number {
    this.#use();
    let free = 0;
    this.#driver.handle("cuMemGetInfo", (out) => {
      const total = new BigUint64Array(new ArrayBuffer(256), 0, 1);
      const status = this.#driver.functions.MemGetInfo_v2(out, total);
      free = Number(out[0]);
      return status;
    });
    return free;
  }

  [Symbol.dispose](): void {
    if (this.#state === "closed") return;
    const wasOpen = this.#state === "open";
    this.#state = "closed";
    if (!wasOpen) return;
    const { functions } = this.#driver;
    this.chain.forget();
    this.#context.use();
    if (isKernelFault(functions.StreamSynchronize(this.#context.stream))) return this.#abandon();
    for (const work of this.#repeated) work.destroyGraph();
    this.#cublasLt?.[Symbol.dispose]();
    this.#memory.releaseAll();
    functions.StreamSynchronize(this.#context.stream);
    this.#waits.free();
    this.#uploads.free();
    this.#downloads.free();
    this.#launcher.free();
    this.#context.release();
  }

  /** Makes this GPU the one that the driver's calls go to. @throws DeviceError after the device was disposed or failed */
  #use(): void {
    if (this.#state === "closed") throw new DeviceError(`${this.name}: the device was disposed`);
    if (this.#state === "failed") throw new DeviceError(`${this.name}: ${this.#failure}; open the device again`);
    this.#context.use();
  }

  /** Ends the device after a kernel of it has failed, which the driver told when `what` was asked of it. */
  #fail(what: string, status: number): never {
    const named = this.#waitAfterLaunch ? what : `one of the kernels since the last read, the latest being ${this.#recent.names.join(", ")}`;
    const hint = this.#waitAfterLaunch ? "" : "; DANU_CUDA_WAIT=1 names it";
    this.#failure = `${statusText(status)} in ${named}${hint}`;
    this.#state = "failed";
    this.#abandon();
    throw new DeviceError(`${this.name}: ${this.#failure}`, { status, kernels: this.#recent.names });
  }

  /** Nothing of a context works after a fault; the next device starts with a fresh one. */
  #abandon(): void {
    this.chain.forget();
    for (const work of this.#repeated) work.loseGraph();
    this.#cublasLt?.[Symbol.dispose]();
    this.#memory.forget();
    this.#launcher.free();
    this.#context.reset();
  }

  /** Called before something else than a kernel is enqueued. */
  #interrupt(): void {
    this.chain.end();
    this.#launcher.interrupt();
  }

  /** A kernel with the op that it serves. */
  #named(kernel: string): string {
    return this.#op === "" ? kernel : `${kernel} of ${this.#op}`;
  }

  #launched(what: string): void {
    this.#recent.add(what);
    if (this.#waitAfterLaunch) this.#driver.check(what, this.#driver.functions.StreamSynchronize(this.#context.stream));
  }

  #throwFault([mark, index, size]: Int32Array): void {
    if (mark === 0) return;
    this.fill(this.fault, 0, 4, FAULT_BYTES / 4);
    throw new DeviceError(`${this.name}: expected an index from 0 to ${size! - 1}, got ${index}; look at the ids or positions`, { index, size });
  }
}

/** The CUDA device that a kernel's output lives on. */
export function cudaOf(tensor: Tensor): CudaDevice {
  return tensor.device as CudaDevice;
}
