/** Runs of bit-packed values may be padded to this many. */
const padding = 512;

interface Run {
  /** Values in the run, not past those that are left. */
  readonly values: number;
  /** The value of a run of equal values; `undefined` for a bit-packed run. */
  readonly value: number | undefined;
  /** First byte of a bit-packed run. */
  readonly start: number;
}

/** Walks over runs of the hybrid of run lengths and bit packing.
 *  @throws Error where a run has more values than are left, or goes on past the end */
function* runsOf(bytes: Uint8Array, start: number, end: number, width: number, count: number): Generator<Run> {
  if (width > 32) throw new Error(`its values have ${width} bits`);
  let offset = start;
  let left = count;
  while (left > 0 && offset < end) {
    const [head, after] = varintAt(bytes, offset, end);
    const packed = head % 2 === 1;
    const length = Math.floor(head / 2) * (packed ? 8 : 1);
    const size = packed ? (length / 8) * width : Math.ceil(width / 8);
    if (length > left + (packed ? padding : 0)) throw new Error(`a run has ${length} values where ${left} are left`);
    if (length === 0) throw new Error("a run has no values");
    if (after + size > end) throw new Error("a run goes on past its page");
    yield { values: Math.min(length, left), value: packed ? undefined : valueAt(bytes, after, size), start: after };
    left -= Math.min(length, left);
    offset = after + size;
  }
}

/** Checks the levels of a page and counts those at the highest.
 *  @throws Error where there are not `count` of them, or one is higher */
export function countAtLevel(bytes: Uint8Array, start: number, end: number, highest: number, count: number): number {
  const width = 32 - Math.clz32(highest);
  const counts = new Float64Array(2 ** width);
  let left = count;
  for (const run of runsOf(bytes, start, end, width, count)) {
    left -= run.values;
    if (run.value !== undefined) counts[run.value] = (counts[run.value] ?? 0) + run.values;
    else for (let i = 0; i < run.values; i++) counts[bitsAt(bytes, run.start, i * width, width)]!++;
  }
  if (left > 0) throw new Error(`a page has ${left} levels fewer than it says`);
  if (counts.subarray(highest + 1).some((higher) => higher > 0)) throw new Error("a page has levels past the highest");
  return counts[highest] ?? 0;
}

/** Checks the runs of dictionary indices or booleans. @throws Error where there are not `count` of them */
export function checkIndices(bytes: Uint8Array, start: number, end: number, width: number, count: number): void {
  let left = count;
  for (const run of runsOf(bytes, start, end, width, count)) left -= run.values;
  // A width of no bits says that all indices are 0, and some writers put no run then.
  if (left > 0 && width > 0) throw new Error(`a page has ${left} values fewer than it says`);
}

/** Walks over delta-encoded integers, so that no length in them is believed. @throws Error with the reason */
export function checkDelta(bytes: Uint8Array, start: number, count: number): void {
  const end = bytes.length;
  let offset = start;
  const next = (): number => {
    const [value, after] = varintAt(bytes, offset, end);
    offset = after;
    return value;
  };
  const block = next();
  const miniblocks = next();
  next();
  next();
  const each = block / miniblocks;
  if (block > 1 << 20 || miniblocks > 1 << 12 || each % 8 !== 0 || !(each > 0)) {
    throw new Error(`a page has delta blocks of ${block} values in ${miniblocks} parts`);
  }
  for (let done = 1; done < count; ) {
    next();
    const widths = offset;
    offset += miniblocks;
    for (let i = 0; i < miniblocks && done < count; i++) {
      const width = bytes[widths + i];
      if (width === undefined || width > 64) throw new Error("a page has damaged delta blocks");
      offset += (each * width) / 8;
      done += each;
    }
    if (offset > end) throw new Error("a delta block goes on past its page");
  }
}

/** An unsigned integer of at most 10 bytes, and the place after it. */
function varintAt(bytes: Uint8Array, start: number, end: number): [number, number] {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[start + i];
    if (byte === undefined || start + i >= end) throw new Error("a page ends inside a number");
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return [value, start + i + 1];
  }
  throw new Error("a number in a page has more than 10 bytes");
}

function valueAt(bytes: Uint8Array, offset: number, size: number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value += (bytes[offset + i] ?? 0) * 2 ** (8 * i);
  return value;
}

/** A value of at most 8 bits, from bit `bit` after byte `start`, lowest bit first. */
function bitsAt(bytes: Uint8Array, start: number, bit: number, width: number): number {
  const at = start + (bit >> 3);
  const word = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  return (word >> (bit & 7)) & ((1 << width) - 1);
}
