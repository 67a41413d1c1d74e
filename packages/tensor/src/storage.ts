import type { Device, Handle } from "./device.ts";
import { DisposedError } from "./errors.ts";

/** Memory on one device, shared by the tensors that view it and returned when the last of them lets go. */
export class Storage {
  readonly device: Device;
  readonly bytes: number;
  readonly #handle: Handle;
  #owners = 1;

  constructor(device: Device, bytes: number) {
    this.device = device;
    this.bytes = bytes;
    this.#handle = device.allocate(bytes);
    device.liveBuffers++;
    device.liveBytes += bytes;
  }

  /** Number of tensors that hold this memory. */
  get owners(): number {
    return this.#owners;
  }

  /** @throws DisposedError when the memory has been given back */
  get handle(): Handle {
    if (this.#owners === 0) throw new DisposedError("tensor: its memory was freed; keep it with keep() or return it from the scope");
    return this.#handle;
  }

  retain(): this {
    this.#owners++;
    return this;
  }

  release(): void {
    if (--this.#owners > 0) return;
    this.device.liveBuffers--;
    this.device.liveBytes -= this.bytes;
    this.device.free(this.#handle, this.bytes);
  }
}
