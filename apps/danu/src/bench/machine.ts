import type { Device } from "@danu/tensor";

import { openCpu, openCuda, type OpenDevice } from "../cli/device.ts";
import type { FlagValues } from "../cli/flags.ts";
import type { Io } from "../cli/io.ts";
import type { PassDType } from "../recipe/recipe.ts";

/** Flags of every benchmark that computes on a device. */
export const benchDeviceFlags = {
  device: { type: "choice", choices: ["cpu", "cuda"], default: "cpu", help: "where to compute" },
  threads: { type: "integer", value: "N", min: 1, max: 4096, help: "CPU threads; all by default, or DANU_THREADS" },
} as const;

/** Element types of benchmarks; fp8 is that of the products in linear layers, bf16 of all else. */
export type BenchDType = PassDType;

/** A device whose speed is measured, and what it can do at best. */
export interface BenchMachine extends Disposable {
  readonly device: Device;
  /** The same as other commands open it. */
  readonly open: OpenDevice;
  /** What the share of the peak is a share of, for people. */
  readonly peakName: string;
  /** CPU threads; null on a GPU. */
  readonly threads: number | null;
  readonly profiled: Profiled;
  finish(): Promise<void>;
  /** Multiply-add rate in FLOP/s: of the CPU measured now, since others may use the machine; of a GPU what it is specified
   *  for. */
  peak(dtype: BenchDType, milliseconds: number): number;
  /** Rate in bytes a second at which memory is read on the CPU, or copied on a GPU, measured now. */
  bandwidth(bytes: number): Promise<number>;
  /** Most memory in use since `resetPeak`, in bytes. */
  peakBytes(): number;
  resetPeak(): void;
}

/** How to tell the times of single ops apart. */
interface Profiled {
  /** What `clock` counts, for people. */
  readonly unit: string;
  /** Time in milliseconds. */
  clock(): number;
  /** Returns when everything enqueued is done. */
  wait(): void;
}

/** Opens the device that the flags name.
 *  @param profile whether times of ops will be asked for: a GPU then waits for each kernel  @throws DeviceError */
export function openBench(
  flags: FlagValues<typeof benchDeviceFlags> & { readonly profile?: boolean }, io: Io,
): BenchMachine {
  if (flags.device === "cpu") return cpuMachine(openCpu(flags.threads, io));
  return cudaMachine(openCuda(flags.profile === true ? { ...io, env: { ...io.env, DANU_CUDA_WAIT: "1" } } : io));
}

function cpuMachine(open: ReturnType<typeof openCpu>): BenchMachine {
  const { cpu } = open;
  return {
    device: cpu,
    open,
    peakName: "the measured peak",
    threads: cpu.threads,
    profiled: {
      unit: "cpu ms",
      // Of all threads: a machine shared with other work does not change it much.
      clock: () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1000;
      },
      wait: () => cpu.library.waitUntil(cpu.queue, cpu.library.submitted(cpu.queue)),
    },
    finish: () => cpu.finish(),
    peak: (dtype, milliseconds) => cpu.peakFlops(dtype === "f32" ? "f32" : "bf16", milliseconds),
    bandwidth: async (bytes) => cpu.readBandwidth(bytes, 50),
    peakBytes: () => cpu.memory().peak,
    resetPeak: () => cpu.resetPeak(),
    [Symbol.dispose]: () => open[Symbol.dispose](),
  };
}

const COPIED_BYTES = 2 ** 28;
const [COPIES, ROUNDS] = [64, 3];

function cudaMachine(open: ReturnType<typeof openCuda>): BenchMachine {
  const { cuda } = open;
  const copies = async (): Promise<number> => {
    const [from, to] = [cuda.allocate(COPIED_BYTES), cuda.allocate(COPIED_BYTES)];
    try {
      cuda.fill(from, 0, 4, COPIED_BYTES / 4);
      let best = 0;
      // A GPU that was idle has to come up to speed.
      for (let round = 0; round < ROUNDS; round++) {
        await cuda.finish();
        const start = performance.now();
        for (let i = 0; i < COPIES; i++) cuda.copy(to, from, COPIED_BYTES);
        await cuda.finish();
        best = Math.max(best, (2 * COPIES * COPIED_BYTES * 1000) / (performance.now() - start));
      }
      return best;
    } finally {
      [from, to].forEach((handle) => cuda.free(handle));
    }
  };
  let bandwidth: Promise<number> | undefined;
  return {
    device: cuda,
    open,
    peakName: "the peak that the GPU is specified for",
    threads: null,
    profiled: { unit: "ms", clock: () => performance.now(), wait: () => undefined },
    finish: () => cuda.finish(),
    peak: (dtype) => cuda.peakFlops(dtype),
    bandwidth: () => (bandwidth ??= copies()),
    peakBytes: () => cuda.memory().peak,
    resetPeak: () => cuda.resetPeak(),
    [Symbol.dispose]: () => open[Symbol.dispose](),
  };
}
