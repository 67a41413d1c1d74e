import type { TrainingSequence } from "@danu/data";
import { generate, type AdaptedParameters, type Decoder } from "@danu/model";
import type { Sample } from "@danu/train";

import { answerEnds } from "../../model/chat-template.ts";
import type { TuningSource } from "./source.ts";

const mostTokens = 200;

/** The model's own answer to the first prompt of a conversation, its best token every time. */
export async function answerSample(
  decoder: Decoder, weights: AdaptedParameters, { tokenizer: { tokenizer }, template }: TuningSource, chat: TrainingSequence,
): Promise<Sample> {
  const prompt = chat.ids.subarray(0, chat.trained.indexOf(1, 1));
  const maxTokens = Math.min(mostTokens, decoder.positions - prompt.length);
  const stopIds = [...answerEnds(tokenizer, template)];
  const ids: number[] = [];
  for await (const id of generate(decoder, weights, prompt, { maxTokens, temperature: 0, stopIds })) ids.push(id);
  const isText = (id: number): boolean => id < tokenizer.vocabularySize;
  return { prompt: tokenizer.decode(prompt, { skipSpecial: false }), text: tokenizer.decode(ids.filter(isText)) };
}
