import type { FileHandle } from "node:fs/promises";
import { FileError, SafetensorsError } from "./errors.ts";
import { headerLengthBytes, quote, readHeader, readHeaderLength } from "./header.ts";
import type { Metadata, SafetensorsHeader, TensorInfo } from "./header.ts";
import { openRegularFile, readExactly } from "./read-file.ts";

/** Named tensors in one file or several, read one at a time. */
export interface TensorStore extends AsyncDisposable {
  /** In the order of their bytes, file by file. */
  readonly names: readonly string[];
  has(name: string): boolean;
  /** @throws SafetensorsError if there is no such tensor */
  info(name: string): TensorInfo;
  /**
   * Reads the bytes of a tensor, little-endian and row-major.
   * @param into takes the bytes if given, `[byteLength]`; otherwise a new array that owns its buffer
   * @throws SafetensorsError if there is no such tensor or `into` has another length
   * @throws FileError if the file cannot be read or was closed
   */
  read(name: string, into?: Uint8Array): Promise<Uint8Array>;
  /** Frees the files; a second call does nothing. */
  close(): Promise<void>;
}

/** One open safetensors file. */
export interface SafetensorsFile extends TensorStore {
  readonly path: string;
  readonly metadata: Metadata;
}

/**
 * Opens a safetensors file of any size and checks its header under every rule; tensors are read on demand.
 * @throws SafetensorsError if the header breaks a rule
 * @throws FileError if the file cannot be read
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const { handle, bytes: fileBytes } = await openRegularFile(path);
  try {
    const prefix = new Uint8Array(Math.min(headerLengthBytes, fileBytes));
    await readExactly(handle, path, 0, prefix);
    const start = new Uint8Array(headerLengthBytes + readHeaderLength(prefix, fileBytes, path));
    await readExactly(handle, path, 0, start);
    return new OpenSafetensors(path, handle, readHeader(start, { fileBytes, source: path }));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

class OpenSafetensors implements SafetensorsFile {
  readonly path: string;
  readonly names: readonly string[];
  readonly metadata: Metadata;
  private readonly header: SafetensorsHeader;
  private handle: FileHandle | null;

  constructor(path: string, handle: FileHandle, header: SafetensorsHeader) {
    this.path = path;
    this.handle = handle;
    this.header = header;
    this.names = [...header.tensors.keys()];
    this.metadata = header.metadata;
  }

  has(name: string): boolean {
    return this.header.tensors.has(name);
  }

  info(name: string): TensorInfo {
    const info = this.header.tensors.get(name);
    if (!info) throw noSuchTensor(this.path, name, this.names);
    return info;
  }

  async read(name: string, into?: Uint8Array): Promise<Uint8Array> {
    const { byteOffset, byteLength } = this.info(name);
    if (!this.handle) throw new FileError(`cannot read ${this.path}: it was closed`, { path: this.path });
    const bytes = into ?? this.allocate(name, byteLength);
    if (bytes.byteLength !== byteLength) {
      const message = `${this.path}: expected ${byteLength} bytes to read ${quote(name)} into, got ${bytes.byteLength}`;
      throw new SafetensorsError("buffer-size", message, { name, byteLength });
    }
    await readExactly(this.handle, this.path, this.header.dataStart + byteOffset, bytes);
    return bytes;
  }

  async close(): Promise<void> {
    const { handle } = this;
    this.handle = null;
    await handle?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private allocate(name: string, byteLength: number): Uint8Array {
    try {
      return new Uint8Array(byteLength);
    } catch {
      const message = `${this.path}: cannot allocate the ${byteLength} bytes of ${quote(name)}; free memory`;
      throw new SafetensorsError("allocation", message, { name, byteLength });
    }
  }
}

/** The error for a name that a store does not hold. */
export function noSuchTensor(source: string, name: string, names: readonly string[]): SafetensorsError {
  const some = names.slice(0, 4).map(quote).join(", ");
  const held = names.length > 4 ? `${some} and ${names.length - 4} more` : some || "none";
  return new SafetensorsError("no-such-tensor", `${source}: expected a tensor ${quote(name)}, it holds ${held}`, {
    name,
  });
}
