import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { DeviceError } from "@danu/tensor";
import koffi from "koffi";

import { isas, type Isa } from "./isa.ts";
import { prototypes, type Prototypes } from "./prototypes.ts";

/** The native library of one instruction set: its functions under the names of the C ABI without their `danu_`. */
export type Library = Prototypes & {
  /** Waits on a thread of the pool until the first `count` tasks are done. */
  readonly waitUntilAsync: (queue: unknown, count: number) => Promise<void>;
};

const platform = `${process.platform}-${process.arch}`;
const loaded = new Map<Isa, Library>();

/** Folders that may hold the binaries: this package's own build, then the installed platform package. */
function folders(): string[] {
  const own = join(dirname(fileURLToPath(import.meta.url)), "..", "lib", platform);
  try {
    return [own, dirname(createRequire(import.meta.url).resolve(`@danu/cpu-${platform}/package.json`))];
  } catch {
    return [own];
  }
}

/** Loads the library of an instruction set, once.
 *  @throws DeviceError when there is no binary for this platform or it does not load */
export function loadLibrary(isa: Isa): Library {
  const known = loaded.get(isa);
  if (known !== undefined) return known;
  const file = `danu_cpu_${isa}.so`;
  const path = folders().map((folder) => join(folder, file)).find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new DeviceError(
      `cpu: found no ${file} for ${platform}; install @danu/cpu-${platform}, or run "npm run build" in a checkout with a C++ compiler`,
      { isa, platform },
    );
  }
  const library = bind(path);
  loaded.set(isa, library);
  return library;
}

function bind(path: string): Library {
  try {
    const native = koffi.load(path);
    const entries = Object.entries(prototypes).map(([name, prototype]) => [name, native.func(prototype)] as const);
    const functions = Object.fromEntries(entries) as unknown as Prototypes;
    const waitUntil = functions.waitUntil as unknown as { async: (...args: unknown[]) => void };
    const waitUntilAsync = (queue: unknown, count: number): Promise<void> => new Promise((resolve, reject) => {
      waitUntil.async(queue, count, (error: unknown) => (error ? reject(error as Error) : resolve()));
    });
    return { ...functions, waitUntilAsync };
  } catch (error) {
    throw new DeviceError(`cpu: cannot load ${path}: ${(error as Error).message}`, { path });
  }
}

/** The best instruction set of this machine for which there is a binary.
 *  @throws DeviceError when there is none for this platform */
export function bestIsa(): Isa {
  const plain = process.arch === "arm64" ? "neon" : "baseline";
  return isas[loadLibrary(plain).isa()]!;
}
