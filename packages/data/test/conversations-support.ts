import { join } from "node:path";
import fc from "fast-check";
import { expect } from "vitest";
import type { ChatMessage, ExampleOptions } from "../src/index.ts";
import { all, put, temporaryFolder } from "./support.ts";

/** A content with something to see in it. */
export const content: fc.Arbitrary<string> = fc
  .tuple(fc.string({ unit: "binary", maxLength: 20 }), fc.constantFrom("word", "日本", "Human: x", " \n a"))
  .map(([text, word]) => (text + word).replaceAll(/[\ud800-\udfff]/g, "?"));

/** A content without white space around it, and without the markers of transcripts. */
export const trimmed: fc.Arbitrary<string> = content.map((text) => text.replaceAll("\n\n", "\n").trim());

/** Question and answer, once or more, with a system message or without. */
export function dialogue(text: fc.Arbitrary<string> = content): fc.Arbitrary<readonly ChatMessage[]> {
  return fc
    .tuple(fc.option(text), fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 }))
    .map(([system, turns]) => [
      ...(system === null ? [] : [{ role: "system", content: system }]),
      ...turns.flatMap(([question, answer]) => [
        { role: "user", content: question },
        { role: "assistant", content: answer },
      ]),
    ]);
}

/** One question with two answers that differ. */
export const twoAnswers: fc.Arbitrary<readonly [string, string, string]> = fc
  .tuple(trimmed, trimmed, trimmed)
  .filter(([, better, worse]) => better !== worse);

/** Writes rows as JSONL. */
export function putRows(rows: readonly unknown[], name: string = "rows.jsonl"): string {
  return put(join(temporaryFolder(), name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

type Read<T> = (paths: readonly string[], options?: ExampleOptions) => AsyncIterable<T>;

/** Examples of rows, without where they stand. */
export async function examplesOf<T extends object>(
  read: Read<T>,
  rows: readonly unknown[],
  options?: ExampleOptions,
): Promise<Record<string, unknown>[]> {
  const found = await all(read([putRows(rows)], options));
  return found.map((example) => {
    const { source: _, line: __, ...rest } = example as Record<string, unknown>;
    return rest;
  });
}

/** What reading throws, or what it gives if it does not. */
export async function failureOf(items: AsyncIterable<unknown>): Promise<unknown> {
  return all(items).then(
    (found) => `read ${found.length} examples`,
    (error: unknown) => error,
  );
}

/** A message. */
export const turn = (role: string, text: string): ChatMessage => ({ role, content: text });

/** How ShareGPT names the speakers. */
export const sharegptNames: Readonly<Record<string, string>> = { system: "system", user: "human", assistant: "gpt" };

/** Checks that the examples of every file come back, and that the format is recognised. */
export async function comesBack<T extends object>(
  read: Read<object>,
  examples: fc.Arbitrary<T>,
  rowOf: (example: T) => unknown,
  expected: (example: T) => object = (example) => example,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(examples, { minLength: 1, maxLength: 8 }), async (list) => {
      expect(await examplesOf(read, list.map(rowOf))).toEqual(list.map(expected));
    }),
    { numRuns: 40 },
  );
}
