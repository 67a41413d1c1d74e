import type { CpuDevice } from "@danu/cpu";

import { table } from "../cli/format.ts";

/** Time the device spent in one op, all calls together. */
export interface OpTime {
  readonly op: string;
  readonly calls: number;
  /** Processor time of all threads, in milliseconds: a machine shared with other work does not change it much. */
  readonly cpuMs: number;
}

/** Runs work with every kernel waited for, so that its time can be told apart. Slower than the work alone. */
export async function profile(cpu: CpuDevice, work: () => Promise<unknown>): Promise<OpTime[]> {
  const times = new Map<string, { calls: number; cpuMs: number }>();
  const kernelOf = cpu.kernelOf;
  cpu.kernelOf = ((op: { readonly name: string }, ...rest: unknown[]) => {
    const kernel = Reflect.apply(kernelOf, cpu, [op, ...rest]) as ((...args: unknown[]) => void) | undefined;
    if (kernel === undefined) return undefined;
    return (...args: unknown[]): void => {
      const start = process.cpuUsage();
      kernel(...args);
      cpu.library.waitUntil(cpu.queue, cpu.library.submitted(cpu.queue));
      const { user, system } = process.cpuUsage(start);
      const entry = times.get(op.name) ?? { calls: 0, cpuMs: 0 };
      times.set(op.name, { calls: entry.calls + 1, cpuMs: entry.cpuMs + (user + system) / 1000 });
    };
  }) as typeof cpu.kernelOf;
  try {
    await work();
  } finally {
    cpu.kernelOf = kernelOf;
  }
  return [...times].map(([op, time]) => ({ op, ...time })).sort((a, b) => b.cpuMs - a.cpuMs);
}

/** A profile for people. */
export function profileTable(times: readonly OpTime[]): string {
  return table(["op", "calls", "cpu ms"], times.map(({ op, calls, cpuMs }) => [op, String(calls), cpuMs.toFixed(1)]));
}
