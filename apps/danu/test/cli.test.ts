import { join } from "node:path";
import { readFile, writeFile } from "node:fs/promises";

import { describe, expect, test } from "vitest";

import { commands } from "../src/commands/index.ts";
import { checkRecipe } from "../src/recipe/schema.ts";
import { danu, inFolder } from "./support.ts";
import { tinyCorpus, tinyVocabulary } from "./tiny-run.ts";

describe("help", () => {
  test("names every command, with nothing loaded", async () => {
    for (const args of [[], ["--help"], ["help"], ["-h"]]) {
      const { code, stdout, stderr } = await danu(args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      for (const { name, summary } of commands)
        expect(stdout).toMatch(new RegExp(`^ {2}${name} +${summary.replace(/[()]/g, ".")}$`, "m"));
    }
    expect((await danu(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect((await danu(["tokenizer"])).stdout).toMatch(/tokenizer encode .*\n.*tokenizer decode/);
  });

  test.each(commands.map(({ name }) => name))("of %s shows its usage, every flag and an example", async (name) => {
    const { code, stdout } = await danu([...name.split(" "), "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: danu ${name}`));
    expect(stdout).toContain("--json");
    expect(stdout).toMatch(/Examples:\n {2}.*(danu|npm run)/);
  });
});

describe("a wrong command line is answered with exit code 2 and the nearest right one", () => {
  test.each([
    [["pretrian"], 'danu: there is no command "pretrian"; did you mean pretrain?'],
    [["tokenizer", "enkode"], 'danu: there is no command "tokenizer enkode"; did you mean tokenizer encode?'],
    [["generate", "--modle", "x"], "danu generate: there is no flag --modle; did you mean --model?"],
    [["generate"], "danu generate: expected --model DIR"],
    [["generate", "--model"], "danu generate: expected a value after --model: DIR"],
    [["generate", "--model", "--prompt", "x"], "danu generate: expected a value after --model: DIR"],
    [["generate", "--model", "a", "--model", "b"], "danu generate: expected --model once, it was given 2 times"],
    [["generate", "--model", "a", "--json=yes"], 'danu generate: expected --json without a value, got "yes"'],
    [["generate", "--model", "a", "b"], 'danu generate: unexpected argument "b"'],
    [
      ["generate", "--model", "a", "--max-tokens", "many"],
      'danu generate: --max-tokens: expected a whole number of at least 1, got "many"',
    ],
    [
      ["generate", "--model", "a", "--max-tokens", "1.5"],
      'danu generate: --max-tokens: expected a whole number of at least 1, got "1.5"',
    ],
    [
      ["generate", "--model", "a", "--temperature", "-1"],
      'danu generate: --temperature: expected a number from 0 to 100, got "-1"',
    ],
    [
      ["generate", "--model", "a", "--device", "gpu"],
      'danu generate: --device: expected one of auto, cpu, cuda, reference, gpujs, got "gpu"',
    ],
    [["pretrain", "--out", "x"], "danu pretrain: expected --recipe FILE or --data PATH …"],
    [["data", "prepare", "--tokenizer", "x", "--out", "y"], "danu data prepare: expected PATH…"],
    [["tokenizer", "encode", "--tokenizer", "x"], "danu tokenizer encode: expected either --file or --text"],
  ])("%j", async (args, message) => {
    const { code, stdout, stderr } = await danu(args);
    expect(stderr.split("\n")[0]).toContain(message);
    expect(stderr).toMatch(/\nTry "danu.* --help"\.\n$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });
});

test("--device gpujs says that it is not there yet, and cuda what is missing", async () => {
  const gpujs = await danu(["generate", "--model", "x", "--device", "gpujs"]);
  expect(gpujs.stderr).toBe(
    "danu generate: --device gpujs: expected cpu, cuda or reference, the gpujs device is not part of this build yet\n",
  );
  expect(gpujs.code).toBe(1);
  const cuda = await danu(["generate", "--model", "x", "--device", "cuda"], { env: { DANU_CUDA_DRIVER: "libnone.so" } });
  expect(cuda.stderr).toMatch(/^danu generate: cuda: found no NVIDIA driver libnone\.so \(.*\); install one, or use --device cpu\n$/);
  expect(cuda.code).toBe(1);
});

test("an instruction set beyond the machine is a sentence; with auto a note and the reference device", async () => {
  await inFolder(async (folder) => {
    const ids = join(folder, "ids.json");
    await writeFile(ids, "[[1]]");
    const isa = process.arch === "arm64" ? "avx2" : "neon";
    const args = ["logits", "--model", join(folder, "none"), "--ids", ids, "--out", join(folder, "out")];
    const forced = await danu([...args, "--device", "cpu"], { env: { DANU_ISA: isa } });
    expect(forced.stderr).toMatch(/^danu logits: cpu: .*\n$/);
    const auto = await danu(args, { env: { DANU_ISA: isa } });
    expect(auto.stderr).toMatch(
      /^danu: computing on the slow reference device, since the CPU .* usable: .*\ndanu logits: cannot read .*\n$/,
    );
    const unknown = await danu(args, { env: { DANU_ISA: "sse9" } });
    expect(unknown.stderr).toMatch(/^danu logits: cpu: expected an instruction set of .*, got "sse9"\n$/);
  });
});

test("the recipe of the README is one", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, recipe] = /```json\n([\s\S]*?)```/.exec(readme)!;
  expect(Object.keys(checkRecipe(JSON.parse(recipe!), "README.md"))).toHaveLength(16);
});

test("doctor tells what the machine has", async () => {
  const { code, stdout } = await danu(["doctor", "--json"]);
  expect(code).toBe(0);
  const machine = JSON.parse(stdout) as Record<string, unknown>;
  expect(machine).toMatchObject({ node: process.version, used: expect.stringMatching(/cuda|cpu|reference/) as string });
  const plain = await danu(["doctor"]);
  expect(plain.stdout).toMatch(/cpu +\S.*\nmemory .*free of/);
  expect(plain.stdout).toContain("cuda: ");
});

test("the tokenizer commands go there and back", async () => {
  await inFolder(async (folder) => {
    const { tokenizer } = await tinyCorpus(folder);
    const text = "Once upon a time there was a fisher.";
    const file = join(folder, "text.txt");
    await writeFile(file, text);
    const encoded = await danu(["tokenizer", "encode", "--tokenizer", tokenizer, "--file", file, "--bos", "--json"]);
    const { ids } = JSON.parse(encoded.stdout) as { ids: number[] };
    expect(ids[0]).toBe(1);
    const plain = await danu(["tokenizer", "encode", "--tokenizer", tokenizer, "--text", text]);
    expect(plain.stdout).toBe(`${ids.slice(1).join(" ")}\n`);
    const list = join(folder, "ids.json");
    await writeFile(list, encoded.stdout);
    const decoded = await danu(["tokenizer", "decode", "--tokenizer", tokenizer, "--file", list, "--json"]);
    expect(JSON.parse(decoded.stdout)).toEqual({ text });
    const wrong = await danu(["tokenizer", "decode", "--tokenizer", tokenizer, "7", "99999"]);
    expect(wrong).toMatchObject({
      code: 1,
      stderr: `danu tokenizer decode: ids: number 1: expected an id from 0 to ${tinyVocabulary - 1}, got 99999\n`,
    });
  });
});

test("tokenizer train writes a folder that the other commands read, and does not overwrite it unasked", async () => {
  await inFolder(async (folder) => {
    const { stories } = await tinyCorpus(folder);
    const out = join(folder, "trained");
    const args = ["tokenizer", "train", stories, "--vocabulary", "600", "--special", "<|user|>", "--out", out];
    const trained = await danu([...args, "--json"]);
    expect(JSON.parse(trained.stdout)).toMatchObject({
      out, vocabularySize: 600, files: expect.arrayContaining(["tokenizer.model", "tokenizer.json"]) as string[],
    });
    const text = "Once upon a time there was a fisher. <|user|>";
    const idsFrom = async (name: string): Promise<unknown> =>
      JSON.parse((await danu(["tokenizer", "encode", "--tokenizer", join(out, name), "--text", text, "--json"])).stdout);
    expect(await idsFrom("tokenizer.json")).toEqual(await idsFrom("tokenizer.model"));
    const again = await danu(args);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("stands there already") as string });
    expect((await danu([...args, "--overwrite"])).stdout).toMatch(/600 pieces, \d+ of them characters, .*\nwritten to/);
    const small = await danu(["tokenizer", "train", stories, "--vocabulary", "256", "--out", join(folder, "small")]);
    expect(small).toMatchObject({ code: 1, stderr: expect.stringMatching(/expected a vocabulary of at least \d+ pieces/) as string });
  });
});

test("tokenizer inspect describes a vocabulary, and a text in tokens with their ids", async () => {
  await inFolder(async (folder) => {
    const { tokenizer } = await tinyCorpus(folder);
    const args = ["tokenizer", "inspect", "--tokenizer", tokenizer];
    const text = "Once upon a time, für.";
    const { stdout } = await danu([...args, "--text", text, "--json"]);
    const report = JSON.parse(stdout) as {
      vocabulary: { special: unknown }; text: { tokens: number; byteTokens: number; first: { text: string }[] };
    };
    expect(report.vocabulary.special).toEqual([
      { id: 0, piece: "<unk>" }, { id: 1, piece: "<s>" }, { id: 2, piece: "</s>" },
      { id: 3, piece: "<|prompt|>" }, { id: 4, piece: "<|answer|>" },
    ]);
    expect(report.text.first.map((token) => token.text).join("")).toBe(text);
    expect(report.text.byteTokens).toBe(2);
    const shown = await danu([...args, "--text", text], { isTTY: true });
    expect(shown.stdout).toContain("\x1b[36m");
    expect(shown.stdout).toMatch(/·\d+/);
    expect(shown.stdout).toContain(`${report.text.tokens} tokens for 23 bytes`);
    expect((await danu(args)).stdout).toMatch(/pieces; begin 1, end 2/);
  });
});

test("data inspect colours documents on a terminal, and not in a pipe or with NO_COLOR", async () => {
  await inFolder(async (folder) => {
    const { stories, tokenizer } = await tinyCorpus(folder);
    const out = join(folder, "data");
    const prepared = await danu(["data", "prepare", stories, "--tokenizer", tokenizer, "--out", out, "--json"]);
    expect(JSON.parse(prepared.stdout)).toMatchObject({ documents: 300, badRows: 0 });
    const args = ["data", "inspect", out, "--tokenizer", tokenizer, "--rows", "1", "--sequence-length", "256"];
    const plain = await danu(args);
    expect(plain.stdout).toMatch(/\|<s> One [a-z ]+ .*<\/s>‸\|<s>/);
    expect(plain.stdout).not.toContain("\x1b");
    expect((await danu(args, { isTTY: true })).stdout).toContain("\x1b[33m|<s>");
    expect((await danu(args, { isTTY: true, env: { NO_COLOR: "1" } })).stdout).not.toContain("\x1b[3");
    const { stdout } = await danu([...args, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ train: { documents: 297 }, validation: { documents: 3 } });
  });
});
