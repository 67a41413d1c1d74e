// What a .cu file is made of, for whoever compiles one.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Headers of instructions, which sources include by name alone. */
export const device = fileURLToPath(new URL("device", import.meta.url));

/** A source with all it includes of ours: texts by path. */
export function sourcesOf(path, found = new Map()) {
  if (found.has(path) || !existsSync(path)) return found;
  const text = readFileSync(path, "utf8");
  found.set(path, text);
  for (const [, name] of text.matchAll(/^\s*#include "([^"]+)"/gm)) sourcesOf(join(dirname(path), name), found);
  for (const [, name] of text.matchAll(/^\s*#include <([a-z-]+\.cuh)>/gm)) sourcesOf(join(device, name), found);
  return found;
}

/** Flags of nvcc that a kernel file says in its first lines it is made for, beside those of all. */
export function flagsIn(text) {
  return /^\/\/ nvcc: (.+)$/m.exec(text)?.[1].split(" ") ?? [];
}
