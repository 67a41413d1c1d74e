const copied = 64 * 1024 * 1024;

/** Rate of a large copy by one core, bytes read plus bytes written a second; the best of a few. */
export function measureMemoryBandwidth(): number {
  const from = new Uint8Array(copied).fill(1);
  const to = new Uint8Array(copied).fill(2);
  let best = 0;
  for (let round = 0; round < 4; round++) {
    const began = performance.now();
    to.set(from);
    best = Math.max(best, (2 * copied) / ((performance.now() - began) / 1000));
  }
  return best;
}
