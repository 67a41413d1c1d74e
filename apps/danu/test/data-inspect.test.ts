import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { BpeTrainer } from "@danu/tokenizer";
import { expect, test } from "vitest";

import { danu, inFolder, type Outcome } from "./support.ts";

/** A tokenizer and files of examples in a folder. */
async function prepared(folder: string): Promise<{ readonly tokenizer: string; readonly chats: string; readonly pairs: string }> {
  const trainer = new BpeTrainer({ vocabularySize: 400, allowSmaller: true, specialTokens: ["<|prompt|>", "<|answer|>"] });
  for (let i = 0; i < 20; i++) trainer.add("Where does Mara live? Mara lives by the river.");
  const paths = { tokenizer: join(folder, "t.model"), chats: join(folder, "chats.jsonl"), pairs: join(folder, "pairs.jsonl") };
  await writeFile(paths.tokenizer, trainer.train().file);
  const chat = { messages: [{ role: "user", content: "Where does Mara live?" }, { role: "assistant", content: "By the river." }] };
  const long = { messages: [{ role: "user", content: "Where? ".repeat(40) }, { role: "assistant", content: "Here." }] };
  const pair = { prompt: "Where does Mara live?", chosen: "Mara lives by the river.", rejected: "Here." };
  await writeFile(paths.chats, [chat, long].map((row) => `${JSON.stringify(row)}\n`).join("") + "{\n");
  await writeFile(paths.pairs, `${JSON.stringify(pair)}\n`);
  return paths;
}

function inspect(...args: string[]): Promise<Outcome> {
  return danu(["data", "inspect", ...args]);
}

test("data inspect shows conversations with what is trained, and what would be dropped", async () => {
  await inFolder(async (folder) => {
    const { tokenizer, chats } = await prepared(folder);
    const { code, stdout, stderr } = await inspect(chats, "--tokenizer", tokenizer, "--max-length", "64");
    expect(code).toBe(0);
    expect(stderr).toBe("danu: the tokenizer has no chat template; Danube's is used\n");
    expect(stdout).toContain("<|prompt|>");
    expect(stdout).toMatch(/⟦\s*By the river\.<\/s>⟧/);
    expect(stdout).toContain("2 conversations, 1 of them to train on (malformed rows 1, dropped 1, truncated sequences 0)");
    expect(stdout).toMatch(/1 dropped: conversation: the prompt has \d+ tokens, which leaves no room.*\(line 2\)/);
    expect(stdout).toMatch(/1 malformed: not valid JSON.*\(line 3\)/);
  });
});

test("data inspect --json lists the tokens of a pair, whose texts are the text", async () => {
  await inFolder(async (folder) => {
    const { tokenizer, pairs } = await prepared(folder);
    const { stdout } = await inspect(pairs, "--tokenizer", tokenizer, "--json");
    const report = JSON.parse(stdout) as {
      kind: string;
      shown: { sharedTokens: number; sequences: { name: string; tokens: { id: number; text: string; trained: boolean }[] }[] }[];
    };
    expect(report.kind).toBe("preferences");
    const [{ sharedTokens, sequences } = { sharedTokens: 0, sequences: [] }] = report.shown;
    expect(sequences.map(({ name }) => name)).toEqual(["chosen", "rejected"]);
    for (const { tokens } of sequences) {
      expect(tokens.findIndex(({ trained }) => trained)).toBe(sharedTokens);
    }
    expect(sequences[1]!.tokens.filter(({ trained }) => trained).map(({ text }) => text).join("").trim()).toBe("Here.</s>");
  });
});

test("on a terminal trained tokens are coloured", async () => {
  await inFolder(async (folder) => {
    const { tokenizer, pairs } = await prepared(folder);
    const { stdout } = await danu(["data", "inspect", pairs, "--tokenizer", tokenizer], { isTTY: true, env: { NO_COLOR: "", TERM: "xterm" } });
    expect(stdout.split("\x1b[32m</s>\x1b[39m").length + stdout.split("\x1b[36m</s>\x1b[39m").length).toBe(4);
    expect(stdout).toContain("\x1b[2m<|answer|>\x1b[22m");
    expect(stdout).not.toContain("⟦");
  });
});

test("data inspect says what it needs", async () => {
  await inFolder(async (folder) => {
    const { tokenizer, chats, pairs } = await prepared(folder);
    expect(await inspect(chats)).toMatchObject({ code: 2, stderr: expect.stringContaining("expected --tokenizer PATH") as string });
    const strange = join(folder, "strange.jsonl");
    await writeFile(strange, '{"weight": 1}\n');
    expect(await inspect(strange, "--tokenizer", tokenizer)).toMatchObject({ code: 1, stderr: expect.stringContaining("got the fields weight") as string });
    expect(await inspect(chats, "--as", "preferences", "--tokenizer", tokenizer)).toMatchObject({ code: 1 });
    expect(await inspect(join(folder, "none.jsonl"), "--tokenizer", tokenizer)).toMatchObject({ code: 1, stderr: expect.stringContaining("no such file") as string });
    expect((await inspect(pairs, chats, "--tokenizer", tokenizer)).stderr).toContain("they are messages");
  });
});
