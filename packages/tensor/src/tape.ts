import { isFloat } from "./dtype.ts";
import { GradientError } from "./errors.ts";
import type { AnyOp, Inputs, Outputs } from "./op.ts";
import type { Tensor } from "./tensor.ts";

/** One op of a forward pass with what its gradient rule will read. */
export interface TapeEntry {
  readonly op: AnyOp;
  readonly x: Inputs;
  readonly y: Outputs;
  readonly attrs: unknown;
}

/** The ops that lead from the tracked tensors to a result, in the order they ran. */
export class Tape {
  readonly entries: TapeEntry[] = [];
  readonly #tracked = new Set<number>();

  track(tensor: Tensor): void {
    this.#tracked.add(tensor.id);
  }

  tracks(tensor: Tensor | null): boolean {
    return tensor !== null && this.#tracked.has(tensor.id);
  }

  /** Lets go of what the entries still hold. */
  clear(): void {
    for (const entry of this.entries.splice(0)) releaseEntry(entry);
  }
}

let active: readonly Tape[] = [];

/** Runs `f` with `tape` recording beside those already recording. */
export function recording<T>(tape: Tape, f: () => T): T {
  return withTapes([...active, tape], f);
}

/** Runs `f` with no tape recording. */
export function paused<T>(f: () => T): T {
  return withTapes([], f);
}

interface Seal {
  readonly tapes: readonly Tape[];
  readonly inputs: ReadonlySet<number>;
}

let seals: readonly Seal[] = [];

/** Runs `f` with no tape recording, as one op of the given inputs.
 *  @throws GradientError when `f` reads another tensor that a tape tracks: its gradient would be lost */
export function sealed<T>(inputs: readonly Tensor[], f: () => T): T {
  const before = seals;
  seals = [...seals, { tapes: active, inputs: new Set(inputs.map((tensor) => tensor.id)) }];
  try {
    return paused(f);
  } finally {
    seals = before;
  }
}

function checkSeals(op: AnyOp, x: Inputs): void {
  for (const { tapes, inputs } of seals) {
    for (const tensor of x) {
      if (tensor === null || !isFloat(tensor.dtype) || inputs.has(tensor.id) || !tapes.some((tape) => tape.tracks(tensor))) continue;
      throw new GradientError(`remat: ${op.name} reads a differentiated tensor that is not an argument of the function; pass it as one`);
    }
  }
}

function withTapes<T>(tapes: readonly Tape[], f: () => T): T {
  const before = active;
  active = tapes;
  try {
    return f();
  } finally {
    active = before;
  }
}

/** True while some tape would record an op on this tensor. */
export function isTracked(tensor: Tensor | null): boolean {
  for (const tape of active) if (tape.tracks(tensor)) return true;
  return false;
}

/** Appends an op to every recording tape that tracks one of its inputs.
 *  @throws GradientError when the op has no gradient but returns floats that would need one */
export function record(op: AnyOp, x: Inputs, y: Outputs, attrs: unknown): void {
  checkSeals(op, x);
  for (const tape of active) {
    if (!x.some((tensor) => tape.tracks(tensor))) continue;
    const differentiable = y.filter((tensor) => isFloat(tensor.dtype));
    if (differentiable.length === 0) continue;
    if (op.vjp === null) throw new GradientError(`${op.name}: has no gradient; compute it outside of valueAndGrad or stop the gradient`);
    for (const tensor of differentiable) tape.track(tensor);
    tape.entries.push({
      op,
      x: x.map((tensor, i) => hold(tensor, op.saves?.inputs.includes(i) ?? true)),
      y: y.map((tensor, i) => hold(tensor, op.saves?.outputs.includes(i) ?? false)),
      attrs,
    });
  }
}

/** Gives back the memory an entry holds. */
export function releaseEntry(entry: TapeEntry): void {
  for (const tensor of [...entry.x, ...entry.y]) if (tensor !== null && !tensor.disposed) tensor.dispose();
}

function hold<T extends Tensor | null>(tensor: T, elements: boolean): T {
  if (tensor === null) return tensor;
  return (elements ? tensor.alias() : tensor.ghost()) as T;
}
