import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";

import { describe, expect, test } from "vitest";

import { danu, inFolder } from "./support.ts";
import { atTerminal, chatMl, tinyChatModel } from "./tiny-chat.ts";

interface ChatResult {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly turns: readonly {
    readonly question: string; readonly text: string; readonly ids: readonly number[]; readonly end: string;
    readonly promptTokens: number; readonly reusedTokens: number; readonly forgottenMessages: number;
  }[];
}

/** The prompt, after which readline may put the cursor. */
const prompt = /> (.\[\d+G)?$/;

describe("at a terminal", () => {
  test("questions are answered, and commands help, save, reset and leave", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl);
      const file = join(folder, "saved.jsonl");
      const { code, stdout, stderr } = await atTerminal(["chat", "--model", model, "--max-tokens", "5", "--system", "answer"], [
        { after: prompt, type: "who is there?\r" },
        { after: prompt, type: `/save ${file}\r` },
        { after: /saved 3 messages to[^]*> /, type: "/hlep\r" },
        { after: /there is no \/hlep; did you mean help\?[^]*> /, type: "/help\r" },
        { after: /\/reset +forget[^]*Ctrl-C[^]*> /, type: "/reset\r" },
        { after: /begins anew[^]*> /, type: "/save\r" },
        { after: /expected a file[^]*> /, type: `/save ${file}\r` },
        { after: /nothing to save yet[^]*> /, type: "the answer?\r" },
        { after: prompt, type: `/save ${join(folder, "none", "x")}\r` },
        { after: /not saved: ENOENT[^]*> /, type: `/save ${file}\r` },
        { after: /saved 3 messages[^]*> /, type: "/exit\r" },
      ]);
      expect(code).toBe(0);
      expect(stdout).toContain("/help shows what can be typed");
      expect(stderr).toContain("the answer reached --max-tokens");
      const saved = (await readFile(file, "utf8")).trim().split("\n").map((line) => JSON.parse(line) as ChatResult);
      expect(saved.map(({ messages }) => messages.map(({ role, content }) => (role === "assistant" ? role : content)))).toEqual([
        ["answer", "who is there?", "assistant"], ["answer", "the answer?", "assistant"],
      ]);
      expect(stdout).toContain(saved[0]!.messages[2]!.content.trimStart());
    });
  });

  test("Ctrl-C stops the answer, then drops a line begun, then leaves", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl);
      const file = join(folder, "saved.jsonl");
      // At temperature 0 this model never ends an answer by itself.
      const { code } = await atTerminal(["chat", "--model", model, "--max-tokens", "2000", "--temperature", "0"], [
        { after: prompt, type: "who is there?\r" },
        { after: /\r\n[^]{3}/, type: "\x03" },
        { after: prompt, type: `/save ${file}\r` },
        { after: /saved 2 messages[^]*> /, type: "not asked" },
        { after: /not asked$/, type: "\x03" },
        { after: prompt, type: "\x03" },
      ]);
      expect(code).toBe(0);
      const { messages } = JSON.parse(await readFile(file, "utf8")) as ChatResult;
      expect(messages[1]!.content.length).toBeGreaterThan(0);
      const whole = await danu(["chat", "--model", model, "--max-tokens", "2000", "--temperature", "0", "--prompt", "who is there?", "--json"]);
      const { turns } = JSON.parse(whole.stdout) as ChatResult;
      expect(turns[0]!.text.startsWith(messages[1]!.content)).toBe(true);
      expect(messages[1]!.content.length).toBeLessThan(turns[0]!.text.length);
    });
  });

  test("a question longer than the context is refused, and the next is answered", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl, { maxPositions: 64 });
      const { code, stderr } = await atTerminal(["chat", "--model", model, "--max-tokens", "3"], [
        { after: prompt, type: `${"the question ".repeat(40)}\r` },
        { after: prompt, type: "who?\r" },
        { after: prompt, type: "\x04" },
      ]);
      expect(code).toBe(0);
      expect(stderr).toContain("expected a prompt of fewer than 64 tokens, the positions of the model, got ");
    });
  });
});

