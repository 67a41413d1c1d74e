import { sizeOf, type Shape } from "@danu/tensor";
import fc from "fast-check";

/** Sizes around the edges of vectors, blocks and rows: empty, one, a few, and just beside powers of two. */
export const axisSizes: fc.Arbitrary<number> = fc.oneof(
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.constant(1) },
  { weight: 6, arbitrary: fc.integer({ min: 2, max: 6 }) },
  { weight: 3, arbitrary: fc.constantFrom(7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 129) }
);

/** Seeds for `hostTensor` and everything else that draws numbers. */
export const seeds: fc.Arbitrary<number> = fc.integer({ min: 0, max: 2 ** 31 - 1 });

/** What a generated shape may be. */
export interface ShapeLimits {
  readonly minRank?: number;
  readonly maxRank?: number;
  /** Largest number of elements; 2,000 when left out. */
  readonly maxSize?: number;
}

/** Shapes of rank 0 to 4 with empty, size-1 and ragged axes. */
export function shapes({ minRank = 0, maxRank = 4, maxSize = 2000 }: ShapeLimits = {}): fc.Arbitrary<Shape> {
  return fc.array(axisSizes, { minLength: minRank, maxLength: maxRank }).map((shape) => shrinkTo(shape, maxSize));
}

/** Halves the largest axis until the tensor is small enough. */
function shrinkTo(shape: Shape, maxSize: number): Shape {
  const small = [...shape];
  while (sizeOf(small) > maxSize) {
    const largest = small.indexOf(Math.max(...small));
    small[largest] = Math.ceil(small[largest]! / 2);
  }
  return small;
}

/** Several shapes that broadcast together: every axis of each may be 1, and leading axes may be absent. */
export function broadcastable(count: number, limits: ShapeLimits = {}): fc.Arbitrary<readonly Shape[]> {
  return shapes(limits).chain((shape) => {
    const one = fc.tuple(
      fc.nat({ max: shape.length }),
      fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length })
    );
    return fc.array(one, { minLength: count, maxLength: count }).map((choices) =>
      choices.map(([drop, ones], i) => {
        const stretched = shape.map((n, axis) => (ones[axis] && axis % count === i ? 1 : n));
        // Axes may go missing from one operand alone, so that the others still span the shape.
        return i === 0 ? stretched.slice(drop) : stretched;
      })
    );
  });
}

/** A shape with one of its axes. */
export function shapesWithAxis(
  limits: ShapeLimits = {}
): fc.Arbitrary<{ readonly shape: Shape; readonly axis: number }> {
  return shapes({ minRank: 1, ...limits }).chain((shape) =>
    fc.nat({ max: shape.length - 1 }).map((axis) => ({ shape, axis }))
  );
}

/** How often a property runs: the same cases every time, or ten times as many new ones when `DANU_SOAK` is set. */
export function times(numRuns: number): { readonly numRuns: number; readonly seed?: number } {
  return process.env["DANU_SOAK"] ? { numRuns: numRuns * 10 } : { numRuns, seed: 20240125 };
}
