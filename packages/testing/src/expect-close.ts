/** How far apart two numbers may be: `|actual − expected| ≤ atol + rtol · |expected|`. */
export interface Closeness {
  readonly rtol?: number;
  readonly atol?: number;
}

/** Asserts that two lists of numbers agree element by element; NaN equals NaN, infinities equal only themselves.
 *  @throws Error with the worst index, both values and the number of misses */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { rtol = 1e-5, atol = 0 }: Closeness = {}
): void {
  if (actual.length !== expected.length) {
    throw new Error(`expected ${expected.length} values, got ${actual.length}`);
  }
  let worst = -1;
  let worstExcess = 0;
  let misses = 0;
  for (let i = 0; i < actual.length; i++) {
    const excess = excessOf(actual[i]!, expected[i]!, rtol, atol);
    if (excess <= 0) continue;
    misses++;
    if (excess > worstExcess) {
      worst = i;
      worstExcess = excess;
    }
  }
  if (misses === 0) return;
  const [got, want] = [actual[worst]!, expected[worst]!];
  const within = `${atol} + ${rtol} · |expected|`;
  throw new Error(
    `${misses} of ${actual.length} values differ by more than ${within}; worst at index ${worst}: ` +
      `expected ${want}, got ${got}, off by ${Math.abs(got - want)}`
  );
}

function excessOf(actual: number, expected: number, rtol: number, atol: number): number {
  if (Object.is(actual, expected) || actual === expected) return 0;
  const distance = Math.abs(actual - expected);
  // One of the two is NaN or infinite: nothing is further off than that.
  if (!Number.isFinite(distance)) return Infinity;
  return distance - (atol + rtol * Math.abs(expected));
}
