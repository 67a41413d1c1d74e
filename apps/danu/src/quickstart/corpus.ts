import { existsSync } from "node:fs";
import { mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";

import { tellStories } from "./stories.ts";
import { buildVocabulary } from "./vocabulary.ts";
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
  await mkdir(folder, { recursive: true });
  await place(corpus.tokenizer, buildVocabulary(stories.join("\n"), 1024));
  await place(corpus.stories, stories.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  return corpus;
}

/** Writes a file that appears whole or not at all. */
async function place(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${process.pid}.tmp`);
  const file = await open(temporary, "w");
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
