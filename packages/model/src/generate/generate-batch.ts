import type { Decoder } from "../decoder/decoder.ts";
import type { AdaptedParameters } from "../lora/adapted-weight.ts";
import { CachedText, readOn, readTogether } from "./cached-text.ts";
import { Continuation, type GenerateOptions, type GenerationEnd } from "./continuation.ts";

/** A prompt of a batch. */
export interface BatchPrompt {
  /** Ids, at least one. */
  readonly prompt: ArrayLike<number>;
  readonly options: GenerateOptions;
}

/** A text of a batch that has ended. */
export interface BatchText {
  /** Which prompt it continues. */
  readonly index: number;
  /** The ids added. */
  readonly ids: readonly number[];
  readonly end: GenerationEnd;
}

/** Continues many texts, some of them at once: every weight is read once for all of these, and where one ends the next
 *  begins. Each text is what `generate` gives for its prompt and options alone.
 *  @param together most texts at once  @returns the texts, as they end
 *  @throws GenerationError as `generate`, when it is the turn of the prompt */
export async function* generateBatch(
  decoder: Decoder, params: AdaptedParameters, prompts: Iterable<BatchPrompt>, together: number,
): AsyncGenerator<BatchText, void, undefined> {
  const model = { decoder, params };
  const { positions, config: { vocabularySize } } = decoder;
  const active = new Set<ActiveText>();
  const waiting = [...prompts].entries();
  try {
    for (;;) {
      while (active.size < together) {
        const next = waiting.next();
        if (next.done === true) break;
        const [index, { prompt, options }] = next.value;
        const continuation = new Continuation(prompt, options, { positions, vocabularySize });
        const read = new CachedText(model, Math.min(positions, prompt.length + options.maxTokens));
        const text = { index, continuation, read };
        active.add(text);
        continuation.add(await readOn(model, read, continuation.text));
        if (continuation.end !== null) yield ended(text, active);
      }
      if (active.size === 0) return;
      const texts = [...active];
      const logits = await readTogether(model, texts.map(({ read }) => read), texts.map(({ continuation }) => continuation.text.at(-1)!));
      for (const [b, text] of texts.entries()) {
        text.continuation.add(logits[b]!);
        if (text.continuation.end !== null) yield ended(text, active);
      }
    }
  } finally {
    for (const { read } of active) read[Symbol.dispose]();
  }
}

interface ActiveText {
  readonly index: number;
  readonly continuation: Continuation;
  readonly read: CachedText;
}

function ended(text: ActiveText, active: Set<ActiveText>): BatchText {
  active.delete(text);
  text.read[Symbol.dispose]();
  return { index: text.index, ids: text.continuation.added, end: text.continuation.end! };
}
