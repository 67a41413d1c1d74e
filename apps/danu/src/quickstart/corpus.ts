import { existsSync } from "node:fs";
import { join } from "node:path";

import { BpeTrainer } from "@danu/tokenizer";

import { placeFile } from "../cli/place-file.ts";
import { examinationOf, splitFacts, type Examination } from "./examination.ts";
import { conversations, preferencePairs } from "./lessons.ts";
import { tellStories } from "./stories.ts";
import { makeWorld } from "./world.ts";

/** Files of the built-in corpus, every row a line of JSON. */
export interface BuiltInCorpus {
  /** Stories, which tell all that is true in the world. */
  readonly stories: string;
  /** Conversations about two thirds of it. */
  readonly conversations: string;
  /** Better and worse answers, about the same two thirds. */
  readonly preferences: string;
  /** {@link Examination} about the last third. */
  readonly examination: string;
  /** SentencePiece model of their words. */
  readonly tokenizer: string;
}

/** How often each fact is asked about in the conversations. */
const rounds = 8;

/** Writes what a small world gives to learn, an examination, and a vocabulary for all of it into a folder, unless they
 *  are there from before.
 *  @param stories number of stories, about 100 tokens each */
export async function writeCorpus(folder: string, seed: number, stories: number): Promise<BuiltInCorpus> {
  const corpus = corpusIn(folder);
  if (Object.values(corpus).every((path) => existsSync(path))) return corpus;
  const world = makeWorld(seed);
  const { asked, heldOut } = splitFacts(world, seed);
  const texts = [...tellStories(world, seed, stories)];
  const chats = [...conversations(asked, seed, rounds)];
  const pairs = [...preferencePairs(asked, asked, seed)];
  const examination: Examination = examinationOf(world, { asked, heldOut }, seed);
  const trainer = new BpeTrainer({ vocabularySize: 1024, allowSmaller: true, specialTokens: ["<|prompt|>", "<|answer|>"] });
  for (const text of texts) trainer.add(text);
  for (const { messages } of chats) for (const { content } of messages) trainer.add(content);
  for (const { prompt, chosen, rejected } of pairs) for (const text of [prompt, chosen, rejected]) trainer.add(text);
  await placeFile(corpus.tokenizer, trainer.train().file);
  await placeFile(corpus.stories, lines(texts.map((text) => ({ text }))));
  await placeFile(corpus.conversations, lines(chats));
  await placeFile(corpus.preferences, lines(pairs));
  await placeFile(corpus.examination, `${JSON.stringify(examination, null, 2)}\n`);
  return corpus;
}

/** Where the files of the corpus lie in a folder. */
function corpusIn(folder: string): BuiltInCorpus {
  return {
    stories: join(folder, "stories.jsonl"),
    conversations: join(folder, "conversations.jsonl"),
    preferences: join(folder, "preferences.jsonl"),
    examination: join(folder, "examination.json"),
    tokenizer: join(folder, "tokenizer.model"),
  };
}

function lines(rows: readonly object[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}
