import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { initialize, parameterSources, validateConfig, writeModelFolder } from "@danu/model";
import { disposeTree, referenceDevice } from "@danu/tensor";
import { BpeTrainer, loadTokenizer, saveTokenizer } from "@danu/tokenizer";

const things = ["mill", "boat", "lamp", "goat", "bell", "cart", "door", "well", "loom", "kite", "drum", "coat"];
const colours = ["red", "green", "blue", "white", "black"];

/** A question about every thing and colour, with its only answer, and one that is none. */
export const questions: readonly { readonly question: string; readonly answer: string; readonly wrong: string }[] =
  things.flatMap((thing) => colours.map((colour) => ({
    question: `Say ${colour} ${thing}.`, answer: `The ${thing} is ${colour}.`, wrong: `${colour} no ${thing} no.`,
  })));

/** Writes rows as lines of JSON; texts as they are. @returns the path */
export async function putRows(path: string, rows: readonly unknown[]): Promise<string> {
  await writeFile(path, rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
  return path;
}

/** Writes the conversations. @returns the path */
export function putChats(folder: string): Promise<string> {
  return putRows(join(folder, "chats.jsonl"), questions.map(({ question, answer }) => ({
    messages: [{ role: "user", content: question }, { role: "assistant", content: answer }],
  })));
}

/** Writes pairs of the right and the wrong answer. @returns the path */
export function putPairs(folder: string): Promise<string> {
  return putRows(join(folder, "pairs.jsonl"), questions.map(({ question, answer, wrong }) => (
    { prompt: question, chosen: answer, rejected: wrong }
  )));
}

/** Writes a folder of an untrained model, with a tokenizer of the words of the questions. @returns its path */
export async function putModel(folder: string, name = "base", seed = 1): Promise<string> {
  const trainer = new BpeTrainer({ vocabularySize: 400, allowSmaller: true, specialTokens: ["<|prompt|>", "<|answer|>"] });
  for (const { question, answer, wrong } of questions) trainer.add(`${question} ${answer} ${wrong}`);
  const tokenizer = loadTokenizer(trainer.train().file);
  const config = validateConfig({
    hiddenSize: 32, intermediateSize: 64, layers: 2, heads: 4, keyValueHeads: 2, headDim: 8, slidingWindow: 24,
    vocabularySize: tokenizer.vocabularySize, maxPositions: 64, ropeTheta: 10_000, rmsNormEps: 1e-5,
    tieEmbeddings: false, initializerRange: 0.1, bosId: tokenizer.bosId, eosId: tokenizer.eosId, padId: null, dtype: "f32",
  });
  using device = referenceDevice();
  const params = initialize(device, config, seed);
  const files = new Map([
    ...saveTokenizer(tokenizer, "sentencepiece", { modelMaxLength: 64 }),
    ...saveTokenizer(tokenizer, "huggingface", { modelMaxLength: 64 }),
  ]);
  const path = join(folder, name);
  await writeModelFolder(path, { config, tensors: parameterSources(params, config), files });
  disposeTree(params);
  return path;
}
