import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { pairLosses } from "../src/recipe/tuning.ts";
import { expect, test } from "vitest";

import { logOf, remainsOf } from "./run-remains.ts";
import { danu, inFolder, noShared, shared } from "./support.ts";
import { putModel, putPairs } from "./tiny-tuning.ts";

interface Evaluation {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
}

interface Result {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly model: string;
  readonly adapter: string | null;
  readonly validation: Evaluation;
  readonly initialValidation: Evaluation;
}

const base = [
  "--sequence-length", "48", "--pairs-per-batch", "6", "--micro-batch-tokens", "100", "--validation-fraction", "0.2",
  "--validate-every", "5", "--checkpoint-every", "6", "--learning-rate", "1e-2",
];

/** Runs `danu dpo` with the pairs. */
async function tune(folder: string, name: string, flags: readonly string[]): Promise<Result> {
  const { code, stdout, stderr } = await danu([
    "dpo", "--model", join(folder, "base"), "--data", join(folder, "pairs.jsonl"), ...base, ...flags,
    "--out", join(folder, name), "--json",
  ]);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Result;
}

async function withPairs(body: (folder: string) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    await putModel(folder);
    await putPairs(folder);
    await body(folder);
  });
}

test("an adapter learns to prefer, from ln 2 on, and stopped and resumed equals the straight run bit for bit", async () => {
  await withPairs(async (folder) => {
    const flags = ["--steps", "14", "--lora-dropout", "0.1", "--dtype", "f32"];
    const result = await tune(folder, "straight", flags);
    expect(result.initialValidation.loss).toBeCloseTo(Math.LN2, 6);
    expect(result.initialValidation.metrics).toMatchObject({ accuracy: 0, margin: 0 });
    expect(result.validation.metrics["accuracy"]).toBeGreaterThan(0.9);
    expect(result.validation.metrics["margin"]).toBeGreaterThan(0.1);
    expect(existsSync(join(result.adapter!, "adapter_model.safetensors"))).toBe(true);
    const log = await logOf(join(folder, "straight"));
    expect(log[0]).toMatchObject({ loss: Math.fround(Math.LN2), metrics: { accuracy: 0, margin: 0, chosenReward: 0 } });
    const report = await readFile(join(folder, "straight", "report.html"), "utf8");
    expect(report).toContain("Preference tuning of base");
    expect(report).toContain("Chosen reward");

    let isAsked = false;
    const onText = (text: string): void => {
      if (isAsked || !text.includes("step  8/14")) return;
      isAsked = true;
      process.emit("SIGTERM", "SIGTERM");
    };
    const out = join(folder, "stopped");
    const stopped = await danu([
      "dpo", "--model", join(folder, "base"), "--data", join(folder, "pairs.jsonl"), ...base, ...flags, "--out", out,
    ], { isTTY: true, onText });
    expect(stopped.code).toBe(143);
    const resumed = await danu(["dpo", "--out", out, "--resume"]);
    expect({ code: resumed.code, stderr: resumed.stderr }).toEqual({ code: 0, stderr: "" });
    expect(resumed.stdout).toMatch(/held out {2}loss 0\.6931 → 0\.\d+, accuracy 0\.0000 → /);
    expect(await remainsOf(out)).toEqual(await remainsOf(join(folder, "straight")));
  });
});

test.each(["f32", "bf16"])("in %s a reference that is live, precomputed or a second model gives the same bits; so do activations computed twice", async (dtype) => {
  await withPairs(async (folder) => {
    const flags = ["--epochs", "2", "--dtype", dtype];
    await tune(folder, "live", flags);
    await tune(folder, "precomputed", [...flags, "--precompute-reference"]);
    await tune(folder, "second", [...flags, "--reference", join(folder, "base")]);
    await tune(folder, "recomputed", [...flags, "--recompute"]);
    expect(existsSync(join(folder, "precomputed", "reference.safetensors"))).toBe(true);
    const live = await logOf(join(folder, "live"));
    expect(live).toHaveLength(18);
    for (const name of ["precomputed", "second", "recomputed"]) {
      expect(await logOf(join(folder, name)), name).toEqual(live);
      const adapter = (run: string): Promise<Buffer> => readFile(join(folder, run, "adapter", "adapter_model.safetensors"));
      expect(await adapter(name)).toEqual(await adapter("live"));
    }
  });
});

