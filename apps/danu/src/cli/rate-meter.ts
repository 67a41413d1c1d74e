import { duration } from "./format.ts";

/** Rate of work since the meter was made, and the time left. */
export class RateMeter {
  readonly #began = performance.now();

  /** `4.1 MB/s  0:12 left`
   *  @param rate writes an amount a second */
  describe(done: number, total: number, rate: (perSecond: number) => string): string {
    const perSecond = done / Math.max((performance.now() - this.#began) / 1000, 1e-9);
    return `${rate(perSecond)}  ${duration((total - done) / perSecond)} left`;
  }
}
