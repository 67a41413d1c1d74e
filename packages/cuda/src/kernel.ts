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

/** The arguments that a signature asks for; parentheses mark a struct passed by value, whose members count one by one. */
export type ArgumentsOf<S extends string> = S extends `${infer First}${infer Rest}`
  ? First extends keyof Types ? [Types[First], ...ArgumentsOf<Rest>] : ArgumentsOf<Rest>
  : [];

/** One argument: how it is written and where, in bytes from the start of the argument memory. */
export interface Slot {
  readonly type: keyof Types;
  readonly offset: number;
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
 *  m `CUtensorMap` by value; parentheses around the members of a struct passed by value. */
export function defineKernel<const S extends string>(file: string, name: string, signature: S): Kernel<S> {
  const slots: Slot[] = [];
  const parameters: number[] = [];
  let at = 0;
  const align = (alignment: number): void => {
    at = Math.ceil(at / alignment) * alignment;
  };
  let next = 0;
  const place = (): number => {
    const letter = signature[next++];
    if (letter === "(") return placeStruct();
    const type = letter as keyof Types;
    const [bytes, alignment] = sizes[type];
    align(alignment);
    slots.push({ type, offset: at });
    at += bytes;
    return at - bytes;
  };
  const placeStruct = (): number => {
    align(alignmentOfStruct(signature, next));
    const start = at;
    const alignment = alignmentOfStruct(signature, next);
    while (signature[next] !== ")") place();
    next++;
    align(alignment);
    return start;
  };
  while (next < signature.length) parameters.push(place());
  return { file, name, signature, slots, parameters, bytes: at };
}

/** Alignment of the struct whose members start here: that of its strictest member. */
function alignmentOfStruct(signature: string, from: number): number {
  let [alignment, depth] = [1, 1];
  for (let i = from; depth > 0; i++) {
    const letter = signature[i];
    if (letter === undefined) throw new UsageError(`kernel: expected ")" in the signature ${signature}`);
    if (letter === "(") depth++;
    else if (letter === ")") depth--;
    else alignment = Math.max(alignment, sizes[letter as keyof Types][1]);
  }
  return alignment;
}
