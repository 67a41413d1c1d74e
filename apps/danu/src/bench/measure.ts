import type { BenchDType, BenchMachine } from "./machine.ts";

/** Runs work on the device once and waits for it. @returns seconds */
async function seconds(machine: BenchMachine, work: () => void): Promise<number> {
  const start = performance.now();
  work();
  await machine.finish();
  return (performance.now() - start) / 1000;
}

/** Least time of one piece of work, and the peak rate measured in between, so that both see the same machine. */
export interface Measured {
  readonly seconds: number;
  /** Multiply-add rate of the device at best, in FLOP/s. */
  readonly peak: number;
}

/** Times work again and again, with a measurement of the peak between the runs, and keeps the best of each.
 *  @param budget seconds to spend */
export async function measure(machine: BenchMachine, dtype: BenchDType, work: () => void, budget = 2): Promise<Measured> {
  await seconds(machine, work);
  const once = await seconds(machine, work);
  // Short work is repeated, so that starting and waiting do not count.
  const repeat = Math.max(1, Math.ceil(0.02 / once));
  const repeated = (): void => { for (let i = 0; i < repeat; i++) work(); };
  let [best, peak] = [Infinity, 0];
  const end = performance.now() + budget * 1000;
  for (let runs = 0; runs < 5 || performance.now() < end; runs++) {
    peak = Math.max(peak, machine.peak(dtype, 20));
    best = Math.min(best, await seconds(machine, repeated) / repeat);
  }
  return { seconds: best, peak };
}
