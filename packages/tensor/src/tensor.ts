import type { Device, Handle } from "./device.ts";
import type { DType, Values } from "./dtype.ts";
import { DisposedError, ShapeError } from "./errors.ts";
import { own } from "./ownership.ts";
import { checkShape, formatShape, sizeOf, type Shape } from "./shape.ts";
import { Storage } from "./storage.ts";

let nextId = 0;

/** A dense row-major array on one device. Immutable: ops return new tensors, and memory belongs to the enclosing scope. */
export class Tensor implements Disposable {
  /** Identity for the tape: aliases of one value share it. */
  readonly id: number;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly device: Device;
  #storage: Storage | null;

  private constructor(id: number, device: Device, shape: Shape, dtype: DType, storage: Storage | null) {
    this.id = id;
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
    this.#storage = storage;
  }

  /** A tensor over fresh, unwritten memory, owned by the current scope if there is one. */
  static empty(device: Device, shape: Shape, dtype: DType): Tensor {
    const storage = new Storage(device, sizeOf(shape) * device.bytesPerElement(dtype));
    const tensor = new Tensor(nextId++, device, shape, dtype, storage);
    own(tensor);
    return tensor;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Where the device keeps the elements. @throws DisposedError after dispose */
  get handle(): Handle {
    return this.storage.handle;
  }

  /** @throws DisposedError after dispose */
  get storage(): Storage {
    if (this.#storage === null) {
      throw new DisposedError(`tensor ${formatShape(this.shape)}: used after it was freed; keep it with keep() or return it from the scope`);
    }
    return this.#storage;
  }

  /** True once the tensor has given its memory back. */
  get disposed(): boolean {
    return this.#storage === null;
  }

  /** The same memory under another shape of equal size, as a new value. */
  view(shape: Shape): Tensor {
    checkShape("view", shape);
    if (sizeOf(shape) !== this.size) {
      throw new ShapeError(`view: ${formatShape(this.shape)} has ${this.size} elements, ${formatShape(shape)} needs ${sizeOf(shape)}`);
    }
    const tensor = new Tensor(nextId++, this.device, shape, this.dtype, this.storage.retain());
    own(tensor);
    return tensor;
  }

  /** The same value with an own hold on the memory and no owner scope; whoever makes one disposes of it. */
  alias(): Tensor {
    return new Tensor(this.id, this.device, this.shape, this.dtype, this.storage.retain());
  }

  /** The same value without memory: its shape and dtype can be read, its elements cannot. */
  ghost(): Tensor {
    return new Tensor(this.id, this.device, this.shape, this.dtype, null);
  }

  /** Copies the elements to the host once the work enqueued so far is done. */
  async read(): Promise<Values> {
    return this.device.decode(this.dtype, await this.bytes());
  }

  /** Copies the raw bytes to the host once the work enqueued so far is done. */
  async bytes(): Promise<Uint8Array> {
    const { handle, bytes } = this.storage;
    return this.device.read(handle, bytes);
  }

  /** The only element of a tensor of size 1. @throws ShapeError for any other size */
  async item(): Promise<number> {
    if (this.size !== 1) throw new ShapeError(`item: expected one element, got ${formatShape(this.shape)}`);
    return (await this.read())[0]!;
  }

  /** Gives the memory back. @throws DisposedError the second time */
  dispose(): void {
    this.storage.release();
    this.#storage = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor(${this.dtype} ${formatShape(this.shape)} on ${this.device.name})`;
  }
}
