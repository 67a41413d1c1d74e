import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { expect, test } from "vitest";

import { danu, inFolder, noShared, shared } from "./support.ts";
import { tinyCorpus, tinyRecipe } from "./tiny-run.ts";

const logged = (text: string): unknown[] =>
  text
    .trim()
    .split("\n")
    .map((line) => {
      const { step, tokens, loss, gradientNorm, learningRate, validationLoss, stage } = JSON.parse(line) as Record<
        string,
        unknown
      >;
      return { step, tokens, loss, gradientNorm, learningRate, validationLoss, stage };
    });

/** Everything of a finished run that must follow from its recipe alone. */
async function remains(run: string): Promise<object> {
  const files = ["model/model.safetensors", "checkpoints/step-00000020/trainer/optimizer.safetensors"];
  const hex = await Promise.all(files.map(async (file) => (await readFile(join(run, file))).toString("hex")));
  return {
    hex,
    log: logged(await readFile(join(run, "metrics.jsonl"), "utf8")),
    recipe: await readFile(join(run, "recipe.json"), "utf8"),
  };
}

test.each(["f32", "bf16", "fp8"])(
  "a %s run stopped by a signal and resumed equals the straight run bit for bit",
  async (dtype) => {
    await inFolder(async (folder) => {
      await tinyCorpus(folder);
      const recipe = await tinyRecipe(folder, { dtype, ...(dtype === "fp8" ? { fp8Except: ["0.down"] } : {}) });
      const straight = await danu(["pretrain", "--recipe", recipe, "--out", join(folder, "straight"), "--json"]);
      expect(straight.stderr).toContain("step 20/20");
      expect(straight.code).toBe(0);
      const result = JSON.parse(straight.stdout) as Record<string, unknown>;
      expect(result).toMatchObject({
        stopped: "complete",
        step: 20,
        tokens: 5120,
        model: join(folder, "straight", "model"),
      });
      expect(result["loss"]).toBeLessThan(6.5);

      const out = join(folder, "stopped");
      let asked = false;
      const onText = (text: string): void => {
        if (asked || !text.includes("step 10/20")) return;
        asked = true;
        process.emit("SIGTERM", "SIGTERM");
      };
      const stopped = await danu(["pretrain", "--recipe", recipe, "--out", out], { isTTY: true, onText });
      expect(stopped.code).toBe(143);
      expect(stopped.stdout).toContain("stopped by SIGTERM after step 10, with a checkpoint");
      expect(existsSync(join(out, "model"))).toBe(false);
      expect(await readdir(join(out, "checkpoints"))).toEqual(["step-00000006", "step-00000010"]);

      const resumed = await danu(["pretrain", "--out", out, "--resume"]);
      expect(resumed.code).toBe(0);
      expect(resumed.stdout).toContain("resuming  after step 10 of 20");
      expect(await remains(out)).toEqual(await remains(join(folder, "straight")));
      const report = await readFile(join(out, "report.html"), "utf8");
      expect(report).toContain("Pretraining nano");
      expect(report).toContain("Once upon a time");

      // The same command line again, as a job that is started anew; another recipe is refused.
      expect((await danu(["pretrain", "--recipe", recipe, "--out", out, "--resume"])).code).toBe(0);
      const other = await danu(["pretrain", "--out", out, "--resume", "--learning-rate", "1e-4"]);
      expect(other).toMatchObject({ code: 1, stdout: "" });
      expect(other.stderr).toBe(
        "danu pretrain: --resume: learningRate.peak: expected 0.003 as when the run began, got 0.0001; " +
          "leave it out, or start another run\n",
      );
      const again = await danu(["pretrain", "--recipe", recipe, "--out", out]);
      expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("holds a run already") as string });

      const runs = await danu(["runs", folder, "--json"]);
      expect(JSON.parse(runs.stdout)).toMatchObject([
        { folder: join(folder, "stopped"), step: 20, steps: 20, complete: true },
        { folder: join(folder, "straight"), step: 20, steps: 20, complete: true },
      ]);
      expect((await danu(["runs", folder])).stdout.trim().split("\n")).toHaveLength(3);
    });
  },
);

test("weighted datasets train the same whatever the micro-batch", async () => {
  await inFolder(async (folder) => {
    const { stories, tokenizer } = await tinyCorpus(folder);
    const prepare = (name: string, seed: string): Promise<{ code: number }> =>
      danu([
        "data",
        "prepare",
        stories,
        "--tokenizer",
        tokenizer,
        "--out",
        join(folder, name),
        "--seed",
        seed,
        "--validation-fraction",
        "0.1",
      ]);
    expect(await prepare("a", "1")).toMatchObject({ code: 0 });
    expect(await prepare("b", "2")).toMatchObject({ code: 0 });
    const data = [
      { paths: ["a"], weight: 3 },
      { paths: ["b"], weight: 1 },
    ];
    const recipe = await tinyRecipe(folder, { data, stages: [{ tokens: 1024, sequenceLength: 32 }] });
    const losses: unknown[] = [];
    for (const [i, tokens] of ["64", "256"].entries()) {
      const out = join(folder, `run-${i}`);
      const { code, stdout } = await danu([
        "pretrain",
        "--recipe",
        recipe,
        "--micro-batch-tokens",
        tokens,
        "--out",
        out,
        "--json",
      ]);
      expect(code).toBe(0);
      losses.push((JSON.parse(stdout) as { loss: number }).loss);
    }
    expect(losses[0]).toBeCloseTo(losses[1] as number, 4);
  });
});

// Needs the real stories beside the repository.
test.skipIf(noShared)("flags alone train on real text with a real tokenizer", async () => {
  await inFolder(async (folder) => {
    const out = join(folder, "run");
    const { code, stdout, stderr } = await danu([
      "pretrain",
      "--data",
      join(shared, "pretrain/tinystories/tinystories_val.txt"),
      "--tokenizer",
      join(shared, "tokenizers/tok512"),
      "--steps",
      "2",
      "--tokens-per-batch",
      "128",
      "--sequence-length",
      "64",
      "--dtype",
      "f32",
      "--out",
      out,
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("vocabulary 512");
    expect(stdout).toMatch(/step 2\/2 {2}loss 6\.\d+ {2}validation 6/);
    const generated = await danu([
      "generate",
      "--model",
      join(out, "model"),
      "--prompt",
      "Once",
      "--max-tokens",
      "5",
      "--json",
    ]);
    const { ids, prompt, text } = JSON.parse(generated.stdout) as { ids: number[]; prompt: string; text: string };
    expect(prompt).toBe("Once");
    expect(ids.length).toBeLessThanOrEqual(5);
    const decoded = await danu([
      "tokenizer",
      "decode",
      "--tokenizer",
      join(out, "model"),
      ...ids.map(String),
      "--json",
    ]);
    expect((JSON.parse(decoded.stdout) as { text: string }).text.trim()).toBe(text.trim());
  });
});
