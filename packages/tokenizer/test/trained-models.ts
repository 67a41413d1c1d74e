import { BpeTrainer } from "../src/train/bpe-trainer.ts";
import type { BpeTrainerOptions } from "../src/train/options.ts";

/** Whole numbers that look random, the same on every machine: Knuth's 32-bit linear congruential generator. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const syllables = "ba ko ri the an ing er st ou le mi ght qu ze é ñ".split(" ");
const scripts = ["привет мир", "東京タワー", "私はカタカナ", "مرحبا", "नमस्ते", "안녕하세요", "e\u0301te\u0301", "λόγος"];
const digits = ["1234", "3.14", "٣٤", "\uff11\uff12", "x1y2"];
const marks = [".", ",", "...", "?!", " - ", "'s", '"', "\u2014", "\u2019t", ...digits, "(a+b)", "_id"];
const gaps = ["\ufeff", "\u2581", "\t", "\r\n", "\n", "\n\n", "    "];
const rare = ["\u{1F600}", "\u{1F469}\u200d\u{1F467}", "\ufb01", ...gaps];
const control = ["<s>", "<|user|>", "<|end|>", "<0x41>", "\0", "\ud800"];

/** Text of `length` words that are seldom new, with other scripts, digits, spaces and special tokens between. */
export function randomText(seed: number, length: number): string {
  const random = randomNumbers(seed);
  const pick = (from: readonly string[]): string => from[random(from.length)]!;
  const word = (): string => Array.from({ length: 1 + random(3) }, () => syllables[random(random(16) + 1)]!).join("");
  const parts = Array.from({ length }, () => {
    const kind = random(100);
    if (kind < 70) return ` ${word()}`;
    if (kind < 82) return pick(marks);
    if (kind < 90) return word().toUpperCase();
    if (kind < 94) return pick(scripts);
    return kind < 99 ? pick(rare) : pick(control);
  });
  return parts.join("");
}

/** Settings that together use every option. */
export const settings: Readonly<Record<string, BpeTrainerOptions>> = {
  plain: { vocabularySize: 600, specialTokens: ["<|user|>", "<|assistant|>", "<|end|>"], characterCoverage: 0.999 },
  indented: { vocabularySize: 500, longestSpaceRun: 8, splitDigits: false, addDummyPrefix: false, maxPieceLength: 6 },
  "without-bytes": { vocabularySize: 320, byteFallback: false, characterCoverage: 1 },
};

/** The files that these settings give for a text that is always the same. */
export function trainedModels(): Map<string, Uint8Array> {
  const texts = Array.from({ length: 40 }, (_, seed) => randomText(seed, 300));
  return new Map(
    Object.entries(settings).map(([name, options]) => {
      const trainer = new BpeTrainer(options);
      for (const text of texts) trainer.add(text);
      return [name, trainer.train().file];
    }),
  );
}

/** Lines that sentencepiece's trainer reads as this one does: no control characters, and none that it leaves out. */
export function trainingLines(): string[] {
  const texts = Array.from({ length: 40 }, (_, seed) => randomText(2000 + seed, 300));
  return texts.flatMap((text) => text.split(/[\p{Cc}\p{Cs}]|<[^>]*>/u)).filter((line) => line !== "");
}

/** Texts that the models have not seen, for tools/golden/train.py.
 *  @public */
export function heldTexts(): string[] {
  return Array.from({ length: 30 }, (_, i) => randomText(1000 + i, 5 + 5 * i));
}
