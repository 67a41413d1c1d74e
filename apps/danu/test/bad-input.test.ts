import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { BpeTrainer } from "@danu/tokenizer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { danu, inFolder, type Outcome } from "./support.ts";
import { tinyCorpus, tinyRecipe, tinyVocabulary } from "./tiny-run.ts";

/** One sentence on standard error, nothing on standard output but progress, exit code 1. */
function expectSentence({ code, stderr }: Outcome, ...parts: readonly (string | RegExp)[]): void {
  expect(stderr).toMatch(/^danu [a-z ]+: [^\n]+\n$/);
  for (const part of parts) expect(stderr).toMatch(part);
  expect(code).toBe(1);
}

describe("a recipe", () => {
  test.each([
    [
      { learnRate: 1 },
      /recipe\.json: recipe: expected fields of .*model, .*, got "learnRate"; did you mean learningRate\?/,
    ],
    [{ learningRate: { peek: 1 } }, /learningRate: expected fields of kind, peak, .*, got "peek"; did you mean peak\?/],
    [{ tokensPerBatch: "8k" }, /tokensPerBatch: expected a (whole )?number, got "8k"/],
    [{ tokensPerBatch: 1.5 }, /tokensPerBatch: expected a whole number, got 1.5/],
    [{ stages: [{ tokens: 0, sequenceLength: 8 }] }, /stages\[0\]\.tokens: expected a number of at least 1, got 0/],
    [
      { stages: [{ tokens: 512, sequenceLength: 48 }] },
      /stages\[0\]: a batch of 256 tokens is not a whole number of sequences of 48/,
    ],
    [{ stages: [] }, /stages: expected at least one element, got \[\]/],
    [{ dtype: "f64" }, /dtype: expected one of f32, bf16, fp8, got "f64"/],
    [{ model: { preset: "nan" } }, /model\.preset: expected one of nano, .*, got "nan"; did you mean nano\?/],
    [{ model: { heads: 3, keyValueHeads: 2 } }, /keyValueHeads: expected a divisor of the 3 attention heads, got 2/],
    [
      { model: { vocabularySize: 100 } },
      `model.vocabularySize: expected at least the ${tinyVocabulary} pieces of the tokenizer, got 100`,
    ],
    [{ model: { maxPositions: 16 } }, /model\.maxPositions: expected at least the longest sequence length, 64, got 16/],
    [{ learningRate: { peak: 1e-3, floor: 1 } }, /schedule: expected .*floor ≤ peak/],
    [{ optimizer: { beta1: 1 } }, /optimizer\.beta1: expected a number below 1, got 1/],
    [
      { data: [{ paths: ["corpus"], weight: 1 }, { paths: ["corpus"] }] },
      /data: expected a weight for every source or for none/,
    ],
    [{ tokenizer: "nowhere.model" }, /nowhere\.model: there is no such file or folder/],
    [{ tokenizer: "recipe.json" }, /tokenizer\.json: expected/],
    [{ tokenizer: "corpus/stories.jsonl" }, /expected/],
    [{ data: [{ paths: ["nowhere"] }] }, /nowhere: no such file or folder/],
  ] as const)("with %j is refused and nothing is left", async (changes, message) => {
    await inFolder(async (folder) => {
      await tinyCorpus(folder);
      const recipe = await tinyRecipe(folder, changes);
      expectSentence(await danu(["pretrain", "--recipe", recipe, "--out", join(folder, "run")]), message);
      expect(existsSync(join(folder, "run"))).toBe(false);
    });
  });

  test("that is no JSON, or not there", async () => {
    await inFolder(async (folder) => {
      const recipe = join(folder, "recipe.json");
      expectSentence(
        await danu(["pretrain", "--recipe", recipe, "--out", folder]),
        "recipe.json: there is no such file",
      );
      await writeFile(recipe, "{");
      expectSentence(await danu(["pretrain", "--recipe", recipe, "--out", folder]), "recipe.json: expected JSON");
      await writeFile(recipe, "[]");
      expectSentence(await danu(["pretrain", "--recipe", recipe, "--out", folder]), "expected an object, got []");
    });
  });
});

