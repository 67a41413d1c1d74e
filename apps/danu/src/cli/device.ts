import { setTimeout } from "node:timers/promises";

import { cpuDevice, parseIsa, type CpuDevice } from "@danu/cpu";
import { DanuError, referenceDevice, type Device } from "@danu/tensor";

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
  /** Most memory held so far, in bytes; null where the device does not count. */
  peakBytes(): number | null;
}

/** Opens the device that the flags name; `auto` falls back to the reference device and says so, with the reason.
 *  @throws InputError for a device that is not built yet  @throws DeviceError */
export function openDevice(flags: FlagValues<typeof deviceFlags>, io: Io, reporter: Reporter): OpenDevice {
  const { device: wanted } = flags;
  if (wanted === "cuda" || wanted === "gpujs") {
    throw new InputError(
      `--device ${wanted}: expected cpu or reference, the ${wanted} device is not part of this build yet`,
    );
  }
  if (wanted === "reference") return openReference();
  try {
    return openCpu(flags.threads, io);
  } catch (error) {
    if (wanted === "cpu" || !DanuError.isInstance(error) || error.code !== "device") throw error;
    reporter.note(`computing on the slow reference device, since the CPU device is not usable: ${error.message}`);
    return openReference();
  }
}

/** Element type in which the device computes fastest. */
export function fastestDtype({ cpu }: OpenDevice): "f32" | "bf16" {
  return cpu?.isa === "avx512bf16" ? "bf16" : "f32";
}

/** Multiply-add rate of the device in FLOP/s, the best of a few short samples, since others may use the machine; null
 *  where it cannot be measured. */
export async function measurePeak({ cpu }: OpenDevice, dtype: "f32" | "bf16"): Promise<number | null> {
  if (cpu === null) return null;
  let best = 0;
  for (let sample = 0; sample < 8; sample++) {
    best = Math.max(best, cpu.peakFlops(dtype, 25));
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
    description: `cpu (${cpu.isa}, ${cpu.threads} threads)`,
    peakBytes: () => cpu.memory().peak,
    [Symbol.dispose]: () => cpu[Symbol.dispose](),
  };
}

function openReference(): OpenDevice {
  const device = referenceDevice();
  return {
    device,
    cpu: null,
    description: "reference",
    peakBytes: () => null,
    [Symbol.dispose]: () => device[Symbol.dispose](),
  };
}
