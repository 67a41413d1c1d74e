import { createHash } from "node:crypto";

import { checkInteger, DataError } from "../data-error.ts";
import { keyOf } from "../keyed-hash.ts";
import { latest } from "../sampler/mixture.ts";
import { permute } from "../sampler/permutation.ts";
import type { TrainingExample } from "./pack-rows.ts";

/** How long fine-tuning goes on: passes over the examples, of which a part counts too, or steps. */
export type TrainingLength = { readonly epochs: number } | { readonly steps: number };

/** Steps of so many passes over the units of an order. @throws DataError `bad-option` */
export function stepsOf(length: TrainingLength, units: number, unitsPerStep: number): number {
  if ("steps" in length) {
    checkInteger("steps", length.steps, 1);
    return length.steps;
  }
  const { epochs } = length;
  if (!(Number.isFinite(epochs) && epochs > 0)) {
    throw new DataError("bad-option", `epochs: expected a number above 0, got ${epochs}`, { epochs });
  }
  return Math.max(1, Math.ceil((epochs * units) / unitsPerStep));
}

/** The place of a sample in an order that is shuffled anew for every pass, as a pure function of seed and sample. */
export function shuffled(units: number, seed: number): (sample: number) => number {
  const key = latest((epoch) => keyOf("packed", seed, epoch));
  return (sample) => {
    const epoch = Math.floor(sample / units);
    return permute(sample - epoch * units, units, key(epoch));
  };
}

/** Where training stands in its data: the step, and all that the order follows from. */
export type ExamplePosition<Settings> = Settings & { readonly step: number };

/** An order of steps that can be left and gone on with. */
export interface StepOrder<Settings> {
  readonly steps: number;
  /** State from which training goes on at `step`, as plain JSON. */
  stateAt(step: number): ExamplePosition<Settings>;
  /** The step at which a state goes on. @throws DataError `wrong-position` if the order would not be the same */
  stepOf(state: ExamplePosition<Settings>): number;
}

/** The order of steps that follows from settings. */
export function stepOrder<Settings extends Readonly<Record<string, number | string>>>(
  settings: Settings,
  steps: number,
): StepOrder<Settings> {
  const stateAt = (step: number): ExamplePosition<Settings> => ({ step, ...settings });
  return {
    steps,
    stateAt,
    stepOf: (state) => {
      const here = stateAt(state.step);
      const differs = Object.keys(here).find((name) => here[name] !== state[name]);
      if (differs === undefined && state.step >= 0 && state.step <= steps) return state.step;
      const name = differs ?? "step";
      const message =
        `the saved run had ${name} ${String(state[name])}, this one has ${String(here[name])}, so its data order ` +
        "cannot go on; resume with the saved settings";
      throw new DataError("wrong-position", message, { saved: state, found: here });
    },
  };
}

/** @throws DataError `wrong-position` past the last step */
export function checkStep(step: number, steps: number): void {
  if (Number.isInteger(step) && step >= 0 && step < steps) return;
  throw new DataError("wrong-position", `step ${step}: expected a step from 0 to ${steps - 1}`, { step, steps });
}

/** SHA-256 of examples in their order, 64 hexadecimal digits. */
export function digestOf(examples: Iterable<TrainingExample>): string {
  const hash = createHash("sha256");
  for (const { ids, trained } of examples) hash.update(Int32Array.of(ids.length)).update(ids).update(trained);
  return hash.digest("hex");
}
