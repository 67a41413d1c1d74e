import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "../src/index.ts";
import { BpeTrainer } from "../src/train/bpe-trainer.ts";
import type { BpeTrainerOptions } from "../src/train/options.ts";
import { trainBpe } from "../src/train/train-bpe.ts";
import { type Case, readGolden } from "./support.ts";
import { randomNumbers, randomText, settings, trainedModels, trainingLines } from "./trained-models.ts";

interface Golden {
  models: Record<string, { sha256: string; pieces: number; encode: Case[]; parseSpecial: Case[] }>;
  pieces: string[];
}

const golden = readGolden<Golden>("train.json");
const models = trainedModels();

describe.each(Object.keys(settings))("trained model: %s", (name) => {
  const file = models.get(name)!;
  const { sha256, pieces, encode, parseSpecial } = golden.models[name]!;
  const tokenizer = loadTokenizer(file);
  const options = settings[name]!;

  it("the file is the one whose ids sentencepiece gave", () => {
    expect(createHash("sha256").update(file).digest("hex")).toBe(sha256);
    expect(tokenizer.vocabularySize).toBe(pieces);
    expect(tokenizer.vocabularySize).toBe(options.vocabularySize);
  });

  it("ids equal sentencepiece's", () => {
    for (const { text, ids } of encode) expect([text, [...tokenizer.encode(text)]]).toEqual([text, ids]);
  });

  it("ids with special tokens equal transformers'", () => {
    // Its Llama tokenizer counts on byte pieces.
    expect(parseSpecial.length > 50).toBe(options.byteFallback !== false);
    for (const { text, ids } of parseSpecial) {
      expect([text, [...tokenizer.encode(text, { parseSpecial: true })]]).toEqual([text, ids]);
    }
  });

  it("pieces keep to the rules", () => {
    const learned = tokenizer.pieces.filter((piece) => !/^<.+>$/.test(piece) && [...piece].length > 1);
    expect(learned.length).toBeGreaterThan(100);
    for (const piece of learned.filter((spelling) => !/^\u2581+$/.test(spelling))) {
      expect([...piece].length).toBeLessThanOrEqual(options.maxPieceLength ?? 16);
      expect(piece.lastIndexOf("\u2581")).toBeLessThanOrEqual(0);
      const body = piece.replace("\u2581", "");
      expect(body).toMatch(/^([\p{L}\p{M}\u30fc]+|[^\p{L}\p{M}]+(\p{M}|[^\p{L}])*)$/u);
      if (options.splitDigits !== false) expect(piece).not.toMatch(/[0-9\uff10-\uff19]/);
      expect(body).not.toMatch(/[\0\t\r\n]/);
    }
  });
});

/** What each character of the random corpora is: a class, `+` for one that goes with the class before, or a cut. */
const classes: Record<string, string> = {
  a: "latin", b: "latin", é: "latin", д: "cyrillic", ".": "common", "!": "common", 漢: "han", か: "han", ー: "han",
  "\u0301": "+", "1": "digit", "\uff11": "digit", "€": "common", "\n": "cut", "\t": "cut", "\ufffd": "cut",
}; // prettier-ignore
const corpusText = fc
  .array(fc.constantFrom(..."aaaabbé", ..."    \u2581", ...Object.keys(classes)), { maxLength: 60 })
  .map((characters) => characters.join(""));

/** The words of a text, by the definition. */
function wordsOf(text: string, addDummyPrefix: boolean): string[] {
  const words: string[] = [];
  let last = "cut";
  for (const character of (addDummyPrefix && text !== "" ? "\u2581" : "") + text.replaceAll(" ", "\u2581")) {
    const kind = character === "\u2581" ? "space" : classes[character]!;
    const joins = kind === last || last === "space" || (kind === "+" && last !== "cut");
    if (kind === "cut") last = "cut";
    else if (kind === "space" || kind === "digit" || last === "digit" || !joins) words.push(character);
    else words.push(words.pop()! + character);
    if (kind === "cut") continue;
    last = kind === "+" && last !== "cut" && last !== "digit" && last !== "space" ? last : kind;
  }
  return words;
}

