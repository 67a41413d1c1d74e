import { existsSync } from "node:fs";
import { join } from "node:path";

import { BpeTrainer } from "@danu/tokenizer";

import { placeFile } from "../cli/place-file.ts";
import { tellStories } from "./stories.ts";
import { makeWorld } from "./world.ts";

/** Files of the built-in corpus. */
export interface BuiltInCorpus {
  /** Stories, a row each. */
  readonly stories: string;
  /** SentencePiece model of their words. */
  readonly tokenizer: string;
}

/** Writes stories of a small world and a vocabulary for them into a folder, unless they are there from before.
 *  @param count number of stories, about 120 tokens each */
export async function writeCorpus(folder: string, seed: number, count: number): Promise<BuiltInCorpus> {
  const corpus = { stories: join(folder, "stories.jsonl"), tokenizer: join(folder, "tokenizer.model") };
  if (existsSync(corpus.stories) && existsSync(corpus.tokenizer)) return corpus;
  const stories = [...tellStories(makeWorld(seed), seed, count)];
  const trainer = new BpeTrainer({ vocabularySize: 1024, allowSmaller: true });
  for (const story of stories) trainer.add(story);
  await placeFile(corpus.tokenizer, trainer.train().file);
  await placeFile(corpus.stories, stories.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  return corpus;
}
