import { encodeChat, type ChatMessage, type ChatTemplate } from "@danu/data";
import type { Decoder } from "@danu/model";
import type { Tokenizer } from "@danu/tokenizer";

import { InputError } from "../cli/errors.ts";
import { answerEnds } from "./chat-template.ts";

/** What a model continues, and with which ids it then ends. */
export interface EncodedPrompt {
  readonly ids: Int32Array;
  readonly stopIds: readonly number[];
}

/** A text as it stands, after the begin token where there is one.
 *  @throws InputError for an empty text and a tokenizer without a begin token */
export function encodePrompt(tokenizer: Tokenizer, prompt: string): EncodedPrompt {
  const { bosId, eosId } = tokenizer;
  const ids = tokenizer.encode(prompt, { addBos: bosId >= 0 });
  if (ids.length > 0) return { ids, stopIds: [bosId, eosId].filter((id) => id >= 0) };
  throw new InputError("expected a prompt, got an empty text and a tokenizer without a begin token");
}

/** A conversation up to the answer that is wanted. @throws DataError where the template refuses it */
export function encodeMessages(tokenizer: Tokenizer, template: ChatTemplate, messages: readonly ChatMessage[]): EncodedPrompt {
  const { ids } = encodeChat(tokenizer, template, messages, { addGenerationPrompt: true, changedAnswers: "untrained" });
  return { ids, stopIds: answerEnds(tokenizer, template) };
}

/** @throws InputError when the ids leave no room for one more, or are of another vocabulary than the model's */
export function checkIds(ids: Int32Array, { positions, config: { vocabularySize } }: Decoder): void {
  if (ids.length >= positions) {
    throw new InputError(
      `expected a prompt of fewer than ${positions} tokens, the positions of the model, got ${ids.length}`,
    );
  }
  const wrong = ids.find((id) => id >= vocabularySize);
  if (wrong === undefined) return;
  throw new InputError(
    `expected a tokenizer of at most the model's ${vocabularySize} pieces, it gave id ${wrong}; name another`,
  );
}
