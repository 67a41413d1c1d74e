import { DanuError } from "@danu/tensor";

/** How the learning rate moves over the steps of a run. */
export interface ScheduleOptions {
  readonly kind: "cosine" | "linear" | "constant" | "warmup-stable-decay";
  /** Learning rate after the warmup. */
  readonly peak: number;
  /** Learning rate at the end; ignored by `constant`. */
  readonly floor?: number;
  /** Steps of the run. */
  readonly steps: number;
  /** Steps from 0 up to the peak. */
  readonly warmup?: number;
  /** Steps from the peak down to the floor at the end of `warmup-stable-decay`. */
  readonly decay?: number;
}

/** Learning rate of every step.
 *
 *  Step i of the warmup has `peak · (i + 1) / warmup`. After it, with x running to 1 at the last step,
 *  `cosine` is `floor + (peak − floor) · (1 + cos πx) / 2` (Loshchilov & Hutter 2017), `linear` a straight line, and
 *  `warmup-stable-decay` (Hu et al. 2024, MiniCPM) stays at the peak until its last `decay` steps, a straight line.
 *  @returns a function of the step, from 0  @throws DanuError when the numbers do not describe a schedule */
export function schedule(options: ScheduleOptions): (step: number) => number {
  const { kind, peak, floor = 0, steps, warmup = 0, decay = 0 } = options;
  const whole = [steps, warmup, decay].every((n) => Number.isInteger(n) && n >= 0);
  if (!whole || warmup + decay > steps || !(peak >= floor && floor >= 0) || !Number.isFinite(peak)) {
    throw new DanuError("schedule", "schedule: expected whole numbers with warmup + decay ≤ steps and 0 ≤ floor ≤ peak, "
      + `got steps ${steps}, warmup ${warmup}, decay ${decay}, peak ${peak}, floor ${floor}`, { ...options });
  }
  const start = kind === "warmup-stable-decay" ? steps - decay : warmup;
  const shapes = {
    cosine: (x: number) => floor + (peak - floor) * 0.5 * (1 + Math.cos(Math.PI * x)),
    linear: (x: number) => peak + (floor - peak) * x,
    constant: () => peak,
    "warmup-stable-decay": (x: number) => peak + (floor - peak) * x,
  } as const;
  return (step) => {
    if (step < warmup) return (peak * (step + 1)) / warmup;
    const x = (step + 1 - start) / Math.max(steps - start, 1);
    return shapes[kind](Math.min(1, Math.max(0, x)));
  };
}
