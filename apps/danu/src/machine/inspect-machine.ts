import { availableParallelism, cpus, totalmem } from "node:os";

import { bestIsa, isas, isasUpTo, type Isa } from "@danu/cpu";

import { measurePeak, openCpu } from "../cli/device.ts";
import type { Io } from "../cli/io.ts";
import { findGpus, type GpuReport } from "./gpu.ts";
import { measureMemoryBandwidth } from "./memory-bandwidth.ts";

/** What the CPU device found and reached. */
export interface CpuDeviceReport {
  /** Instruction set in use, and the best of this machine. */
  readonly isa: Isa;
  readonly bestIsa: Isa;
  readonly usableIsas: readonly Isa[];
  readonly threads: number;
  /** Measured multiply-add rate of all threads, in FLOP/s. */
  readonly peakFlops: { readonly f32: number; readonly bf16: number };
}

/** What a machine has. */
export interface MachineReport {
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  /** Threads that this process may use. */
  readonly cores: number;
  readonly memoryBytes: { readonly total: number; readonly available: number };
  /** Copy rate of one core, bytes a second. */
  readonly memoryBandwidth: number;
  /** Null where the CPU device does not work; `cpuDeviceError` then says why. */
  readonly cpuDevice: CpuDeviceReport | null;
  readonly cpuDeviceError: string | null;
  readonly gpu: GpuReport;
  /** What `--device auto` takes. */
  readonly used: "cuda" | "cpu" | "reference";
  readonly dtype: "f32" | "bf16";
}

/** Looks at the machine and measures what it can do; about a second. */
export async function inspectMachine(io: Io, threads: number | undefined): Promise<MachineReport> {
  const gpu = findGpus(io.env);
  const found = await cpuReport(io, threads);
  const cpuDevice = typeof found === "string" ? null : found;
  const used = gpu.problems[0] === null ? "cuda" : cpuDevice === null ? "reference" : "cpu";
  const total = Math.min(totalmem(), process.constrainedMemory() || Infinity);
  return {
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: { total, available: Math.min(total, process.availableMemory()) },
    memoryBandwidth: measureMemoryBandwidth(),
    cpuDevice,
    cpuDeviceError: typeof found === "string" ? found : null,
    gpu,
    used,
    dtype: used === "cuda" || cpuDevice?.isa === "avx512bf16" ? "bf16" : "f32",
  };
}

async function cpuReport(io: Io, threads: number | undefined): Promise<CpuDeviceReport | string> {
  try {
    using open = openCpu(threads, io);
    const { cpu } = open;
    const best = bestIsa();
    const peakFlops = { f32: (await measurePeak(open, "f32"))!, bf16: (await measurePeak(open, "bf16"))! };
    return { isa: cpu.isa, bestIsa: best, usableIsas: isasUpTo(best), threads: cpu.threads, peakFlops };
  } catch (error) {
    return (error as Error).message;
  }
}

/** Instruction sets beyond the best of this machine that kernels exist for. */
export function missingIsas({ usableIsas }: CpuDeviceReport): readonly Isa[] {
  return isas.filter((isa) => !usableIsas.includes(isa) && (isa === "neon") === usableIsas.includes("neon"));
}
