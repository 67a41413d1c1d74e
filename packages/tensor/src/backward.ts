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

  /** Takes the gradient of a tensor out of the map, or null if none arrived. */
  take(tensor: Tensor): Tensor | null {
    const gradient = this.#byId.get(tensor.id) ?? null;
    this.#byId.delete(tensor.id);
    return gradient;
  }

  /** Adds a contribution, summed over the axes along which the tensor had been broadcast. */
  add(tensor: Tensor, contribution: Tensor): void {
    const before = this.#byId.get(tensor.id);
    const fitted = sameShape(contribution.shape, tensor.shape) ? contribution : sumTo(contribution, tensor.shape);
    this.#byId.set(tensor.id, before === undefined ? fitted.alias() : sum(before, fitted));
  }

  /** Frees the gradients nobody took. */
  clear(): void {
    for (const gradient of this.#byId.values()) gradient.dispose();
    this.#byId.clear();
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
  try {
    const needs = entry.x.map((tensor) => tape.tracks(tensor));
    const dx: readonly (Tensor | null)[] = entry.op.vjp!(g, entry.x, entry.y, entry.attrs, needs);
    entry.x.forEach((tensor, i) => {
      const contribution = dx[i] ?? null;
      if (tensor !== null && contribution !== null && needs[i] === true) gradients.add(tensor, contribution);
    });
  } finally {
    for (const gradient of g) gradient?.dispose();
  }
}
