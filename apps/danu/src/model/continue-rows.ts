import { generateBatch, type GenerationEnd } from "@danu/model";
import type { Tokenizer } from "@danu/tokenizer";

import { continuationDecoder, type ContinueOptions, type TextModel } from "./continue-text.ts";
import type { EncodedRow, PromptRow } from "./prompt-rows.ts";

/** A prompt with what continues it. */
export type ContinuedRow = PromptRow & {
  readonly text: string;
  readonly ids: readonly number[];
  readonly end: GenerationEnd;
};

/** Continues prompts, `together` of them at once, row i with the seed of the options plus i.
 *  @returns the rows in their order, each as soon as it and all before it have ended */
export async function* continueRows(
  { decoder, params }: TextModel, tokenizer: Tokenizer, rows: readonly EncodedRow[], options: ContinueOptions, together: number,
): AsyncGenerator<ContinuedRow, void, undefined> {
  const { seed = 0 } = options;
  const prompts = rows.map(({ encoded: { ids, stopIds } }, i) => ({ prompt: ids, options: { ...options, seed: seed + i, stopIds } }));
  const ended = new Map<number, ContinuedRow>();
  let next = 0;
  for await (const { index, ids, end } of generateBatch(decoder, params, prompts, together)) {
    const { row, encoded } = rows[index]!;
    ended.set(index, { ...row, text: continuationDecoder(tokenizer, encoded.ids)(ids), ids, end });
    for (let row = ended.get(next); row !== undefined; row = ended.get(next)) {
      ended.delete(next++);
      yield row;
    }
  }
}
