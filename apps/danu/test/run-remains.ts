import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const times = new Set(["seconds", "tokensPerSecond", "shareOfPeak", "peakBytes"]);

/** The log of a run without its times. */
export async function logOf(run: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(run, "metrics.jsonl"), "utf8");
  return text.trim().split("\n").map((line) => {
    const fields = Object.entries(JSON.parse(line) as Record<string, unknown>);
    return Object.fromEntries(fields.filter(([name]) => !times.has(name)));
  });
}

/** What a finished run leaves that must follow from its recipe alone: the hash of every file of tensors, those of its
 *  last checkpoint included, its log and its recipe. */
export async function remainsOf(run: string): Promise<Record<string, unknown>> {
  const last = (await readdir(join(run, "checkpoints"))).sort().at(-1)!;
  const tensors = (await readdir(run, { recursive: true })).filter((name) => name.endsWith(".safetensors"));
  const kept = tensors.filter((name) => !name.startsWith("checkpoints") || name.includes(last)).sort();
  const hashes: Record<string, string> = {};
  for (const name of kept) {
    hashes[name] = createHash("sha256").update(await readFile(join(run, name))).digest("hex");
  }
  return { hashes, log: await logOf(run), recipe: await readFile(join(run, "recipe.json"), "utf8") };
}
