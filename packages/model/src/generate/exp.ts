const steps = 256;
/** Below it e^x is 0. */
const leastExponent = -745;

/** 2^(j / 256), and 2^−k. */
const fractions = Float64Array.from({ length: steps }, (_, j) => 2 ** (j / steps));
const powers = Float64Array.from({ length: 1077 }, (_, k) => 2 ** -k);

/** e^x for x ≤ 0 within 2e-13 of itself, NaN for NaN: a vocabulary of them with every token, so that the several times
 *  that `Math.exp` takes would show. Tang 1989: e^x = 2^(n / 256) · e^r with |r| ≤ ln 2 / 512. */
export function expOfNegative(x: number): number {
  if (!(x > leastExponent)) return x < 0 ? 0 : NaN;
  const n = Math.floor(x * (steps / Math.LN2) + 0.5);
  const r = x - n * (Math.LN2 / steps);
  return fractions[n & (steps - 1)]! * powers[-(n >> 8)]! * (1 + r * (1 + r * (1 / 2 + r * (1 / 6))));
}
