import koffi from "koffi";

import type { Kernel, Slot } from "./kernel.ts";
import type { TensorMap } from "./tensor-map.ts";

/** Most bytes of parameters that a kernel may take. CUDA C++ Programming Guide, function parameters. */
const most = 4096;
const pointersAt = most;

/** Memory in which the arguments of a launch are written, the same for every launch: the driver copies them. */
export class ArgumentMemory {
  // Larger than what V8 keeps on its own heap, where it would move.
  readonly #memory = new ArrayBuffer(2 * most);
  readonly #bytes = new Uint8Array(this.#memory);
  readonly #int32 = new Int32Array(this.#memory);
  readonly #uint32 = new Uint32Array(this.#memory);
  readonly #float32 = new Float32Array(this.#memory);
  readonly #float64 = new Float64Array(this.#memory);
  readonly #address = Number(koffi.address(this.#memory));

  /** Address of the list of arguments, as `cuLaunchKernel` takes it. */
  readonly list: number = this.#address + pointersAt;

  /** Writes the arguments of a kernel and the list of their addresses. */
  write(kernel: Kernel, args: readonly (number | TensorMap)[]): void {
    for (let i = 0; i < kernel.slots.length; i++) this.#writeOne(kernel.slots[i]!, args[i]!);
    for (let i = 0; i < kernel.parameters.length; i++) this.#writeWord(pointersAt + 8 * i, this.#address + kernel.parameters[i]!);
  }

  #writeOne({ type, offset }: Slot, value: number | TensorMap): void {
    if (typeof value !== "number") this.#bytes.set(value.bytes, offset);
    else if (type === "i") this.#int32[offset / 4] = value;
    else if (type === "f") this.#float32[offset / 4] = value;
    else if (type === "d") this.#float64[offset / 8] = value;
    else this.#writeWord(offset, value);
  }

  /** Writes 64 bits of an address or a whole number, which has at most 53, without making a BigInt of it. */
  #writeWord(offset: number, value: number): void {
    this.#uint32[offset / 4] = value >>> 0;
    this.#uint32[offset / 4 + 1] = Math.floor(value / 2 ** 32);
  }
}
