import { disposeTree, scope, tensor, type Device, type Tensor } from "@danu/tensor";

import {
  preferenceLosses,
  type LossName,
  type LossParameters,
  type PreferenceLoss,
  type PreferencePairs,
} from "../src/index.ts";

/** Pairs as lists of numbers. */
export interface HostPairs {
  readonly chosen: readonly number[];
  readonly rejected: readonly number[];
  readonly referenceChosen: readonly number[];
  readonly referenceRejected: readonly number[];
  readonly chosenLengths?: readonly number[];
  readonly rejectedLengths?: readonly number[];
  readonly supervisedLoss?: number;
  readonly klEstimate?: number;
  readonly weights?: readonly number[];
}

/** The names of all losses. */
export const lossNames: readonly LossName[] = Object.keys(preferenceLosses) as LossName[];

/** Any loss with any parameters, which it checks itself. */
export function lossOf(name: LossName): PreferenceLoss<keyof LossParameters> {
  return preferenceLosses[name] as PreferenceLoss<keyof LossParameters>;
}

/** Puts pairs on a device; lengths left out are 3 and 4 tokens, the supervised loss 1.5 and the KL estimate 0.25. */
export function uploadPairs(device: Device, pairs: HostPairs): PreferencePairs {
  const { chosenLengths = pairs.chosen.map(() => 3), rejectedLengths = pairs.chosen.map(() => 4) } = pairs;
  const { supervisedLoss = 1.5, klEstimate = 0.25, weights } = pairs;
  return {
    chosen: tensor(device, pairs.chosen),
    rejected: tensor(device, pairs.rejected),
    referenceChosen: tensor(device, pairs.referenceChosen),
    referenceRejected: tensor(device, pairs.referenceRejected),
    chosenLengths: tensor(device, chosenLengths),
    rejectedLengths: tensor(device, rejectedLengths),
    supervisedLoss: tensor(device, [supervisedLoss], []),
    klEstimate: tensor(device, [klEstimate], []),
    ...(weights && { weights: tensor(device, weights) }),
  };
}

/** What a function of pairs gives, as numbers. */
export async function numbers(device: Device, pairs: HostPairs, f: (x: PreferencePairs) => Tensor): Promise<number[]> {
  const input = uploadPairs(device, pairs);
  const y = scope(() => f(input));
  const values = Array.from(await y.read());
  disposeTree([y, input]);
  return values;
}
