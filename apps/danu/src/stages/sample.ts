import type { Decoder, DecoderParameters } from "@danu/model";
import type { Tokenizer } from "@danu/tokenizer";
import type { Sample } from "@danu/train";

export async function sampleText(_d: Decoder, _p: DecoderParameters, _t: Tokenizer, o: { prompt: string; maxTokens: number; temperature: number; seed: number }): Promise<Sample> {
  return { prompt: o.prompt, text: "" };
}
