import { SafetensorsError } from "./errors.ts";
import { quote } from "./header.ts";
import { parseStrictJson } from "./json.ts";

/** Name of the file that says which shard holds which tensor. */
export const indexFileName = "model.safetensors.index.json";

/** Largest index that is read, in bytes; real ones stay under 20 MB. */
export const maxIndexBytes = 100_000_000;

const indexLimits = { depth: 8, values: 2_000_000, naturalNumbersOnly: false };

/** Shard file name of every tensor, by tensor name. */
type WeightMap = ReadonlyMap<string, string>;

/**
 * Reads a shard index, `{ "metadata": …, "weight_map": { tensor: file } }`; its metadata says nothing that is needed.
 * @throws SafetensorsError if it is not such an object, or a shard's name is no plain `.safetensors` file name
 */
export function readShardIndex(bytes: Uint8Array, source: string): WeightMap {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new SafetensorsError("utf-8", `${source}: expected valid UTF-8`);
  }
  const root = parseStrictJson(text, indexLimits, source);
  const map = root instanceof Map ? root.get("weight_map") : undefined;
  if (!(map instanceof Map) || map.size === 0) {
    throw new SafetensorsError("weight-map", `${source}: expected an object "weight_map", tensor to file`);
  }
  for (const [tensor, file] of map) {
    if (isShardName(file)) continue;
    const got = typeof file === "string" ? quote(file) : "no string";
    const expected = `expected the plain name of a .safetensors file for tensor ${quote(tensor)}`;
    throw new SafetensorsError("shard-name", `${source}: ${expected}, got ${got}`, { tensor });
  }
  return map as WeightMap;
}

/** Encodes a shard index as transformers writes it. */
export function encodeShardIndex(weightMap: WeightMap, totalBytes: number): Uint8Array {
  const names = [...weightMap.keys()].sort();
  const members = names.map((name) => `    ${JSON.stringify(name)}: ${JSON.stringify(weightMap.get(name))}`);
  const metadata = `  "metadata": {\n    "total_size": ${totalBytes}\n  }`;
  return new TextEncoder().encode(`{\n${metadata},\n  "weight_map": {\n${members.join(",\n")}\n  }\n}\n`);
}

/** True for a file name that stays in its folder: no separator, drive, parent or control character. */
export function isPlainFileName(name: string): boolean {
  return /^[^/\\:\p{Cc}]+$/u.test(name) && name !== "." && name !== "..";
}

function isShardName(file: unknown): file is string {
  return typeof file === "string" && isPlainFileName(file) && file.endsWith(".safetensors");
}
