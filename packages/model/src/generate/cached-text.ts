import { joinCaches, type KeyValueCache } from "@danu/attention";
import { cast, scope, slice, tensor, type Tensor, type Values } from "@danu/tensor";

import type { Decoder, DecoderInput } from "../decoder/decoder.ts";
import type { AdaptedParameters } from "../lora/adapted-weight.ts";
import { NextToken } from "./next-token.ts";

/** Longest piece of a text that goes through the model at once, which bounds the memory of its activations. Shorter ones are too
 *  few rows for a large GPU to have all of its tensor cores at work. */
const longestPiece = 2048;

/** A model whose weights are on the device. */
export interface Model {
  readonly decoder: Decoder;
  readonly params: AdaptedParameters;
}

/** The tokens of a text that the model has read, with their keys and values. */
export class CachedText implements Disposable {
  readonly caches: readonly KeyValueCache[];
  /** Reads what follows, one token at a time. */
  readonly next: NextToken;
  /** The same where the best token always follows, which the device chooses. */
  readonly best: NextToken;
  /** Ids read so far. */
  readonly ids: number[] = [];

  /** @param positions longest text */
  constructor({ decoder, params }: Model, positions: number) {
    this.caches = decoder.caches(1, positions, params.embedding.dtype);
    this.next = new NextToken(decoder, params, this.caches);
    this.best = new NextToken(decoder, params, this.caches, true);
  }

  /** Goes back to what another text shares with this one; its last token is left to be read, for the scores after it.
   *  @returns tokens kept */
  rewind(text: ArrayLike<number>): number {
    let common = 0;
    while (common < text.length - 1 && common < this.ids.length && text[common] === this.ids[common]) common++;
    for (const cache of this.caches) common = cache.rewind(common);
    this.ids.length = common;
    return common;
  }

  /** Forgets what was read beyond `ids`. */
  forgetAhead(): void {
    for (const cache of this.caches) cache.rewind(this.ids.length);
  }

  [Symbol.dispose](): void {
    this.next[Symbol.dispose]();
    this.best[Symbol.dispose]();
    for (const cache of this.caches) cache[Symbol.dispose]();
  }
}

/** Reads on in a text. @returns scores of the token after `ids`, `[V]` */
export async function readOn(model: Model, text: CachedText, ids: readonly number[]): Promise<Float32Array> {
  if (ids.length === 1 && text.ids.length > 0) {
    const logits = text.next.read(ids[0]!, text.ids.length);
    if (logits !== null) {
      text.ids.push(ids[0]!);
      return float32(await logits.read());
    }
  }
  let from = 0;
  for (; ids.length - from > longestPiece; from += longestPiece) {
    const piece = ids.slice(from, from + longestPiece);
    scope(() => { hiddenStates(model, text, piece); });
  }
  return scores(model, () => {
    const hidden = hiddenStates(model, text, ids.slice(from));
    return slice(hidden, 1, hidden.shape[1]! - 1, hidden.shape[1]!);
  });
}

/** Reads one token in each of several texts, which then share the reading of the weights.
 *  @param ids one a text  @returns scores of the token after it, `[V]` for every text */
export async function readTogether(
  model: Model, texts: readonly CachedText[], ids: readonly number[],
): Promise<readonly Float32Array[]> {
  const positions = texts.map((text) => text.ids.length);
  texts.forEach((text, b) => { text.ids.push(ids[b]!); });
  const layers = texts[0]!.caches.map((_, layer) => joinCaches(texts.map((text) => text.caches[layer]!)));
  const all = await scores(model, () => {
    const column = (values: readonly number[]): Tensor => tensor(model.decoder.device, values, [texts.length, 1], "i32");
    return model.decoder.hiddenStates(model.params, inputOf(column(ids), column(positions)), layers);
  });
  const V = all.length / texts.length;
  return texts.map((_, b) => all.subarray(b * V, (b + 1) * V));
}

function hiddenStates({ decoder, params }: Model, text: CachedText, ids: readonly number[]): Tensor {
  const start = text.ids.length;
  const row = (values: readonly number[]): Tensor => tensor(decoder.device, values, [1, values.length], "i32");
  text.ids.push(...ids);
  return decoder.hiddenStates(params, inputOf(row(ids), row(ids.map((_, i) => start + i))), text.caches);
}

function inputOf(ids: Tensor, positions: Tensor): DecoderInput {
  return { ids, positions, documentStart: null };
}

async function scores({ decoder, params }: Model, hidden: () => Tensor): Promise<Float32Array> {
  const logits = scope(() => cast(decoder.head(params, hidden()), "f32"));
  const values = await logits.read();
  logits.dispose();
  return float32(values);
}

function float32(values: Values): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values);
}