describe("pretraining", () => {
  test.each([
    ["an empty file", "", /the inputs hold no text/],
    ["blank lines", "\n \n", /the inputs hold no text/],
    [
      "fewer tokens than one sequence",
      "A short text.",
      /the training split has \d+ tokens, a sequence of 64 needs 65; give more text/,
    ],
    ["bytes that are not UTF-8", "\xff\xfe\xfd", /text\.txt: /],
  ])("on %s is refused and nothing is left", async (_, text, message) => {
    await inFolder(async (folder) => {
      await tinyCorpus(folder);
      await writeFile(join(folder, "text.txt"), Buffer.from(text, "latin1"));
      const recipe = await tinyRecipe(folder, { data: [{ paths: ["text.txt"] }] });
      expectSentence(await danu(["pretrain", "--recipe", recipe, "--out", join(folder, "run")]), message);
      expect(existsSync(join(folder, "run"))).toBe(false);
    });
  });

  test("whose loss is not finite stops, and keeps the last good checkpoint", async () => {
    await inFolder(async (folder) => {
      await tinyCorpus(folder);
      const recipe = await tinyRecipe(folder, {
        learningRate: { peak: 1e30, floor: 0, warmup: 0 },
        checkpoint: { every: 1 },
      });
      const out = join(folder, "run");
      expectSentence(
        await danu(["pretrain", "--recipe", recipe, "--out", out]),
        /training step \d+: expected a finite loss/,
      );
      expect(existsSync(join(out, "model"))).toBe(false);
      const names = await readdir(join(out, "checkpoints"));
      expect(names.every((name) => /^step-\d{8}$/.test(name))).toBe(true);
      expect(await readFile(join(out, "report.html"), "utf8")).toContain("its update was not made");
    });
  });

  test("into a place that cannot be written, or that holds something else", async () => {
    await inFolder(async (folder) => {
      await tinyCorpus(folder);
      const recipe = await tinyRecipe(folder);
      await writeFile(join(folder, "file"), "good");
      expectSentence(
        await danu(["pretrain", "--recipe", recipe, "--out", join(folder, "file")]),
        /cannot write .*file: /,
      );
      expectSentence(
        await danu(["pretrain", "--recipe", recipe, "--out", join(folder, "file", "run")]),
        /a part of the path is a file/,
      );
      expectSentence(
        await danu(["pretrain", "--recipe", recipe, "--out", join(folder, "corpus")]),
        /expected .* to be empty or a new folder/,
      );
      expect(await readFile(join(folder, "file"), "utf8")).toBe("good");
      expect((await readdir(join(folder, "corpus"))).sort()).toEqual([
        "conversations.jsonl", "examination.json", "preferences.jsonl", "stories.jsonl", "tokenizer.model",
      ]);
      expectSentence(await danu(["pretrain", "--out", join(folder, "corpus"), "--resume"]), "it has no recipe.json");
    });
  });
});

const full = mountSmallDisk();

// Needs the right to mount a file system of its own.
describe.skipIf(full === null)("a full disk", () => {
  afterAll(() => {
    shell(`umount '${full!}'`);
  });

  test("stops pretraining with one sentence and leaves no half of a checkpoint", async () => {
    await inFolder(async (folder) => {
      await tinyCorpus(folder);
      const recipe = await tinyRecipe(folder, { model: { preset: "nano" } });
      const out = join(full!, "run");
      expectSentence(
        await danu(["pretrain", "--recipe", recipe, "--out", out]),
        /checkpoint of step 6 was not written: .*free some space .*; there is no earlier checkpoint/,
      );
      const left = existsSync(join(out, "checkpoints")) ? await readdir(join(out, "checkpoints")) : [];
      expect(left).toEqual([]);
    });
  });
});

function mountSmallDisk(): string | null {
  try {
    const folder = shell("mktemp -d").trim();
    shell(`mount -t tmpfs -o size=400k tmpfs '${folder}' 2>&1`);
    return folder;
  } catch {
    return null;
  }
}

function shell(line: string): string {
  return execFileSync("sh", ["-c", line], { encoding: "utf8" });
}

