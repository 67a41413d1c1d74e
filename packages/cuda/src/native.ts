import koffi from "koffi";

type Address = number | bigint;
type Words = BigUint64Array | Int32Array | Uint32Array | Float32Array | Uint8Array;

/** Functions of a C library that return a status, by name, with the C types of their parameters: `void *` is a buffer that the
 *  function reads or leaves a result in, `uint64_t` a handle or address. */
type Prototypes = Readonly<Record<string, readonly string[]>>;
type ArgumentOf<T> = T extends "void *" ? Words : T extends "str" ? string : T extends "uint64_t" ? Address : number;
type ArgumentsOf<T extends readonly unknown[]> = { -readonly [I in keyof T]: ArgumentOf<T[I]> };

/** The functions of prototypes, which return 0 for success. */
export type FunctionsOf<P extends Prototypes> = { readonly [N in keyof P]: (...args: ArgumentsOf<P[N]>) => number };

/** A loaded library. */
export type NativeLibrary = ReturnType<typeof koffi.load>;

/** Finds functions in a library. @param prefix of their names there  @throws Error naming one that it lacks */
export function functionsOf<const P extends Prototypes>(library: NativeLibrary, prefix: string, prototypes: P): FunctionsOf<P> {
  const entries = Object.entries(prototypes).map(([name, types]) => [name, library.func(`${prefix}${name}`, "int", [...types])] as const);
  return Object.fromEntries(entries) as unknown as FunctionsOf<P>;
}

// Buffers that a library writes to must not be moved: V8 keeps small typed arrays on its heap, an ArrayBuffer of this size not.
const outMemory = new ArrayBuffer(4096);
const outWord = new Int32Array(outMemory, 0, 1);
const outHandle = new BigUint64Array(outMemory, 0, 1);

/** Calls a function that leaves a number of 32 bits. @param call throws where the function fails */
export function wordFrom(call: (out: Int32Array) => void): number {
  outWord[0] = 0;
  call(outWord);
  return outWord[0]!;
}

/** Calls a function that leaves a handle or an address. @param call throws where the function fails */
export function handleFrom(call: (out: BigUint64Array) => void): number {
  outHandle[0] = 0n;
  call(outHandle);
  return Number(outHandle[0]);
}
