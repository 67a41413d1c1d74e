import { bytesPerElement, decode, encode, type DType, type Values } from "./dtype.ts";
import type { AnyOp, AnyUpdate, AttrsOf, InputsOf, KernelOf } from "./op.ts";

/** What a device calls its memory: an address or an index, never dereferenced outside of it. */
export type Handle = number;

interface Provided {
  readonly kernel: (...args: never[]) => void;
  readonly accepts: ((x: never, attrs: never) => boolean) | null;
}

/** Work that is done again and again on the same tensors; see `Device.repeat`. */
export interface Repeated<T> extends Disposable {
  /** Enqueues the work. @returns what it made, which is gone with the next call */
  run(): T;
}

/** A place where tensors live and ops run. Work is enqueued at once and runs in order; only `read` waits for it. */
export abstract class Device {
  /** Short name for messages: `reference`, `cpu`, `cuda:0`. */
  abstract readonly name: string;

  /** Buffers handed out and not yet returned. */
  liveBuffers = 0;
  /** Bytes handed out and not yet returned. */
  liveBytes = 0;

  readonly #kernels: (Provided | undefined)[] = [];

  /** Reserves memory. @throws DeviceError when there is not enough */
  abstract allocate(bytes: number): Handle;
  /** Returns memory; work enqueued before this call may still use it. */
  abstract free(handle: Handle, bytes: number): void;
  /** Enqueues a copy of host bytes into device memory; the bytes may be changed after the call. */
  abstract write(handle: Handle, bytes: Uint8Array): void;
  /** Waits for the work enqueued so far and returns a copy of the memory. */
  abstract read(handle: Handle, bytes: number): Promise<Uint8Array>;
  /** Frees everything the device holds; its tensors are then unusable. */
  abstract [Symbol.dispose](): void;

  /** Gives the device its own kernel for an op, checked against the op's inputs and attributes.
   *  @param accepts says for which inputs and attributes the kernel serves; the decomposition serves for the others */
  provide<O extends AnyOp | AnyUpdate>(op: O, kernel: KernelOf<O>, accepts?: (x: InputsOf<O>, attrs: AttrsOf<O>) => boolean): this {
    this.#kernels[op.id] = { kernel, accepts: accepts ?? null } as Provided;
    return this;
  }

  /** The device's kernel for `op` on these inputs, or undefined where the op's decomposition serves. */
  kernelOf<O extends AnyOp | AnyUpdate>(op: O, x: InputsOf<O>, attrs: AttrsOf<O>): KernelOf<O> | undefined {
    const provided = this.#kernels[op.id];
    if (provided === undefined || (provided.accepts !== null && !provided.accepts(x as never, attrs as never))) return undefined;
    return provided.kernel as KernelOf<O>;
  }

  /** Makes work cheaper to enqueue that is done many times: `work` is called a few times, and what it enqueued repeated from
   *  then on. What changes from time to time, it reads from tensors; they and all others it uses must live as long.
   *  @returns null where the device has nothing to gain */
  repeat<T>(_work: () => T): Repeated<T> | null {
    return null;
  }

  /** Bytes one element takes on this device. */
  bytesPerElement(dtype: DType): number {
    return bytesPerElement[dtype];
  }

  /** Numbers as the bytes this device stores. */
  encode(dtype: DType, values: ArrayLike<number>): Uint8Array {
    return encode(dtype, values);
  }

  /** Bytes this device stores as numbers. */
  decode(dtype: DType, bytes: Uint8Array): Values {
    return decode(dtype, bytes);
  }
}
