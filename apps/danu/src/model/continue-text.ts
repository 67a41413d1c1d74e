import { generate, type AdaptedParameters, type Decoder, type GenerateOptions } from "@danu/model";
import type { Tokenizer } from "@danu/tokenizer";

import { checkIds, encodePrompt } from "./prompt.ts";

/** A token of a continuation and the text it completes, which is empty while a character is incomplete. */
export interface Continued {
  readonly id: number;
  readonly text: string;
}

/** How a text is continued; where it stops is the tokenizer's matter. */
export type ContinueOptions = Omit<GenerateOptions, "stopIds">;

/** What continues texts. */
export interface TextModel {
  readonly decoder: Decoder;
  readonly params: AdaptedParameters;
}

/** What continues a text after its begin token, until an end or another begin token or `maxTokens`.
 *  @throws InputError when the prompt leaves no room, or is empty and the tokenizer has no begin token */
export async function completeText(
  { decoder, params }: TextModel, tokenizer: Tokenizer, prompt: string, options: ContinueOptions,
): Promise<string> {
  const { ids, stopIds } = encodePrompt(tokenizer, prompt);
  checkIds(ids, decoder);
  let text = "";
  for await (const piece of withText(tokenizer, ids, generate(decoder, params, ids, { ...options, stopIds }))) text += piece.text;
  return text;
}

/** Ids that continue a prompt, with their text. @returns what `ids` returns */
export async function* withText<R>(
  tokenizer: Tokenizer, prompt: ArrayLike<number>, ids: AsyncGenerator<number, R>,
): AsyncGenerator<Continued, R, undefined> {
  const textOf = continuationDecoder(tokenizer, prompt);
  try {
    for (;;) {
      const next = await ids.next();
      if (next.done === true) return next.value;
      yield { id: next.value, text: textOf([next.value]) };
    }
  } finally {
    await ids.return(undefined as R);
  }
}

/** Gives the text that the next ids after a prompt complete. */
export function continuationDecoder(tokenizer: Tokenizer, prompt: ArrayLike<number>): (ids: readonly number[]) => string {
  const stream = tokenizer.streamDecoder();
  // The prompt goes through the decoder too, for what comes next depends on it: a space is dropped only at the start.
  stream.push(prompt);
  // A model may have more ids than its tokenizer.
  return (ids) => stream.push(ids.filter((id) => id < tokenizer.vocabularySize));
}
