import type { Handle } from "@danu/tensor";

/** Types that products take. */
export type Operand = "f32" | "bf16" | "f16";

/** Products `y = op(a) · op(b) + residual` of dense matrices, `count` of them at even distances. */
export interface Product {
  readonly y: Handle;
  readonly a: Handle;
  readonly b: Handle;
  /** Laid out as y and of its type, 0 for none. */
  readonly residual: Handle;
  /** Type of a and b. */
  readonly dtype: Operand;
  /** Type of y: that of the operands, or f32. */
  readonly result: Operand;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly layout: Layout;
  readonly count: number;
  /** Elements from one row of a, as it is stored, to the next; those of a dense matrix where left out. */
  readonly rowStepA?: number;
  /** Matrices of a and of b from one product to the next; 0 for the same one again. */
  readonly steps: readonly [a: number, b: number];
}

/** How a `[M, K]` and b `[K, N]` are stored: n as they are, t transposed. */
export type Layout = "nn" | "nt" | "tn" | "tt";

/** The layout of operands; a single row or column lies in memory as its transposed does. */
export function layoutOf(M: number, N: number, transposeA: boolean, transposeB: boolean): Layout {
  return `${transposeA && M > 1 ? "t" : "n"}${transposeB || N === 1 ? "t" : "n"}`;
}

/** Elements from one row of a and of b, as they are stored, to the next. */
export function rowStepsOf({ M, N, K, layout, rowStepA = layout[0] === "n" ? K : M }: Product): readonly [a: number, b: number] {
  return [rowStepA, layout[1] === "n" ? N : K];
}
