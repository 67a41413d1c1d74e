import { disposeTree, keep, scope, type Repeated } from "@danu/tensor";

import { table } from "../cli/format.ts";
import type { BenchMachine } from "./machine.ts";

/** Time the device spent in one op, all calls together. */
export interface OpTime {
  readonly op: string;
  readonly calls: number;
  /** In milliseconds: processor time of all threads, on a GPU time on the clock with what a launch costs. */
  readonly milliseconds: number;
}

/** Runs work with every kernel waited for, so that its time can be told apart. Slower than the work alone. */
export async function profile({ device, profiled }: BenchMachine, work: () => Promise<unknown>): Promise<OpTime[]> {
  const times = new Map<string, { calls: number; milliseconds: number }>();
  const { kernelOf, repeat } = device;
  device.repeat = <T>(repeated: () => T): Repeated<T> | null => {
    const asOne = Reflect.apply(repeat, device, [repeated]) as Repeated<T> | null;
    asOne?.[Symbol.dispose]();
    return asOne === null ? null : new Apart(repeated);
  };
  device.kernelOf = ((op: { readonly name: string }, ...rest: unknown[]) => {
    const kernel = Reflect.apply(kernelOf, device, [op, ...rest]) as ((...args: unknown[]) => void) | undefined;
    if (kernel === undefined) return undefined;
    return (...args: unknown[]): void => {
      const start = profiled.clock();
      kernel(...args);
      profiled.wait();
      const entry = times.get(op.name) ?? { calls: 0, milliseconds: 0 };
      times.set(op.name, { calls: entry.calls + 1, milliseconds: entry.milliseconds + profiled.clock() - start });
    };
  }) as typeof device.kernelOf;
  try {
    await work();
  } finally {
    device.kernelOf = kernelOf;
    device.repeat = repeat;
  }
  return [...times].map(([op, time]) => ({ op, ...time })).sort((a, b) => b.milliseconds - a.milliseconds);
}

/** Work that a device would repeat as a whole, with no ops to tell apart, done op by op. */
class Apart<T> implements Repeated<T> {
  readonly #work: () => T;
  #result: T | null = null;

  constructor(work: () => T) {
    this.#work = work;
  }

  run(): T {
    this[Symbol.dispose]();
    return this.#result = keep(scope(this.#work));
  }

  [Symbol.dispose](): void {
    disposeTree(this.#result);
    this.#result = null;
  }
}

/** A profile for people. */
export function profileTable(times: readonly OpTime[], { profiled }: BenchMachine): string {
  return table(["op", "calls", profiled.unit], times.map(({ op, calls, milliseconds }) => [op, String(calls), milliseconds.toFixed(1)]));
}
