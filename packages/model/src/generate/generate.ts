import type { Decoder } from "../decoder/decoder.ts";
import type { AdaptedParameters } from "../lora/adapted-weight.ts";
import type { GenerateOptions, GenerationEnd } from "./continuation.ts";
import { TextSession } from "./text-session.ts";

/** Continues a text, token by token.
 *  @param prompt ids, at least one  @returns the ids added, each as soon as it is known, and why the text ended
 *  @throws GenerationError when the prompt is empty, an id is not in the vocabulary, or an option is out of range */
export async function* generate(
  decoder: Decoder, params: AdaptedParameters, prompt: ArrayLike<number>, options: GenerateOptions,
): AsyncGenerator<number, GenerationEnd, undefined> {
  using session = new TextSession(decoder, params, prompt.length + options.maxTokens);
  return yield* session.generate(prompt, options);
}
