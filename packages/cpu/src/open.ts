import { DeviceError, providePrimitives } from "@danu/tensor";

import { CpuDevice } from "./device.ts";
import { isasUpTo, parseIsa, type Isa } from "./isa.ts";
import { provideFused } from "./kernels/fused.ts";
import { primitiveKernels } from "./kernels/primitives.ts";
import { bestIsa } from "./library.ts";

/** Which part of the machine to use. */
export interface CpuOptions {
  /** Threads that compute; all the process may use by default, or `DANU_THREADS`. */
  readonly threads?: number;
  /** Instruction set; the best by default, or `DANU_ISA`. */
  readonly isa?: Isa;
}

/** Opens the CPU as a device.
 *  @throws DeviceError when no binary loads on this platform, or the instruction set is beyond the machine */
export function cpuDevice(options: CpuOptions = {}): CpuDevice {
  const best = bestIsa();
  const wanted = options.isa ?? parseIsa(process.env["DANU_ISA"] ?? best);
  const threads = options.threads ?? Number(process.env["DANU_THREADS"] ?? 0);
  if (!Number.isInteger(threads) || threads < 0) throw new DeviceError(`cpu: expected a number of threads, got ${threads}`);
  if (!isasUpTo(best).includes(wanted)) {
    throw new DeviceError(`cpu: this machine has ${best}, and cannot run ${wanted}`, { wanted, best });
  }
  const device = new CpuDevice(wanted, threads);
  providePrimitives(device, primitiveKernels);
  provideFused(device);
  return device;
}
