import { DanuError } from "@danu/tensor";

/** Instruction sets the library is built for. The index is the code the library uses. */
export const isas = ["baseline", "avx2", "avx512", "avx512bf16", "neon"] as const;

/** An instruction set: `baseline` is SSE2 on x86-64. Each x86 set includes those before it. */
export type Isa = (typeof isas)[number];

/** Reads an instruction set by name. @throws DanuError for a name that is none */
export function parseIsa(name: string): Isa {
  const isa = isas.find((known) => known === name);
  if (isa === undefined) throw new DanuError("isa", `cpu: expected an instruction set of ${isas.join(", ")}, got "${name}"`, { name });
  return isa;
}

/** Instruction sets a machine can run, given its best one, from plain to best. */
export function isasUpTo(best: Isa): readonly Isa[] {
  return best === "neon" ? ["neon"] : isas.slice(0, isas.indexOf(best) + 1);
}