test("all weights are trained against what was computed before, also after a stop", async () => {
  await withPairs(async (folder) => {
    const refused = await danu([
      "dpo", "--model", join(folder, "base"), "--data", join(folder, "pairs.jsonl"), "--full", "--out", join(folder, "x"),
    ]);
    expect(refused.stderr).toContain("give --reference DIR or --precompute-reference");
    expect(existsSync(join(folder, "x"))).toBe(false);

    const flags = ["--full", "--precompute-reference", "--steps", "10", "--learning-rate", "3e-3", "--dtype", "bf16"];
    const own = base.filter((_, i) => !base.slice(-2).includes(base[i]!));
    const asked = ["dpo", "--model", join(folder, "base"), "--data", join(folder, "pairs.jsonl"), ...own, ...flags];
    const straight = await danu([...asked, "--out", join(folder, "straight"), "--json"]);
    const result = JSON.parse(straight.stdout) as Result;
    expect(result.adapter).toBeNull();
    expect(result.initialValidation.loss).toBeCloseTo(Math.LN2, 6);
    expect(result.validation.metrics["accuracy"]).toBeGreaterThan(0.9);

    let isAsked = false;
    const onText = (text: string): void => {
      if (isAsked || !text.includes("step  7/10")) return;
      isAsked = true;
      process.emit("SIGTERM", "SIGTERM");
    };
    expect((await danu([...asked, "--out", join(folder, "stopped")], { isTTY: true, onText })).code).toBe(143);
    expect((await danu(["dpo", "--out", join(folder, "stopped"), "--resume"])).code).toBe(0);
    expect(await remainsOf(join(folder, "stopped"))).toEqual(await remainsOf(join(folder, "straight")));
  });
});

test("stopped while the reference is computed, a run leaves nothing", async () => {
  await withPairs(async (folder) => {
    let isAsked = false;
    const onText = (text: string): void => {
      if (isAsked || !text.includes("computing the reference")) return;
      isAsked = true;
      process.emit("SIGTERM", "SIGTERM");
    };
    const out = join(folder, "stopped");
    const stopped = await danu([
      "dpo", "--model", join(folder, "base"), "--data", join(folder, "pairs.jsonl"), ...base, "--precompute-reference", "--out", out,
    ], { isTTY: true, onText });
    expect(stopped).toMatchObject({ code: 143, stderr: expect.stringContaining("before the first step; nothing was kept") as string });
    expect(existsSync(out)).toBe(false);
  });
});

test("every loss trains, alone and in a sum", async () => {
  await withPairs(async (folder) => {
    for (const loss of pairLosses) {
      const { loss: value, validation } = await tune(folder, loss, ["--loss", loss, "--steps", "1"]);
      expect(Number.isFinite(value), loss).toBe(true);
      expect(Number.isFinite(validation.loss), loss).toBe(true);
    }
    const recipe = join(folder, "recipe.json");
    await writeFile(recipe, JSON.stringify({
      model: "base", data: { paths: ["pairs.jsonl"] }, losses: [{ loss: "sigmoid", beta: 0.5 }, { loss: "sft", weight: 0.25 }],
    }));
    const { stdout } = await danu(["dpo", "--recipe", recipe, "--steps", "1", "--out", join(folder, "sum"), ...base, "--json"]);
    const alone = await logOf(join(folder, "sft"));
    const sum = JSON.parse(stdout) as Result;
    expect(sum.loss).toBeCloseTo(Math.LN2 + 0.25 * (alone[0]!["loss"] as number), 4);
    const several = await danu(["dpo", "--recipe", recipe, "--beta", "0.3", "--out", join(folder, "y")]);
    expect(several).toMatchObject({ code: 2, stderr: expect.stringContaining("the recipe has several losses") as string });
    // At the start policy and reference are the same: only without a reference is there something to lose.
    const diverging = await tune(folder, "alpha", ["--divergence", "alpha_divergence", "--divergence-alpha", "0.3", "--steps", "1"]);
    expect(diverging.loss).toBeCloseTo(Math.LN2, 5);
    const free = await tune(folder, "free", ["--reference-free", "--steps", "1"]);
    expect(Math.abs(free.loss - Math.LN2)).toBeGreaterThan(1e-3);
    const unknown = await danu(["dpo", "--recipe", recipe, "--loss", "simpo", "--label-smoothing", "0.1", "--out", join(folder, "y")]);
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("simpo: has no parameter labelSmoothing") as string });
  });
});

// Needs the real preferences beside the repository.
test.skipIf(noShared)("real pairs go through two steps", async () => {
  await inFolder(async (folder) => {
    await putModel(folder);
    const { code, stdout } = await danu([
      "dpo", "--model", join(folder, "base"), "--data", join(shared, "dpo/hh-rlhf/helpful-base/test.jsonl.gz"),
      "--skip-bad-rows", "--steps", "2", "--pairs-per-batch", "4", "--sequence-length", "64", "--validation-fraction", "0.02",
      "--out", join(folder, "run"), "--json",
    ]);
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as Result).initialValidation.loss).toBeCloseTo(Math.LN2, 6);
    const quarantined = (await readFile(join(folder, "run", "quarantine.jsonl"), "utf8")).trim().split("\n");
    expect(JSON.parse(quarantined[0]!)).toMatchObject({
      source: expect.stringContaining("test.jsonl.gz") as string, line: expect.any(Number) as number,
      reason: expect.stringContaining("leaves no room for an answer in 64") as string,
    });
  });
});