/** The definition of an encoder: of all neighbours that join to a piece the first made, and the leftmost of equals. */
function encodeByDefinition(word: string, ranks: ReadonlyMap<string, number>): string[] {
  const symbols = [...word];
  for (;;) {
    let best = Infinity;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = ranks.get(symbols[i]! + symbols[i + 1]!) ?? Infinity;
      if (rank < best) [best, at] = [rank, i];
    }
    if (at < 0) return symbols;
    symbols.splice(at, 2, symbols[at]! + symbols[at + 1]!);
  }
}

/** The definition of training: encode everything with the pieces so far, join the most frequent neighbours. */
function trainByDefinition(words: readonly string[], longest: number): string[] {
  const ranks = new Map<string, number>();
  for (;;) {
    const counts = new Map<string, number>();
    for (const word of words) {
      const symbols = encodeByDefinition(word, ranks);
      for (let i = 0; i + 1 < symbols.length; i++) {
        const joined = symbols[i]! + symbols[i + 1]!;
        if ([...joined].length <= longest) counts.set(joined, (counts.get(joined) ?? 0) + 1);
      }
    }
    const order = [...counts].sort(
      ([a, countOfA], [b, countOfB]) => countOfB - countOfA || [...a].length - [...b].length || compareCodePoints(a, b),
    );
    if (order.length === 0) return [...ranks.keys()];
    ranks.set(order[0]![0], ranks.size);
  }
}

function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function train(texts: readonly (string | Uint8Array)[], options: Partial<BpeTrainerOptions> = {}): Uint8Array {
  const trainer = new BpeTrainer({ vocabularySize: 65_536, allowSmaller: true, ...options });
  for (const text of texts) trainer.add(text);
  return trainer.train().file;
}

