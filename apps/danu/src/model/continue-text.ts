import { generate, type GenerateOptions } from "@danu/model";
import type { Tokenizer } from "@danu/tokenizer";

import { InputError } from "../cli/errors.ts";
import type { LoadedModel } from "./open-model.ts";

/** A token of a continuation and the text it completes, which is empty while a character is incomplete. */
export interface Continued {
  readonly id: number;
  readonly text: string;
}

/** Settings of {@link continueText}. */
export type ContinueOptions = Omit<GenerateOptions, "stopIds">;

/** Continues a text after its begin token, until an end or another begin token or `maxTokens`.
 *  @throws InputError when the prompt leaves no room, or is empty and the tokenizer has no begin token */
export async function* continueText(
  { decoder, params }: Pick<LoadedModel, "decoder" | "params">,
  tokenizer: Tokenizer,
  prompt: string,
  options: ContinueOptions,
): AsyncGenerator<Continued, void, undefined> {
  const { bosId, eosId } = tokenizer;
  const ids = [...tokenizer.encode(prompt, { addBos: bosId >= 0 })];
  if (ids.length === 0)
    throw new InputError("expected a prompt, got an empty text and a tokenizer without a begin token");
  if (ids.length >= decoder.positions) {
    throw new InputError(
      `expected a prompt of fewer than ${decoder.positions} tokens, the positions of the model, got ${ids.length}`,
    );
  }
  const wrong = ids.find((id) => id >= decoder.config.vocabularySize);
  if (wrong !== undefined) {
    const { vocabularySize } = decoder.config;
    throw new InputError(
      `expected a tokenizer of at most the model's ${vocabularySize} pieces, it gave id ${wrong}; name another`,
    );
  }
  const stream = tokenizer.streamDecoder();
  // The prompt goes through the decoder too, for what comes next depends on it: a space is dropped only at the start.
  stream.push(ids);
  const stopIds = [bosId, eosId].filter((id) => id >= 0);
  for await (const id of generate(decoder, params, ids, { ...options, stopIds })) {
    yield { id, text: id < tokenizer.vocabularySize ? stream.push(id) : "" };
  }
}

/** The whole continuation. @throws InputError as {@link continueText} */
export async function completeText(
  model: Pick<LoadedModel, "decoder" | "params">,
  tokenizer: Tokenizer,
  prompt: string,
  options: ContinueOptions,
): Promise<string> {
  let text = "";
  for await (const piece of continueText(model, tokenizer, prompt, options)) text += piece.text;
  return text;
}
