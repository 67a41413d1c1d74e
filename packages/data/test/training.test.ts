import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { encodeChat, parseChatTemplate, readTrainingChats, readTrainingPairs, type BadRow } from "../src/index.ts";
import { named, PairTokenizer, specials, turns } from "./chat-support.ts";
import { putRows } from "./conversations-support.ts";
import { all, temporaryFolder } from "./support.ts";

const tokenizer = new PairTokenizer();
const template = parseChatTemplate(named("</s>"));
const encoding = { tokenizer, template, maxLength: 40 };
const eos = specials.indexOf("</s>");

describe("readTrainingChats", () => {
  test("gives the ids and the mask of encodeChat, and what a split keeps together", async () => {
    const messages = turns("why?", "so.", "and?", "no.");
    const [found, ...rest] = await all(readTrainingChats([putRows([{ messages }])], encoding));
    const { ids, trained, trainedTokens, cut } = encodeChat(tokenizer, template, messages);
    expect(rest).toEqual([]);
    expect(found).toMatchObject({ group: "why?", line: 1, chat: { ids, trained, trainedTokens, cut } });
    expect([...ids].filter((id, i) => id === eos && trained[i] === 1)).toHaveLength(2);
  });

  test("cuts the end, and refuses what has nothing to train before it", async () => {
    const messages = turns("why?", "x".repeat(200));
    const [found] = await all(readTrainingChats([putRows([{ messages }])], encoding));
    expect(found!.chat.ids).toHaveLength(40);
    expect(found!.chat.cut.trainedTokens).toBeGreaterThan(50);
    const file = putRows([{ messages: turns("why?", "so.") }, { messages: turns("y".repeat(200), "so.") }]);
    await expect(all(readTrainingChats([file], encoding))).rejects.toThrow(
      `${file}:2: conversation: the prompt has 110 tokens, which leaves no room for an answer in 40; train with longer`,
    );
  });

  test("keeps refused rows aside as they stand, those of the template too", async () => {
    const strict = parseChatTemplate(
      `{% for m in messages %}{% if m.content == 'never' %}{{ raise_exception('never that') }}{% endif %}{% endfor %}${named("</s>")}`,
    );
    const rows = [turns("why?", "so."), turns("never", "so."), turns("y".repeat(200), "so."), turns("a", "b")]
      .map((messages) => ({ messages }));
    const file = putRows(rows);
    const quarantine = join(temporaryFolder(), "quarantine.jsonl");
    const bad: BadRow[] = [];
    const options = { badRows: "skip" as const, quarantine, onBadRow: (row: BadRow) => void bad.push(row) };
    const found = await all(readTrainingChats([file], { ...encoding, template: strict }, options));
    expect(found.map(({ line }) => line)).toEqual([1, 4]);
    expect(bad.map(({ line, reason }) => [line, reason.split(":")[0]])).toEqual([
      [2, "the chat template refuses the conversation"],
      [3, "conversation"],
    ]);
    const kept = readFileSync(quarantine, "utf8").trim().split("\n").map((line) => JSON.parse(line) as BadRow);
    expect(kept).toEqual(bad);
    expect(kept.map(({ row }) => row)).toEqual([JSON.stringify(rows[1]), JSON.stringify(rows[2])]);
  });

  test("a template that writes an unknown variable is at fault, not a row in silence", async () => {
    const file = putRows([{ messages: turns("why?", "so.") }]);
    const wrong = parseChatTemplate(named("{{ eos_tokn }}"));
    await expect(all(readTrainingChats([file], { ...encoding, template: wrong }))).rejects.toThrow(
      "it writes the variable eos_tokn, which nothing gives it",
    );
  });
});

describe("readTrainingPairs", () => {
  test("trains what follows the prompt alone, in both", async () => {
    const row = {
      chosen: turns("why?", "so.", "and?", "yes."), rejected: turns("why?", "so.", "and?", "no, never."),
    };
    const [found] = await all(readTrainingPairs([putRows([row])], encoding));
    const trainedText = ({ ids, trained }: { ids: Int32Array; trained: Uint8Array }): string =>
      tokenizer.decode([...ids].filter((_, i) => trained[i] === 1));
    expect(trainedText(found!.chosen)).toBe("yes.</s>");
    expect(trainedText(found!.rejected)).toBe("no, never.</s>");
    const prompt = found!.chosen.trained.indexOf(1);
    expect(found!.rejected.trained.indexOf(1)).toBe(prompt);
    expect(found!.rejected.ids.subarray(0, prompt)).toEqual(found!.chosen.ids.subarray(0, prompt));
  });

  test("refuses answers that are the same, whole or as far as they are kept", async () => {
    const same = putRows([{ prompt: "a", chosen: "b", rejected: "b" }]);
    await expect(all(readTrainingPairs([same], encoding))).rejects.toThrow(`${same}:1: chosen and rejected are the same`);
    const far = putRows([{ prompt: "a", chosen: `${"x".repeat(100)}1`, rejected: `${"x".repeat(100)}2` }]);
    await expect(all(readTrainingPairs([far], encoding))).rejects.toThrow("the same in their first 40 tokens");
  });
});