describe("training", () => {
  it("finds the pieces that sentencepiece's trainer finds, in its order", () => {
    const options = { vocabularySize: golden.pieces.length, characterCoverage: 0.9995, allowSmaller: false };
    expect(loadTokenizer(train(trainingLines(), options)).pieces).toEqual(golden.pieces);
  });

  it("takes the most frequent pair at every step", () => {
    const options = fc.record({ addDummyPrefix: fc.boolean(), maxPieceLength: fc.integer({ min: 1, max: 6 }) });
    fc.assert(
      fc.property(fc.array(corpusText, { maxLength: 8 }), options, (texts, { addDummyPrefix, maxPieceLength }) => {
        const words = texts.flatMap((text) => wordsOf(text, addDummyPrefix)).filter((word) => word !== "");
        const expected = trainByDefinition(words, maxPieceLength);
        const file = train(texts, { addDummyPrefix, maxPieceLength, characterCoverage: 1 });
        const pieces = loadTokenizer(file).pieces.slice(259);
        expect(pieces.slice(0, expected.length)).toEqual(expected);
        const characters = pieces.slice(expected.length);
        expect(new Set(characters)).toEqual(new Set([...words.flatMap((word) => [...word]), "\u2581"]));
      }),
      { numRuns: 600 },
    );
  });

  it("gives one file whatever the parts and the order of the texts", () => {
    const texts = Array.from({ length: 6 }, (_, seed) => randomText(seed, 80));
    const options = { specialTokens: ["<|user|>", "<|end|>"], allowSmaller: true, vocabularySize: 2000 };
    const expected = train(texts, options);
    fc.assert(
      fc.property(fc.integer(), fc.boolean(), (seed, asBytes) => {
        const random = randomNumbers(seed);
        const trainer = new BpeTrainer(options);
        for (const text of [...texts].sort(() => random(3) - 1)) {
          const whole = asBytes ? new TextEncoder().encode(text) : text;
          for (let at = 0; at < whole.length; ) {
            const end = at + random(40);
            trainer.addPart(whole.slice(at, end));
            at = end;
          }
          trainer.endText();
        }
        expect(trainer.train().file).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it("reads long texts through a buffer as it reads short ones", () => {
    const text = randomText(77, 120_000);
    const trainer = new BpeTrainer({ vocabularySize: 2000, allowSmaller: true });
    for (let at = 0; at < text.length; at += 997) trainer.addPart(text.slice(at, at + 997));
    trainer.endText();
    const whole = new BpeTrainer({ vocabularySize: 2000, allowSmaller: true });
    whole.add(new TextEncoder().encode(text));
    expect(trainer.train()).toEqual(whole.train());
    expect(whole.bytes).toBe(Buffer.byteLength(text));
  });

  it("characters beyond U+FFFF are never cut in two", () => {
    const one = "\u{1F600}x".repeat(30_000);
    for (const text of [one, `y${one}`, `yy${one}`]) {
      const trainer = new BpeTrainer({ vocabularySize: 262, allowSmaller: true });
      trainer.add(text);
      for (let at = 0; at < text.length; at += 5) trainer.addPart(text.slice(at, at + 5));
      trainer.endText();
      const { bytes, file } = trainer.train();
      expect(bytes).toBe(2 * Buffer.byteLength(text));
      expect(loadTokenizer(file).pieces.slice(259, 262)).toContain("\u{1F600}");
    }
    const half = new BpeTrainer({ vocabularySize: 300, allowSmaller: true });
    half.add("a\ud83d");
    half.add("b");
    expect(half.train().bytes).toBe(5);
  });

  it("goes on after a training", () => {
    const trainer = new BpeTrainer({ vocabularySize: 300, allowSmaller: true });
    trainer.add("one text");
    const first = trainer.train();
    expect(trainer.train()).toEqual(first);
    trainer.add("another one");
    expect(trainer.train().file).toEqual(train(["one text", "another one"], { vocabularySize: 300 }));
  });

  it("what was trained encodes and decodes any text", () => {
    const tokenizer = loadTokenizer(models.get("plain")!);
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
        const utf8 = new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(utf8.replaceAll("\u2581", " "));
      }),
    );
  });
});

describe("special tokens", () => {
  it("are control pieces: text that spells one stays text", () => {
    const tokenizer = loadTokenizer(models.get("plain")!);
    const id = tokenizer.idOf("<|user|>");
    expect(id).toBe(3);
    expect(tokenizer.encode("<|user|>hi")).not.toContain(id);
    expect([...tokenizer.encode("<|user|>hi", { parseSpecial: true })]).toEqual([id, ...tokenizer.encode("hi")]);
  });

  it("are cut out of the training text", () => {
    const marked = "so it is<|end|>".repeat(100);
    const other = "my ".repeat(50);
    const file = train([marked, other], { specialTokens: ["<|end|>", "<|e"] });
    const { pieces } = loadTokenizer(file);
    for (const piece of ["d", "|", "end", "<"]) expect(pieces).not.toContain(piece);
    // The text after one is as if it stood alone.
    const apart = [...Array.from({ length: 100 }, () => "so it is"), other];
    const alone = train(apart, { specialTokens: ["<|end|>", "<|e"] });
    expect(pieces.slice(261)).toEqual(loadTokenizer(alone).pieces.slice(261));
  });

  it("may begin with a space, a digit or a letter, and end at the end", () => {
    const specialTokens = [" x", "7up", "end of text", "\u00e9\u00e9"];
    const { pieces } = loadTokenizer(train(["go x7up\u00e9\u00e9go end of text", " x"], { specialTokens }));
    expect(pieces.slice(263)).toEqual(["go", "\u2581go", "\u2581", "g", "o"]);
  });
});

describe("sizes and limits", () => {
  const text = randomText(5, 400);

  function failure(run: () => unknown): { code: string; data: Record<string, number>; message: string } {
    try {
      run();
    } catch (error) {
      return error as { code: string; data: Record<string, number>; message: string };
    }
    throw new Error("expected an error");
  }

  it("too small: the least size is named, and it is enough", () => {
    const options = { characterCoverage: 1, allowSmaller: false, specialTokens: ["<|x|>"], longestSpaceRun: 4 };
    const { code, data, message } = failure(() => train([text], { ...options, vocabularySize: 260 }));
    expect(code).toBe("vocabulary-size");
    expect(message).toContain(`at least ${data["least"]} pieces`);
    const file = train([text], { ...options, vocabularySize: data["least"]! });
    expect(loadTokenizer(file).vocabularySize).toBe(data["least"]);
    expect(failure(() => train([text], { ...options, vocabularySize: data["least"]! - 1 })).code).toBe(code);
  });

  it("too large: the most is named, and it can be had", () => {
    const { code, data } = failure(() => train([text], { allowSmaller: false, vocabularySize: 60_000 }));
    expect(code).toBe("vocabulary-size");
    const exact = train([text], { allowSmaller: false, vocabularySize: data["most"]! });
    const smaller = train([text], { allowSmaller: true, vocabularySize: 60_000 });
    expect(loadTokenizer(smaller).pieces).toEqual(loadTokenizer(exact).pieces);
    expect(failure(() => train([text], { allowSmaller: false, vocabularySize: data["most"]! + 1 })).code).toBe(code);
  });

  it("no text: bytes and a space", () => {
    for (const texts of [[], [""], ["\n\n"], [new Uint8Array(0)]]) {
      const tokenizer = loadTokenizer(train(texts));
      expect(tokenizer.vocabularySize).toBe(260);
      expect(tokenizer.decode(tokenizer.encode("any text"))).toBe("any text");
    }
  });

  it("coverage: rare characters become bytes and stand in no piece", () => {
    const tokenizer = loadTokenizer(train(["ab ".repeat(1000) + "aqb"], { characterCoverage: 0.999 }));
    expect(tokenizer.pieces.filter((piece) => piece.includes("q"))).toEqual([]);
    expect(tokenizer.pieces.slice(259)).toEqual(["\u2581a", "\u2581ab", "a", "b", "\u2581"]);
  });

  it("bytes that are not UTF-8 are left out and counted", () => {
    const broken = Uint8Array.of(0x61, 0x62, 0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x61, 0x62, 0xf0, 0x9f, 0x98);
    const trainer = new BpeTrainer({ vocabularySize: 300, allowSmaller: true });
    trainer.add(broken);
    const { file, invalidBytes, bytes } = trainer.train();
    expect([invalidBytes, bytes]).toEqual([8, 13]);
    expect(loadTokenizer(file).pieces.slice(259)).toEqual(["ab", "\u2581ab", "a", "b", "(", "\u2581"]);
  });

  it("counts go on where a slot is full, and after words were forgotten", () => {
    const texts = ["ef ".repeat(95_536), "ab ".repeat(131_122), "cd ".repeat(123_304)];
    const rare = Array.from({ length: 1100 }, (_, i) => i.toString(7).replaceAll(/./g, (digit) => "ghijklm"[+digit]!));
    for (const maximumWords of [1000, 100_000]) {
      const trainer = new BpeTrainer({ vocabularySize: 290, maximumWords, characterCoverage: 1 });
      for (const text of [rare.slice(0, 500).join(" "), ...texts, rare.join(" "), ...texts]) trainer.add(text);
      const { file, pruning } = trainer.train();
      expect(pruning.times > 0).toBe(maximumWords === 1000);
      const { pieces } = loadTokenizer(file);
      expect(pieces.slice(259, 265)).toEqual(["ab", "\u2581ab", "cd", "\u2581cd", "ef", "\u2581ef"]);
    }
  });

  it("words without end are cut", () => {
    const trainer = new BpeTrainer({ vocabularySize: 300, allowSmaller: true, maxPieceLength: 128 });
    for (let i = 0; i < 300; i++) trainer.addPart("a".repeat(9973));
    trainer.endText();
    const { words, file } = trainer.train();
    expect(words).toBeLessThan(4);
    expect(loadTokenizer(file).pieces).toContain("a".repeat(128));
  });

  it("forgets rare words above the limit, whatever the parts, and says so", () => {
    const random = randomNumbers(9);
    const word = (): string => Array.from({ length: 6 }, () => String.fromCharCode(97 + random(26))).join("");
    const frequent = Array.from({ length: 50 }, word);
    const list = Array.from({ length: 30_000 }, () => (random(2) === 0 ? frequent[random(50)]! : word()));
    const options = { vocabularySize: 1000, maximumWords: 1000, characterCoverage: 1 };
    const whole = new BpeTrainer(options);
    const text = `r\u00e9r ${list.join(" ")}`;
    whole.add(text);
    const model = whole.train();
    expect(model.words).toBeLessThanOrEqual(1000);
    expect(model.pruning.times).toBeGreaterThan(10);
    expect(model.pruning.occurrences).toBeGreaterThan(10_000);
    expect(model.pruning.largestUndercount).toBeLessThan(300);
    const parts = new BpeTrainer(options);
    for (const part of text.match(/[^]{1,700}/g)!) parts.addPart(part);
    parts.endText();
    expect(parts.train()).toEqual(model);
    const { pieces } = loadTokenizer(model.file);
    for (const letter of "abcdefghijklmnopqrstuvwxyz\u00e9") expect(pieces).toContain(letter);
    for (const spelling of frequent) expect(pieces).toContain(`\u2581${spelling}`);
    const unlimited = new BpeTrainer({ ...options, maximumWords: 100_000 });
    unlimited.add(text);
    expect(unlimited.train().pruning).toEqual({ times: 0, occurrences: 0, largestUndercount: 0 });
  });

  it.each([
    { vocabularySize: 255 },
    { vocabularySize: 65_537 },
    { vocabularySize: 1000.5 },
    { vocabularySize: NaN },
    { maxPieceLength: 0 },
    { maxPieceLength: 129 },
    { longestSpaceRun: 0 },
    { characterCoverage: 0 },
    { characterCoverage: 99.95 },
    { maximumWords: 10 },
    { specialTokens: [""] },
    { specialTokens: ["x"] },
    { specialTokens: ["<s>"] },
    { specialTokens: ["<0x41>"] },
    { specialTokens: ["<a>", "<a>"] },
    { specialTokens: ["a\0b"] },
    { specialTokens: ["\u2581a"] },
    { specialTokens: ["a\ud800"] },
    { specialTokens: ["x".repeat(1001)] },
  ])("bad option: %j", (options) => {
    const { code, message } = failure(() => new BpeTrainer({ vocabularySize: 1000, ...options }));
    expect(code).toBe("bad-option");
    expect(message).toContain(Object.keys(options)[0]);
  });
});

describe("progress and ending early", () => {
  const texts = Array.from({ length: 20 }, (_, seed) => randomText(seed, 50));
  const options = { vocabularySize: 500 };

  it("trainBpe gives the same file, from any kind of iterable", async () => {
    async function* slowly(): AsyncGenerator<string> {
      for (const text of texts) {
        await Promise.resolve();
        yield text;
      }
    }
    const expected = train(texts, options);
    expect((await trainBpe(slowly(), options)).file).toEqual(expected);
    expect((await trainBpe(texts, options)).file).toEqual(expected);
  });

  it("progress: bytes, then pieces up to the total", async () => {
    const seen: [string, number, number | undefined][] = [];
    await trainBpe(texts, options, { onProgress: ({ phase, done, total }) => seen.push([phase, done, total]) });
    const counted = seen.filter(([phase]) => phase === "count");
    expect(counted.length).toBe(texts.length);
    expect(counted.at(-1)![1]).toBe(texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0));
    const merged = seen.slice(counted.length);
    const total = merged[0]![2]!;
    expect(merged).toEqual(Array.from({ length: total + 1 }, (_, done) => ["merge", done, total]));
  });

  it("a signal ends it with its reason, while counting and while merging", async () => {
    for (const phase of ["count", "merge"] as const) {
      const controller = new AbortController();
      const onProgress = (progress: { phase: string; done: number }): void => {
        if (progress.phase === phase && progress.done > 5) controller.abort(new Error(`enough in ${phase}`));
      };
      const hooks = { onProgress, signal: controller.signal };
      await expect(trainBpe(texts, options, hooks)).rejects.toThrow(`enough in ${phase}`);
    }
    const trainer = new BpeTrainer(options);
    for (const text of texts) trainer.add(text);
    expect(() => trainer.train({ signal: AbortSignal.abort(new Error("before")) })).toThrow("before");
    expect(trainer.train().file).toEqual(train(texts, options));
  });

  it("timers are served while it works", async () => {
    let fired = false;
    setTimeout(() => (fired = true), 1);
    await trainBpe(
      Array.from({ length: 40 }, (_, seed) => randomText(seed, 4000)),
      { vocabularySize: 3000, allowSmaller: true },
    );
    expect(fired).toBe(true);
  });
});
