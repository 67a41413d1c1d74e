import { add } from "./ops/add.ts";
import { addInto } from "./ops/add-into.ts";
import { cast } from "./ops/cast.ts";
import { sumTo } from "./ops/sum.ts";
import { sameShape } from "./shape.ts";
import { keep, scope } from "./scope.ts";
import { isTracked, releaseEntry, type Tape, type TapeEntry } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/** Gradients by tensor identity; each is held by the map until it is taken out. */
export class Gradients {
  readonly #byId = new Map<number, Tensor>();
  readonly #companions = new Map<number, readonly Tensor[]>();

  /** Takes the gradient of a tensor out of the map, or null if none arrived. */
  take(tensor: Tensor): Tensor | null {
    const gradient = this.#byId.get(tensor.id) ?? null;
    this.#byId.delete(tensor.id);
    return gradient;
  }

  /** Lets tensors go with the gradient of a tensor, to which nothing is added any more. */
  accompany(tensor: Tensor, companions: readonly Tensor[]): void {
    this.#companions.set(tensor.id, companions.map((one) => one.alias()));
  }

  /** Takes what goes with the gradient of a tensor out of the map. */
  takeCompanions(tensor: Tensor): readonly Tensor[] {
    const companions = this.#companions.get(tensor.id) ?? [];
    this.#companions.delete(tensor.id);
    return companions;
  }

  /** Adds a contribution, summed over the axes along which the tensor had been broadcast. */
  add(tensor: Tensor, contribution: Tensor): void {
    const before = this.#byId.get(tensor.id);
    const fitted = sameShape(contribution.shape, tensor.shape) ? contribution : sumTo(contribution, tensor.shape);
    this.#byId.set(tensor.id, before === undefined ? fitted.alias() : sum(before, fitted));
  }

  /** Frees the gradients nobody took. */
  clear(): void {
    for (const gradient of [...this.#byId.values(), ...[...this.#companions.values()].flat()]) gradient.dispose();
    this.#byId.clear();
    this.#companions.clear();
  }
}

/** The sum of two gradients, in the memory of the first where nobody else sees it. Takes over the hold on `a`. */
function sum(a: Tensor, b: Tensor): Tensor {
  const wide = a.dtype === b.dtype || a.dtype === "f32" ? a : cast(a, b.dtype);
  const own = wide === a ? a.storage.owners === 1 : true;
  if (own && !isTracked(wide) && !isTracked(b)) {
    addInto(wide, b);
    if (wide === a) return a;
    a.dispose();
    return keep(wide);
  }
  const total = add(wide, b.dtype === wide.dtype ? b : cast(b, wide.dtype)).alias();
  a.dispose();
  return total;
}

/** Walks a tape backwards once, from `gradients` of its results to those of the tensors it tracks.
 *  Every activation is freed after its last use. */
export function walkBack(tape: Tape, gradients: Gradients): void {
  for (let i = tape.entries.length - 1; i >= 0; i--) {
    const entry = tape.entries.pop()!;
    try {
      scope(() => stepBack(tape, entry, gradients));
    } finally {
      releaseEntry(entry);
    }
  }
}

function stepBack(tape: Tape, entry: TapeEntry, gradients: Gradients): void {
  const g = entry.y.map((tensor) => gradients.take(tensor));
  if (g.every((gradient) => gradient === null)) return;
  const { op, x, y, attrs } = entry;
  const needs = x.map((tensor) => tape.tracks(tensor));
  const completed = op.completes !== undefined && needs[op.completes] === true ? x[op.completes]! : null;
  const arrived = completed && gradients.take(completed);
  const companions = gradients.takeCompanions(y[0]!);
  try {
    // What does not fit is left to the sum of contributions.
    const fits = arrived !== null && arrived.dtype === completed!.dtype;
    const castBy = completed !== null && (arrived === null || fits) ? nextCast(tape, completed) : null;
    const dx: readonly (Tensor | null)[] = op.vjp!(g, x, y, attrs, needs, { arrived: fits ? arrived : null, castBy, companions });
    if (arrived !== null && !(fits && dx[op.completes!] != null)) gradients.add(completed!, arrived);
    x.forEach((tensor, i) => {
      const contribution = dx[i] ?? null;
      if (tensor !== null && contribution !== null && needs[i] === true) gradients.add(tensor, contribution);
    });
    if (completed !== null && dx.length > x.length) gradients.accompany(completed, dx.slice(x.length) as Tensor[]);
  } finally {
    for (const gradient of [...g, arrived, ...companions]) gradient?.dispose();
  }
}

/** By which scaling the op that made a tensor casts its gradient; null where it does not, or an op in between adds to it. */
function nextCast(tape: Tape, tensor: Tensor): Tensor | null {
  for (let i = tape.entries.length - 1; i >= 0; i--) {
    const { op, x, y, attrs } = tape.entries[i]!;
    if (y.some(({ id }) => id === tensor.id)) return y[0]!.id === tensor.id ? op.castsGradient?.(x, attrs) ?? null : null;
    if (x.some((one) => one?.id === tensor.id)) return null;
  }
  return null;
}
