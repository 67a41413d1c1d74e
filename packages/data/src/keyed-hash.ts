import { createHash } from "node:crypto";

/** Eight 32-bit words drawn from names and numbers by SHA-256. */
export function keyOf(...parts: readonly (string | number)[]): Uint32Array {
  const digest = createHash("sha256").update(parts.join("/")).digest();
  return Uint32Array.from({ length: 8 }, (_, i) => digest.readUInt32LE(4 * i));
}

/** A 32-bit hash of a number under a key: the finaliser of MurmurHash3 (Appleby 2011), twice. */
export function mix(value: number, key: number): number {
  return scramble(scramble(value ^ key) + key);
}

function scramble(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