describe("a model folder", () => {
  let model = "";
  let ids = "";
  let broken: (name: string, change: (bytes: Buffer) => Buffer) => Promise<string>;
  let release: () => void;

  beforeAll(async () => {
    await new Promise<void>((ready, fail) => {
      void inFolder(async (folder) => {
        await tinyCorpus(folder);
        const recipe = await tinyRecipe(folder, { stages: [{ tokens: 256, sequenceLength: 32 }] });
        const { code } = await danu(["pretrain", "--recipe", recipe, "--out", join(folder, "run")]);
        expect(code).toBe(0);
        model = join(folder, "run", "model");
        ids = join(folder, "ids.json");
        broken = async (name, change) => {
          const copy = join(folder, name);
          await mkdir(copy, { recursive: true });
          for (const file of await readdir(model)) {
            const bytes = await readFile(join(model, file));
            await writeFile(join(copy, file), file === "model.safetensors" ? change(bytes) : bytes);
          }
          return copy;
        };
        ready();
        await new Promise<void>((done) => {
          release = done;
        });
      }).catch(fail);
    });
  });
  afterAll(() => release());

  const withHeader =
    (change: (header: string) => string) =>
    (bytes: Buffer): Buffer => {
      const length = Number(bytes.readBigUInt64LE(0));
      const header = Buffer.from(change(bytes.subarray(8, 8 + length).toString("utf8")));
      const start = Buffer.alloc(8);
      start.writeBigUInt64LE(BigInt(header.length));
      return Buffer.concat([start, header, bytes.subarray(8 + length)]);
    };

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ["truncated weights", (bytes) => bytes.subarray(0, bytes.length - 5)],
    ["no weights at all", () => Buffer.alloc(0)],
    [
      "a header longer than the file",
      (bytes) => Buffer.concat([Buffer.from([255, 255, 255, 0, 0, 0, 0, 0]), bytes.subarray(8)]),
    ],
    ["a header beyond the cap", (bytes) => Buffer.concat([Buffer.alloc(8, 255), bytes.subarray(8)])],
    ["a shape that does not fit its bytes", withHeader((header) => header.replace(`[${tinyVocabulary},32]`, `[${tinyVocabulary},33]`))],
    [
      "a shape that overflows",
      withHeader((header) => header.replace(`[${tinyVocabulary},32]`, "[9007199254740991,9007199254740991]")),
    ],
    ["a tensor given twice", withHeader((header) => header.replace("model.norm.weight", "lm_head.weight"))],
    ["bytes at the end", (bytes) => Buffer.concat([bytes, Buffer.alloc(3)])],
    ["a missing tensor", withHeader((header) => header.replace("model.norm.weight", "model.name.weight"))],
  ])("with %s is refused by generate and logits", async (_, change) => {
    const path = await broken(`broken-${_.replaceAll(" ", "-")}`, change);
    await writeFile(ids, "[[1, 2, 3]]");
    const out = join(dirname(ids), "logits.safetensors");
    expectSentence(await danu(["generate", "--model", path, "--prompt", "A"]), /./);
    expectSentence(await danu(["logits", "--model", path, "--ids", ids, "--out", out]), /./);
    expect(existsSync(out)).toBe(false);
  });

  test.each([
    ["[[1, 2, 1024]]", `ids.json: row 0, column 2: expected an id from 0 to ${tinyVocabulary - 1}, got 1024`],
    ["[[1], [-1]]", `row 1, column 0: expected an id from 0 to ${tinyVocabulary - 1}, got -1`],
    ['[[1, "2"]]', `expected an id from 0 to ${tinyVocabulary - 1}, got "2"`],
    ["[[1, 2], [3]]", /expected rows of equal length, row 0 has 2 ids and row 1 has 1/],
    ["[[]]", /expected at least one id in a row/],
    ["[]", /expected rows of token ids/],
    ["{}", /expected rows of token ids/],
    [JSON.stringify([Array.from({ length: 257 }, () => 1)]), /expected rows of at most 256 ids/],
  ])("is not asked for the logits of %s", async (text, message) => {
    await writeFile(ids, text);
    const out = join(dirname(ids), "logits.safetensors");
    expectSentence(await danu(["logits", "--model", model, "--ids", ids, "--out", out]), message);
    expect(existsSync(out)).toBe(false);
  });

  test("answers for good ids, and does not replace a file that it cannot write over", async () => {
    await writeFile(ids, "[[1, 2, 3], [4, 5, 6]]");
    const out = join(dirname(ids), "logits.safetensors");
    const good = await danu(["logits", "--model", model, "--ids", ids, "--out", out, "--json"]);
    expect(JSON.parse(good.stdout)).toEqual({ out, shape: [2, 3, tinyVocabulary] });
    expectSentence(
      await danu(["logits", "--model", model, "--ids", ids, "--out", join(out, "x")]),
      /a part of the path is a file/,
    );
  });

  test("does not continue a text that leaves no room", async () => {
    const prompt = "Mara ".repeat(300);
    expectSentence(
      await danu(["generate", "--model", model, "--prompt", prompt]),
      "expected a prompt of fewer than 256 tokens",
    );
    expectSentence(await danu(["generate", "--model", join(model, "none")]), "there is no such file or folder");
  });
});

test("data that is not there, not prepared, or made with another tokenizer", async () => {
  await inFolder(async (folder) => {
    const { stories, tokenizer } = await tinyCorpus(folder);
    const out = join(folder, "data");
    expectSentence(await danu(["data", "inspect", out]), "no such file");
    expect((await danu(["data", "prepare", stories, "--tokenizer", tokenizer, "--out", out, "--json"])).code).toBe(0);
    expectSentence(
      await danu(["data", "prepare", stories, "--tokenizer", tokenizer, "--out", out]),
      "already holds a dataset",
    );
    const trainer = new BpeTrainer({ vocabularySize: 300, allowSmaller: true });
    trainer.add("Another text.");
    await writeFile(join(folder, "other.model"), trainer.train().file);
    expectSentence(
      await danu(["data", "inspect", out, "--tokenizer", join(folder, "other.model")]),
      "prepared with another tokenizer",
    );
    expectSentence(await danu(["runs", join(folder, "nowhere")]), "expected a folder of runs, there is none");
  });
});
