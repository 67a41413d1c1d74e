import { setTimeout } from "node:timers/promises";

import { cpuDevice, parseIsa, type CpuDevice } from "@danu/cpu";
import { capabilityText, cudaDevice, type CudaDevice } from "@danu/cuda";
import { DanuError, referenceDevice, type Device } from "@danu/tensor";

import type { PassDType } from "../recipe/recipe.ts";
import { InputError } from "./errors.ts";
import type { FlagValues } from "./flags.ts";
import type { Io } from "./io.ts";
import type { Reporter } from "./reporter.ts";

/** Flags of every command that computes. */
export const deviceFlags = {
  device: {
    type: "choice",
    choices: ["auto", "cpu", "cuda", "reference", "gpujs"],
    default: "auto",
    help: "where to compute; auto takes the fastest that works here",
  },
  threads: { type: "integer", value: "N", min: 1, max: 4096, help: "CPU threads; all by default, or DANU_THREADS" },
} as const;

/** The chosen device and what is known of it. */
export interface OpenDevice extends Disposable {
  readonly device: Device;
  /** For people: `cpu (avx512bf16, 2 threads)`. */
  readonly description: string;
  /** The fast CPU device, if it is that. */
  readonly cpu: CpuDevice | null;
  /** The GPU, if it is that. */
  readonly cuda: CudaDevice | null;
  /** Most memory held so far, in bytes; null where the device does not count. */
  peakBytes(): number | null;
  /** Memory that nobody uses now, in bytes; null where it is not known. */
  availableBytes(): number | null;
}

/** Opens the device that the flags name; `auto` takes a GPU where there is one, else the CPU, and falls back to the
 *  reference device where that has no kernels, and says so, with the reason.
 *  @throws InputError for a device that is not built yet  @throws DeviceError */
export function openDevice(flags: FlagValues<typeof deviceFlags>, io: Io, reporter: Reporter): OpenDevice {
  const { device: wanted } = flags;
  if (wanted === "gpujs") {
    throw new InputError("--device gpujs: expected cpu, cuda or reference, the gpujs device is not part of this build yet");
  }
  if (wanted === "reference") return openReference();
  if (wanted === "cuda") return openCuda(io);
  const cuda = wanted === "auto" ? openCudaIfUsable(io, reporter) : null;
  if (cuda !== null) return cuda;
  try {
    return openCpu(flags.threads, io);
  } catch (error) {
    if (wanted === "cpu" || !DanuError.isInstance(error) || error.code !== "device") throw error;
    reporter.note(`computing on the slow reference device, since the CPU device is not usable: ${error.message}`);
    return openReference();
  }
}

/** Element type in which the device computes fastest. */
export function fastestDtype({ cpu, cuda }: OpenDevice): "f32" | "bf16" {
  return cuda !== null || cpu?.isa === "avx512bf16" ? "bf16" : "f32";
}

/** Multiply-add rate of the device in FLOP/s: of a GPU what its tensor cores are specified for, of the CPU the best of a
 *  few short samples, since others may use the machine; null where it is not known. */
export async function measurePeak({ cpu, cuda }: OpenDevice, dtype: PassDType): Promise<number | null> {
  if (cuda !== null) return cuda.peakFlops(dtype);
  if (cpu === null) return null;
  let best = 0;
  for (let sample = 0; sample < 8; sample++) {
    best = Math.max(best, cpu.peakFlops(dtype === "f32" ? "f32" : "bf16", 25));
    await setTimeout(25);
  }
  return best;
}

/** Opens the fast CPU device. @throws DeviceError */
export function openCpu(threads: number | undefined, { env }: Io): OpenDevice & { readonly cpu: CpuDevice } {
  const isa = env["DANU_ISA"];
  const cpu = cpuDevice({
    ...(threads === undefined ? {} : { threads }),
    ...(isa === undefined ? {} : { isa: parseIsa(isa) }),
  });
  return {
    device: cpu,
    cpu,
    cuda: null,
    description: `cpu (${cpu.isa}, ${cpu.threads} threads)`,
    peakBytes: () => cpu.memory().peak,
    availableBytes: () => process.availableMemory(),
    [Symbol.dispose]: () => cpu[Symbol.dispose](),
  };
}

/** Opens a GPU. @throws DeviceError */
export function openCuda({ env }: Io): OpenDevice & { readonly cuda: CudaDevice } {
  const cuda = cudaDevice({ env });
  return {
    device: cuda,
    cpu: null,
    cuda,
    description: `${cuda.name} (${cuda.chip.name}, compute capability ${capabilityText(cuda.chip)})`,
    peakBytes: () => cuda.memory().peak,
    availableBytes: () => cuda.freeBytes(),
    [Symbol.dispose]: () => cuda[Symbol.dispose](),
  };
}

/** A GPU if there is one; a driver without one, or kernels that are missing, are worth a word. */
function openCudaIfUsable(io: Io, reporter: Reporter): OpenDevice | null {
  try {
    return openCuda(io);
  } catch (error) {
    if (!DanuError.isInstance(error) || error.code !== "device") throw error;
    if (error.data["missing"] !== "driver") reporter.note(`computing on the CPU: ${error.message}`);
    return null;
  }
}

function openReference(): OpenDevice {
  const device = referenceDevice();
  return {
    device,
    cpu: null,
    cuda: null,
    description: "reference",
    peakBytes: () => null,
    availableBytes: () => null,
    [Symbol.dispose]: () => device[Symbol.dispose](),
  };
}