describe("in a pipe", () => {
  test("every line is a question; --prompt asks the same; the cache gives what reading anew gives", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl);
      const args = ["chat", "--model", model, "--max-tokens", "7", "--seed", "5", "--system", "answer"];
      const questions = ["who is there?", "the user", "<|im_end|> is not a token here"];
      const lines = await danu(args, { stdin: Readable.from(questions.map((line) => `${line}\n`)) });
      expect(lines.code).toBe(0);
      const given = await danu([...args, ...questions.flatMap((text) => ["--prompt", text]), "--json"]);
      const { messages, turns } = JSON.parse(given.stdout) as ChatResult;
      expect(lines.stdout).toBe(turns.map(({ text }) => `${text.trimStart()}\n`).join(""));
      expect(messages.map(({ role }) => role)).toEqual(["system", "user", "assistant", "user", "assistant", "user", "assistant"]);
      expect(turns.map(({ question }) => question)).toEqual(questions);
      turns.slice(1).forEach((turn, i) => expect(turn.reusedTokens).toBeGreaterThanOrEqual(turns[i]!.promptTokens));
      const file = join(folder, "rows.jsonl");
      for (const [i, { ids }] of turns.entries()) {
        await writeFile(file, JSON.stringify({ messages: messages.slice(0, 2 + 2 * i) }));
        const anew = await danu([
          "generate", "--model", model, "--max-tokens", "7", "--seed", String(5 + i), "--prompts", file, "--json",
        ]);
        expect((JSON.parse(anew.stdout) as { texts: ChatResult["turns"] }).texts[0]!.ids).toEqual(ids);
      }
    });
  });

  test("an answer ends at the end mark of the template, which is not part of it", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl);
      // At this temperature every token is about as likely.
      const { stdout } = await danu(["chat", "--model", model, "--max-tokens", "1900", "--temperature", "100", "--prompt", "who?", "--json"]);
      const { turns } = JSON.parse(stdout) as ChatResult;
      expect(turns[0]!.end).toBe("stop");
      // <s>, </s>, <|im_end|>
      for (const id of [1, 2, 4]) expect(turns[0]!.ids).not.toContain(id);
    });
  });

  test("when the context is full the oldest messages are forgotten, and it says so; the system message stays", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl, { maxPositions: 160, slidingWindow: 24 });
      const args = ["chat", "--model", model, "--max-tokens", "20", "--temperature", "0", "--system", "answer"];
      const questions = Array.from({ length: 8 }, () => ["--prompt", "who is there?"]).flat();
      const { code, stdout, stderr } = await danu([...args, ...questions, "--json"]);
      expect(code).toBe(0);
      const { messages, turns } = JSON.parse(stdout) as ChatResult;
      expect(turns).toHaveLength(8);
      const forgotten = turns.filter(({ forgottenMessages }) => forgottenMessages > 0);
      expect(forgotten.length).toBeGreaterThan(0);
      expect(stderr).toContain(`the context of 160 tokens was full: the first ${forgotten[0]!.forgottenMessages} messages are forgotten`);
      for (const { promptTokens, ids } of turns) expect(promptTokens + ids.length).toBeLessThanOrEqual(160);
      expect(messages[0]).toEqual({ role: "system", content: "answer" });
      expect(messages[1]!.role).toBe("user");
    });
  });

  test("an answer that fills the context ends there and says so", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl, { maxPositions: 64 });
      const args = ["chat", "--model", model, "--max-tokens", "500", "--temperature", "0", "--prompt", "who is there?"];
      const { stdout, stderr } = await danu([...args, "--json"]);
      const [turn] = (JSON.parse(stdout) as ChatResult).turns;
      expect(turn!.end).toBe("context");
      expect(turn!.promptTokens + turn!.ids.length).toBe(64);
      expect(stderr).toContain("the context of 64 tokens is full: the answer ends here");
    });
  });

  test("a question that cannot be asked is an error", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl, { maxPositions: 64 });
      const { code, stderr } = await danu(["chat", "--model", model, "--prompt", "the question ".repeat(40)]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^danu chat: expected a prompt of fewer than 64 tokens, .*\n$/);
    });
  });
});

describe("templates", () => {
  test("without one Danube's is used, which has no system messages", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, null);
      const asked = await danu(["chat", "--model", model, "--max-tokens", "3", "--prompt", "who?"]);
      expect(asked).toMatchObject({ code: 0, stderr: expect.stringContaining("no chat template; Danube's is used") as string });
      const told = await danu(["chat", "--model", model, "--system", "answer", "--prompt", "who?"]);
      expect(told.code).toBe(1);
      expect(told.stderr).toContain(
        "danu chat: --system: expected a chat template with system messages, this model's has none "
          + "(the chat template refuses the conversation: System role not supported); leave it out, or say it in the first question\n",
      );
    });
  });

  test("one that passes over system messages in silence is not told any", async () => {
    await inFolder(async (folder) => {
      const silent = "{% for message in messages if message['role'] != 'system' %}<{{ message['content'] }}>{% endfor %}";
      const model = await tinyChatModel(folder, silent);
      const told = await danu(["chat", "--model", model, "--system", "answer", "--prompt", "who?"]);
      expect(told.stderr).toContain("--system: expected a chat template with system messages, this model's leaves them out;");
    });
  });
});
