import { describe, expect, test } from "vitest";
import { type BadRow, readConversations, readLabelled, readPreferences } from "../src/index.ts";
import { failureOf, putRows } from "./conversations-support.ts";
import { all } from "./support.ts";

const user = { role: "user", content: "Q" };
const assistant = { role: "assistant", content: "A" };
const human = { from: "human", value: "Q" };
const good = { messages: [user, assistant] };

/** What is wrong with one row, which stands after a good one. */
async function reasonOf(
  read: typeof readConversations | typeof readPreferences,
  first: unknown,
  row: unknown,
): Promise<string> {
  const path = putRows([first, row, first]);
  const error = await failureOf(read([path]));
  expect(error).toMatchObject({ name: "DataError", code: "bad-row", data: { source: path, line: 2 } });
  const bad: BadRow[] = [];
  const found = await all<unknown>(read([path], { badRows: "skip", onBadRow: (one) => bad.push(one) }));
  expect(found).toHaveLength(2);
  expect(bad).toEqual([{ source: path, line: 2, reason: bad[0]?.reason, row: JSON.stringify(row) }]);
  expect((error as Error).message).toBe(`${path}:2: ${bad[0]?.reason}`);
  return bad[0]?.reason ?? "";
}

const shareGpt = { conversations: [human, { from: "gpt", value: "A" }] };
const alpaca = { instruction: "Q", input: "", output: "A" };
const oasst = { message_id: "1", parent_id: null, role: "prompter", text: "Q", replies: [] as unknown[] };
const answered = { ...oasst, replies: [{ ...oasst, role: "assistant", text: "A" }] };
const deepTree = Array.from({ length: 600 }).reduce<object>((reply) => ({ ...oasst, replies: [reply] }), oasst);

describe("a bad row of conversations has its own sentence:", () => {
  test.each<[string, unknown, unknown, string]>([
    ["no fields", good, [1], "expected a row with fields, got another value"],
    [
      "another format",
      good,
      { instruction: "Q", output: "A" },
      "expected messages as in the rows before (messages), got the fields instruction, output, as alpaca has them",
    ],
    ["other fields", good, { a: 1 }, "expected messages as in the rows before (messages), got the fields a"],
    ["no answer", good, { messages: [user] }, 'the last message is "user", no answer of the assistant follows'],
    [
      "the assistant first",
      good,
      { messages: [assistant] },
      "roles out of order: message 0 is assistant at the beginning, expected system or user",
    ],
    [
      "two questions",
      good,
      { messages: [user, user, assistant] },
      "roles out of order: message 1 is user after user, expected assistant",
    ],
    [
      "a late system message",
      good,
      { messages: [user, assistant, { role: "system", content: "S" }] },
      "roles out of order: message 2 is system after assistant, expected user or tool",
    ],
    [
      "an empty turn",
      good,
      { messages: [user, { role: "assistant", content: " \n" }] },
      "message 1 (assistant) is empty",
    ],
    [
      "content that is no text",
      good,
      { messages: [user, { role: "assistant", content: 5 }] },
      "messages[1]: expected content to be text, got 5",
    ],
    [
      "no content",
      good,
      { messages: [user, { role: "assistant" }] },
      "messages[1]: expected content to be text, got nothing",
    ],
    [
      "an image",
      good,
      { messages: [{ role: "user", content: [{ type: "image_url" }] }, assistant] },
      'messages[0]: a part of the content is of type "image_url", only text can be learned',
    ],
    [
      "a strange role",
      good,
      { messages: [{ role: "narrator", content: "x" }] },
      /^messages\[0\]: the role "narrator" is none of system, developer, user, /,
    ],
    ["a message that is none", good, { messages: [user, null] }, "messages[1]: expected a message, got null"],
    [
      "a lone surrogate",
      good,
      { messages: [user, { role: "assistant", content: "\ud800" }] },
      "message 1 (assistant) has a lone surrogate, which no UTF-8 text can hold",
    ],
    [
      "tools that are none",
      good,
      { ...good, tools: "none" },
      'field "tools": expected a list or JSON of one, got "none"',
    ],
    [
      "a call that is no JSON",
      shareGpt,
      { conversations: [human, { from: "function_call", value: "f(1)" }] },
      'conversations[1]: expected a call as JSON of name and arguments, got "f(1)"',
    ],
    [
      "a system message alone",
      shareGpt,
      { conversations: [{ from: "system", value: "S" }] },
      'the last message is "system", no answer of the assistant follows',
    ],
    [
      "an instruction that is no text",
      alpaca,
      { instruction: 7, output: "A" },
      'field "instruction": expected text, got 7',
    ],
    ["an empty instruction", alpaca, { instruction: "", input: "", output: "A" }, "message 0 (user) is empty"],
    [
      "a history that is none",
      alpaca,
      { ...alpaca, history: [["Q"]] },
      "history[0]: expected a question and an answer, got an array",
    ],
    [
      "a choice that is none",
      { query: "Q", choices: ["A"], gold: 0 },
      { query: "Q", choices: ["A"], gold: 3 },
      'field "gold": expected the index of a text in choices, got 3',
    ],
    [
      "a speaker of trees",
      answered,
      { ...oasst, role: "moderator" },
      'field "role": expected prompter or assistant, got "moderator"',
    ],
    ["a rank that is none", answered, { ...answered, rank: "best" }, 'field "rank": expected a number, got "best"'],
    ["replies that are none", answered, { ...oasst, replies: ["A"] }, 'field "replies": expected messages, got "A"'],
    ["a deep tree", answered, deepTree, "the tree is deeper than 512 messages"],
    [
      "a tree that an answer begins",
      answered,
      { ...oasst, role: "assistant" },
      "roles out of order: message 0 is assistant at the beginning, expected system or user",
    ],
  ] as [string, unknown, unknown, string][])("%s", async (_, first, row, reason) => {
    const found = await reasonOf(readConversations, first, row);
    if (typeof reason === "string") expect(found).toBe(reason);
    else expect(found).toMatch(reason);
  });
});

