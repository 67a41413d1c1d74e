import { UsageError } from "@danu/tensor";
import koffi from "koffi";

import type { Kernel, Slot } from "./kernel.ts";
import type { TensorMap } from "./tensor-map.ts";

/** Room for parameters, of which a kernel may take 32,764 bytes, and for their list. CUDA C++ Programming Guide, function
 *  parameters. */
const pointersAt = 32 << 10;
const listBytes = 4096;

/** One argument; a list of structs for an array of them. */
type Argument = number | TensorMap | readonly (readonly Argument[])[];

/** Memory in which the arguments of a launch are written, the same for every launch: the driver copies them. */
export class ArgumentMemory {
  // Larger than what V8 keeps on its own heap, where it would move.
  readonly #memory = new ArrayBuffer(pointersAt + listBytes);
  readonly #bytes = new Uint8Array(this.#memory);
  readonly #int32 = new Int32Array(this.#memory);
  readonly #uint32 = new Uint32Array(this.#memory);
  readonly #float32 = new Float32Array(this.#memory);
  readonly #float64 = new Float64Array(this.#memory);
  readonly #address = Number(koffi.address(this.#memory));

  /** Address of the list of arguments, as `cuLaunchKernel` takes it. */
  readonly list: number = this.#address + pointersAt;

  /** Writes the arguments of a kernel and the list of their addresses. */
  write(kernel: Kernel, args: readonly Argument[]): void {
    for (let i = 0; i < kernel.slots.length; i++) this.#writeOne(kernel.slots[i]!, 0, args[i]!);
    for (let i = 0; i < kernel.parameters.length; i++) this.#writeWord(pointersAt + 8 * i, this.#address + kernel.parameters[i]!);
  }

  #writeOne(slot: Slot, base: number, value: Argument): void {
    const { type } = slot;
    const offset = base + slot.offset;
    if (type === "array") this.#writeArray(slot, offset, value as readonly (readonly Argument[])[]);
    else if (type === "m") this.#bytes.set((value as TensorMap).bytes, offset);
    else if (type === "i") this.#int32[offset / 4] = value as number;
    else if (type === "f") this.#float32[offset / 4] = value as number;
    else if (type === "d") this.#float64[offset / 8] = value as number;
    else this.#writeWord(offset, value as number);
  }

  /** Writes the first structs of an array; of the others a kernel reads nothing. */
  #writeArray({ most, bytes, members }: Extract<Slot, { type: "array" }>, offset: number, structs: readonly (readonly Argument[])[]): void {
    if (structs.length > most) throw new UsageError(`kernel: expected at most ${most} structs in an array, got ${structs.length}; launch it several times`);
    structs.forEach((struct, i) => members.forEach((slot, j) => this.#writeOne(slot, offset + i * bytes, struct[j]!)));
  }

  /** Writes 64 bits of an address or a whole number, which has at most 53, without making a BigInt of it. */
  #writeWord(offset: number, value: number): void {
    this.#uint32[offset / 4] = value >>> 0;
    this.#uint32[offset / 4 + 1] = Math.floor(value / 2 ** 32);
  }
}
