import { describe, expect, it } from "vitest";
import { loadTokenizer } from "../src/index.ts";
import { field, readGolden } from "./support.ts";

interface Golden {
  map: string;
  pieces: string[];
  models: {
    name: string;
    pieces: number;
    trainer: string;
    normalizer: string;
    encode: { text: string; normalized: string; ids: number[]; begin: number[]; end: number[] }[];
  }[];
}
const golden = readGolden<Golden>("character-map.json");

function bytesOf(base64: string): number[] {
  return [...Buffer.from(base64, "base64")];
}

describe("models with a character map: ids and places of sentencepiece", () => {
  it.each(golden.models)("$name", ({ pieces, trainer, normalizer, encode }) => {
    const normalizerSpec = field(3, [...bytesOf(normalizer), ...field(2, bytesOf(golden.map))]);
    const file = [...bytesOf(golden.pieces[pieces]!), ...field(2, bytesOf(trainer)), ...normalizerSpec];
    const tokenizer = loadTokenizer(Uint8Array.from(file));
    for (const { text, ids, begin, end } of encode) {
      expect([text, [...tokenizer.encode(text)]]).toEqual([text, ids]);
      const encoding = tokenizer.encodeWithOffsets(text);
      expect([...encoding.ids]).toEqual(ids);
      // Sentencepiece gives the whole character to the last of its byte pieces, here all of them have it.
      const isWhole = (i: number): boolean => !/^<0x..>$/.test(tokenizer.pieces[ids[i]!]!);
      const places = (starts: ArrayLike<number>, ends: ArrayLike<number>): number[][] =>
        ids.map((_, i) => [starts[i]!, ends[i]!]).filter((_, i) => isWhole(i));
      expect([text, places(encoding.starts, encoding.ends)]).toEqual([text, places(begin, end)]);
    }
  });
});