const pair = { prompt: "Q", chosen: "A", rejected: "B" };
const hh = (text: string): string => text.replaceAll("H:", "\n\nHuman:").replaceAll("A:", "\n\nAssistant:");
const transcripts = { chosen: hh("H: QA: A"), rejected: hh("H: QA: B") };

describe("a bad row of preferences has its own sentence:", () => {
  test.each<[string, unknown, unknown, string]>([
    ["equal answers", pair, { prompt: "Q", chosen: "A", rejected: " A\n" }, "chosen and rejected are the same"],
    [
      "equal dialogues",
      transcripts,
      { chosen: transcripts.chosen, rejected: transcripts.chosen },
      "chosen and rejected are the same",
    ],
    ["an empty answer", pair, { prompt: "Q", chosen: "", rejected: "B" }, "chosen: message 1 (assistant) is empty"],
    ["an empty question", pair, { prompt: " ", chosen: "A", rejected: "B" }, "prompt: message 0 (user) is empty"],
    [
      "a prompt that ends with an answer",
      pair,
      { prompt: [user, assistant], chosen: "A", rejected: "B" },
      "the prompt ends with assistant, nothing is asked",
    ],
    ["no prompt", pair, { prompt: [], chosen: [assistant], rejected: [assistant] }, "prompt: there are no messages"],
    ["no continuation", pair, { prompt: "Q", chosen: [assistant], rejected: [] }, "rejected has no messages"],
    [
      "a continuation that a question ends",
      pair,
      { prompt: "Q", chosen: [assistant, user], rejected: [assistant] },
      'chosen: the last message is "user", no answer of the assistant follows',
    ],
    [
      "dialogues that part at a question",
      transcripts,
      { chosen: hh("H: QA: A"), rejected: hh("H: RA: A") },
      "chosen and rejected part at message 0, of user in chosen: expected assistant",
    ],
    [
      "a dialogue that ends early",
      transcripts,
      { chosen: hh("H: QA: AH: ?A: B"), rejected: hh("H: QA: A") },
      "chosen and rejected part at message 2, of user in chosen: expected assistant",
    ],
    [
      "an empty turn",
      transcripts,
      { chosen: hh("H: QA: A"), rejected: hh("H: QA:") },
      "rejected: message 1 (assistant) is empty",
    ],
    [
      "two answers in a row",
      transcripts,
      { chosen: hh("H: QA: AA: B"), rejected: hh("H: QA: C") },
      "chosen: roles out of order: message 2 is assistant after assistant, expected user or tool",
    ],
    [
      "a verdict that is no text",
      pair,
      { prompt: "Q", chosen: 1, rejected: "B" },
      'field "chosen": expected text, got 1',
    ],
  ])("%s", async (_, first, row, reason) => {
    expect(await reasonOf(readPreferences, first, row)).toBe(reason);
  });

  test("a verdict without an answer", async () => {
    const path = putRows([{ messages: [user], label: true }]);
    expect(await failureOf(readLabelled([path]))).toMatchObject({
      code: "bad-row",
      message: `${path}:1: prompt: there are no messages`,
    });
    const forced = await failureOf(readLabelled([putRows([good])], { format: "labelled-messages" }));
    expect((forced as Error).message).toMatch(/field "label": expected true or false, got nothing/);
  });
});

describe("messages of Open Assistant, one a row,", () => {
  const flat = { ...oasst, replies: undefined };
  const answer = { ...flat, message_id: "2", parent_id: "1", role: "assistant", text: "A" };

  test.each<[string, object, string]>([
    ["twice", flat, "the message 1 is in line 1 already"],
    [
      "without the one that they answer",
      { ...answer, message_id: "3", parent_id: "9" },
      "the message that it answers, 9, is not in the file",
    ],
    [
      "that answer themselves",
      { ...answer, message_id: "3", parent_id: "3" },
      "no question begins the messages that it answers",
    ],
    [
      "with a parent that is no name",
      { ...answer, message_id: "3", parent_id: 9 },
      'field "parent_id": expected text, got 9',
    ],
    [
      "that no question begins",
      { ...answer, message_id: "3", parent_id: null },
      "roles out of order: message 0 is assistant at the beginning, expected system or user",
    ],
  ])("%s are bad rows", async (_, row, reason) => {
    const path = putRows([flat, answer, row]);
    const error = await failureOf(readConversations([path]));
    expect(error).toMatchObject({ code: "bad-row", message: `${path}:3: ${reason}` });
    const bad: BadRow[] = [];
    const found = await all(readConversations([path], { badRows: "skip", onBadRow: (one) => bad.push(one) }));
    expect([found.length, bad.map(({ line }) => line)]).toEqual([1, [3]]);
  });

  test("in a long chain are refused, not followed without end", async () => {
    const chain = Array.from({ length: 5000 }, (_, i) => ({
      ...flat,
      message_id: `${i}`,
      parent_id: i === 0 ? null : `${i - 1}`,
      role: i % 2 === 0 ? "prompter" : "assistant",
    }));
    expect(((await failureOf(readConversations([putRows(chain)]))) as Error).message).toMatch(
      /:1: the tree is deeper than 512/,
    );
  });
});
