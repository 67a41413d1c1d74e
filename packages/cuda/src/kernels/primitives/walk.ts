import type { Shape } from "@danu/tensor";

import type { ArgumentsOf } from "../../kernel.ts";

/** Most axes that a kernel walks along; AXES of walk.cuh. */
const most = 6;
const letters = "llllll";
type Letters = typeof letters;

/** Signatures of `Walk` of one, two and three operands. */
export const walk1: `(${Letters}${Letters}ii)` = `(${letters}${letters}ii)`;
export const walk2: `(${Letters}${Letters}${Letters}ii)` = `(${letters}${letters}${letters}ii)`;
export const walk3: `(${Letters}${Letters}${Letters}${Letters}ii)` = `(${letters}${letters}${letters}${letters}ii)`;

/** One axis of a call and how far apart its neighbours are in each tensor, in elements. */
export interface Axis {
  readonly size: number;
  readonly steps: readonly number[];
}

/** Axes of a call, the innermost first: those of size 1 are left out, and those joined along which all tensors lie alike.
 *  @param strides of each tensor, as `shape` is read */
export function axesOf(shape: Shape, strides: readonly (readonly number[])[]): Axis[] {
  const axes: Axis[] = [];
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i]!;
    const inner = axes.at(-1);
    if (size === 1) continue;
    if (inner !== undefined && strides.every((own, k) => own[i] === inner.steps[k]! * inner.size)) {
      axes[axes.length - 1] = { size: inner.size * size, steps: inner.steps };
    } else {
      axes.push({ size, steps: strides.map((own) => own[i]!) });
    }
  }
  return axes.length > 0 ? axes : [{ size: 1, steps: strides.map(() => 1) }];
}

/** Calls `visit` with as many axes as a kernel takes, and where each tensor starts then: once, but for tensors of very many. */
export function forWalks(axes: readonly Axis[], visit: (axes: readonly Axis[], starts: readonly number[]) => void): void {
  const { steps } = axes.at(-1)!;
  if (axes.length <= most) return visit(axes, steps.map(() => 0));
  for (let i = 0; i < axes.at(-1)!.size; i++) {
    forWalks(axes.slice(0, -1), (fewer, starts) => visit(fewer, starts.map((start, k) => start + i * steps[k]!)));
  }
}

/** The arguments of a `Walk` of some of the tensors.
 *  @param wide bits of those whose neighbours may be accessed together */
export function walkArguments(axes: readonly Axis[], tensors: readonly [number], wide: number): ArgumentsOf<typeof walk1>;
export function walkArguments(axes: readonly Axis[], tensors: readonly [number, number], wide: number): ArgumentsOf<typeof walk2>;
export function walkArguments(axes: readonly Axis[], tensors: readonly [number, number, number], wide: number): ArgumentsOf<typeof walk3>;
export function walkArguments(axes: readonly Axis[], tensors: readonly number[], wide: number): readonly number[] {
  // Plain loops: this runs once for every op.
  const values: number[] = [];
  for (let i = 0; i < most; i++) values.push(axes[i]?.size ?? 1);
  for (const k of tensors) {
    for (let i = 0; i < most; i++) values.push(axes[i]?.steps[k] ?? 0);
  }
  values.push(axes.length, wide);
  return values;
}
