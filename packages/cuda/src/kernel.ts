import { UsageError } from "@danu/tensor";

import type { TensorMap } from "./tensor-map.ts";

/** Types of a kernel's parameters by letter: pointer, int32, int64 or size_t, float, double, tensor map. */
interface Types {
  readonly p: number;
  readonly i: number;
  readonly l: number;
  readonly f: number;
  readonly d: number;
  readonly m: TensorMap;
}

/** The arguments that a signature asks for: members of a struct one by one, of an array of structs its first ones, each a list. */
export type ArgumentsOf<S extends string> = S extends `[${string} ${infer Members}]${infer Rest}`
  ? [readonly Readonly<ArgumentsOf<Members>>[], ...ArgumentsOf<Rest>]
  : S extends `${infer First}${infer Rest}`
    ? First extends keyof Types ? [Types[First], ...ArgumentsOf<Rest>] : ArgumentsOf<Rest>
    : [];

/** One argument: how it is written and where, in bytes from the start of the argument memory. */
export type Slot = SingleSlot | ArraySlot;

interface SingleSlot {
  readonly type: keyof Types;
  readonly offset: number;
}

/** An array of structs. */
interface ArraySlot {
  readonly type: "array";
  readonly offset: number;
  /** Structs that there is room for. */
  readonly most: number;
  /** From one struct to the next. */
  readonly bytes: number;
  /** Members, from the start of a struct. */
  readonly members: readonly Slot[];
}

/** A kernel as a value: its file, its name there, and what it takes. */
export interface Kernel<S extends string = string> {
  /** Name of its `.cu` file and fatbin, without ending. */
  readonly file: string;
  readonly name: string;
  readonly signature: S;
  readonly slots: readonly Slot[];
  /** Where each parameter starts, in bytes. */
  readonly parameters: readonly number[];
  /** Bytes of all parameters. */
  readonly bytes: number;
}

const sizes: Readonly<Record<keyof Types, readonly [bytes: number, alignment: number]>> = {
  p: [8, 8], i: [4, 4], l: [8, 8], f: [4, 4], d: [8, 8], m: [128, 128],
};

/** Describes a kernel. `signature` has a letter a parameter: p pointer, i int, l int64_t or size_t, f float, d double,
 *  m `CUtensorMap` by value; parentheses around the members of a struct passed by value, of which `[64 pl]` is an array of 64
 *  structs of a pointer and an int64_t. */
export function defineKernel<const S extends string>(file: string, name: string, signature: S): Kernel<S> {
  const { slots, starts, bytes } = layoutOf(signature);
  return { file, name, signature, slots, parameters: starts, bytes };
}

/** Where things lie that follow one another in memory. */
interface Layout {
  readonly slots: readonly Slot[];
  /** Where each begins; slots are fewer or more where there are structs. */
  readonly starts: readonly number[];
  /** Bytes up to the end of the last. */
  readonly bytes: number;
  /** That of the strictest. */
  readonly alignment: number;
}

function layoutOf(signature: string): Layout {
  const slots: Slot[] = [];
  const starts: number[] = [];
  let [bytes, alignment] = [0, 1];
  for (const part of partsOf(signature)) {
    const own = placed(part);
    const start = aligned(bytes, own.alignment);
    slots.push(...own.slots.map((slot) => ({ ...slot, offset: start + slot.offset })));
    starts.push(start);
    [bytes, alignment] = [start + own.bytes, Math.max(alignment, own.alignment)];
  }
  return { slots, starts, bytes, alignment };
}

/** One letter, struct or array of structs. */
function placed(part: string): Omit<Layout, "starts"> {
  const [, most, members] = /^\[(\d+) (.*)\]$/.exec(part) ?? [];
  if (most !== undefined) {
    const { slots, bytes, alignment } = placed(`(${members})`);
    return { slots: [{ type: "array", offset: 0, most: Number(most), bytes, members: slots }], bytes: Number(most) * bytes, alignment };
  }
  if (part.startsWith("(")) {
    const layout = layoutOf(part.slice(1, -1));
    return { ...layout, bytes: aligned(layout.bytes, layout.alignment) };
  }
  const [bytes, alignment] = sizes[part as keyof Types];
  return { slots: [{ type: part as keyof Types, offset: 0 }], bytes, alignment };
}

/** Splits a signature into letters and whole structs and arrays. */
function partsOf(signature: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  for (const letter of signature) {
    if (depth === 0) parts.push("");
    parts[parts.length - 1] += letter;
    if (letter === "(" || letter === "[") depth++;
    else if (letter === ")" || letter === "]") depth--;
  }
  if (depth !== 0) throw new UsageError(`kernel: expected every bracket closed in the signature, got ${signature}`);
  return parts;
}

function aligned(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}
