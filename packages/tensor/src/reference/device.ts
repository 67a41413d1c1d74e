import { bytesPerElement, decode, encode, type DType, type Values } from "../dtype.ts";
import { Device, type Handle } from "../device.ts";
import { DeviceError } from "../errors.ts";
import { providePrimitives } from "../primitives.ts";
import type { Tensor } from "../tensor.ts";
import { kernels } from "./kernels.ts";

/** The device that defines what every op means: plain loops in double precision, rounded once when stored. */
export class ReferenceDevice extends Device {
  readonly name = "reference";
  readonly #double: boolean;
  readonly #buffers = new Map<Handle, Uint8Array<ArrayBuffer>>();
  #nextHandle = 1;
  #failure: DeviceError | null = null;

  constructor(double: boolean) {
    super();
    this.#double = double;
    providePrimitives(this, kernels);
  }

  allocate(bytes: number): Handle {
    this.#buffers.set(this.#nextHandle, new Uint8Array(bytes));
    return this.#nextHandle++;
  }

  free(handle: Handle): void {
    this.#buffers.delete(handle);
  }

  write(handle: Handle, bytes: Uint8Array): void {
    this.#buffers.get(handle)!.set(bytes);
  }

  async read(handle: Handle): Promise<Uint8Array> {
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure;
    return this.#buffers.get(handle)!.slice();
  }

  [Symbol.dispose](): void {
    this.#buffers.clear();
  }

  override bytesPerElement(dtype: DType): number {
    return this.#double && dtype === "f32" ? 8 : bytesPerElement[dtype];
  }

  override encode(dtype: DType, values: ArrayLike<number>): Uint8Array {
    return this.#double && dtype === "f32" ? new Uint8Array(Float64Array.from(values).buffer) : encode(dtype, values);
  }

  override decode(dtype: DType, bytes: Uint8Array): Values {
    return this.#double && dtype === "f32" ? new Float64Array(bytes.slice().buffer) : decode(dtype, bytes);
  }

  /** The elements of a tensor as numbers; not to be written to. */
  load(x: Tensor): Values {
    const bytes = this.#buffers.get(x.handle)!;
    return this.#double && x.dtype === "f32" ? new Float64Array(bytes.buffer) : decode(x.dtype, bytes);
  }

  /** Writes numbers as the elements of a tensor. */
  store(y: Tensor, values: ArrayLike<number>): void {
    this.write(y.handle, this.encode(y.dtype, values));
  }

  /** Remembers the first failure of a kernel; the next read throws it, as an asynchronous device would. */
  fail(error: DeviceError): void {
    this.#failure ??= error;
  }
}

/** A device in plain TypeScript: slow, and right by inspection. It serves where no binary loads and as the oracle of tests.
 *  @param options `precision: "f64"` stores f32 tensors in double precision, for gradient checks */
export function referenceDevice(options: { readonly precision?: "f32" | "f64" } = {}): ReferenceDevice {
  return new ReferenceDevice(options.precision === "f64");
}
