import { describe, expect, it } from "vitest";
import { loadTokenizer, saveTokenizer, type Tokenizer, TokenizerError, type TokenizerFormat } from "../src/index.ts";
import { reload } from "./save-support.ts";
import { byteNames, field, modelBytes, type ModelOptions, type Piece, special } from "./support.ts";

const letters: readonly Piece[] = ["a", "b", "\u2581", "ab", "\u2581a"].map((spelling, i) => ({ spelling, score: -i }));

function load(pieces: readonly Piece[], config: object = {}, options: ModelOptions = {}): Tokenizer {
  const model = modelBytes([...special, ...pieces], options);
  return loadTokenizer({ model, config: Buffer.from(JSON.stringify(config)) });
}

function json(files: ReadonlyMap<string, Uint8Array>, name: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(files.get(name)!).toString()) as Record<string, unknown>;
}

function refusal(make: () => unknown): string {
  try {
    make();
  } catch (error) {
    expect(error).toBeInstanceOf(TokenizerError);
    return `${(error as TokenizerError).code}: ${(error as TokenizerError).message}`;
  }
  return "none";
}

const formats: readonly TokenizerFormat[] = ["sentencepiece", "huggingface"];
const chat = {
  bos_token: "<s>",
  eos_token: { content: "<|end|>", special: true },
  pad_token: "<|pad|>",
  add_bos_token: true,
  add_eos_token: true,
  legacy: false,
  chat_template: "{{ messages }}",
  added_tokens_decoder: {
    8: { content: "<|pad|>", special: true, lstrip: false, rstrip: false, single_word: false, normalized: false },
    9: { content: "<|end|>", special: true, lstrip: true, rstrip: false, single_word: false, normalized: true },
    10: { content: "tool", special: false, lstrip: false, rstrip: true, single_word: true, normalized: false },
  },
};

describe("what the small files say", () => {
  it.each(formats)("%s: settings come back as they were", (format) => {
    const tokenizer = load(letters, chat);
    const again = reload(saveTokenizer(tokenizer, format));
    const { bosId, eosId, unkId, padId, addsBos, addsEos, chatTemplate, vocabularySize } = tokenizer;
    expect(again).toMatchObject({ bosId, eosId, unkId, padId, addsBos, addsEos, chatTemplate, vocabularySize });
    for (const text of ["a ab<|end|>a", " tool  ab", "atool", "a  <|end|><|pad|> b", "a", " a"]) {
      for (const parseSpecial of [false, true]) {
        const ids = tokenizer.encode(text, { parseSpecial });
        expect([text, ...again.encode(text, { parseSpecial })]).toEqual([text, ...ids]);
      }
    }
  });

  it("the class of transformers that gives the same ids, and the settings under its names", () => {
    const tokenizer = load(letters, chat);
    const [model, tokens] = formats.map((format) => saveTokenizer(tokenizer, format, { modelMaxLength: 2048 }));
    expect(json(model!, "tokenizer_config.json")).toMatchObject({
      tokenizer_class: "LlamaTokenizer",
      add_bos_token: true,
      add_eos_token: true,
      bos_token: "<s>",
      eos_token: "<|end|>",
      unk_token: "<unk>",
      pad_token: "<|pad|>",
      legacy: false,
      clean_up_tokenization_spaces: false,
      model_max_length: 2048,
      chat_template: "{{ messages }}",
    });
    expect(json(tokens!, "tokenizer_config.json")).toMatchObject({ tokenizer_class: "PreTrainedTokenizerFast" });
    expect(json(model!, "special_tokens_map.json")).toEqual({
      bos_token: "<s>",
      eos_token: "<|end|>",
      unk_token: "<unk>",
      pad_token: "<|pad|>",
    });
    expect(json(model!, "added_tokens.json")).toEqual({ "<|pad|>": 8, "<|end|>": 9, tool: 10 });
    expect([...tokens!.keys()]).toEqual(["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]);
  });

  it("a model alone: no BOS unless asked for, no padding, every stretch with its space", () => {
    const files = saveTokenizer(load(letters), "sentencepiece");
    expect([...files.keys()]).toEqual(["tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"]);
    const config = json(files, "tokenizer_config.json");
    expect(config).toMatchObject({ add_bos_token: false, pad_token: null, legacy: true });
    expect(config).not.toHaveProperty("model_max_length");
    expect(config).not.toHaveProperty("chat_template");
  });

  it("a special piece that the settings call by another name has that name", () => {
    const token = { content: "<|start|>", special: true, lstrip: false, rstrip: false, single_word: false };
    const config = { bos_token: "<|start|>", add_bos_token: true, added_tokens_decoder: { 1: token } };
    const again = reload(saveTokenizer(load(letters, config), "huggingface"));
    expect([again.bosId, again.idOf("<|start|>"), again.idOf("<s>")]).toEqual([1, 1, -1]);
    expect([...again.encode("<|start|>a", { parseSpecial: true })]).toEqual([1, 7]);
  });
});

describe("pieces with odd spellings", () => {
  it("quotes, escapes, and what a list of merges takes for its first line", () => {
    const characters = [..."#version\"\\\n\u2581"].map((spelling) => ({ spelling, score: -50 }));
    const made = ["#v", "er", "si", "on", "#ver", "sion", "#version", "#version\"", "\"\\", "\\\n"];
    const tokenizer = load([...characters, ...made.map((spelling, i) => ({ spelling, score: -i }))]);
    const again = reload(saveTokenizer(tokenizer, "huggingface"));
    for (const text of ["#version", "#version\"", "x\\\n\"\\\n", "#version #version\""]) {
      expect([text, ...again.encode(text)]).toEqual([text, ...tokenizer.encode(text)]);
    }
  });
});

describe("what a format cannot hold is refused by name", () => {
  const refuse = (pieces: readonly Piece[], config = {}, options: ModelOptions = {}): string =>
    refusal(() => saveTokenizer(load(pieces, config, options), "huggingface"));

  it("pieces that only sentencepiece can make", () => {
    const piece = { spelling: "a\u00e9" };
    expect(refuse([...letters, piece])).toMatch(/^unsupported-model: .*"a\u00e9" with a character that is no piece/);
  });

  it("equal scores of pieces that want the same symbols, but not runs and not strangers", () => {
    const tie = [..."abc\u2581"].map((spelling) => ({ spelling }));
    const made = (...spellings: string[]): Piece[] => spellings.map((spelling) => ({ spelling, score: -1 }));
    expect(refuse([...tie, ...made("ab", "bc")])).toMatch(/"ab" and "bc"|"bc" and "ab"/);
    expect(refuse([...tie, ...made("ab", "aba")])).toMatch(/different scores/);
    // "ab" leads to "abc" at once, so that "cd" comes too late; listed first it would come before.
    const early = [{ spelling: "d" }, ...made("cd", "ab"), { spelling: "abc", score: 2 }];
    expect(refuse([...tie, ...early])).toMatch(/different scores/);
    expect(refuse([...tie, ...made("aa", "aaa"), { spelling: "aaab", score: 2 }])).toMatch(/different scores/);
    expect(refuse([...tie, ...made("ab", "c\u2581")])).toBe("none");
    expect(refuse([...tie, ...made(...[2, 3, 5].map((count) => "\u2581".repeat(count)))])).toBe("none");
  });

  it("normalisation, spaces after the text, and a first space where spaces are removed", () => {
    const removed = { removeExtraWhitespaces: true };
    expect(refuse(letters, { legacy: false }, removed)).toMatch(/legacy to be true/);
    expect(refuse(letters, { legacy: true }, removed)).toBe("none");
    const pieces = [...special, ...letters].map(({ spelling, score = 0, kind = 1 }) =>
      field(1, [...field(1, [...Buffer.from(spelling)]), 0x15, ...floatBytes(score), 0x18, kind]),
    );
    const suffix = Uint8Array.from([...pieces.flat(), ...field(2, [0x18, 2, 0xc0, 1, 1])]);
    expect(refusal(() => saveTokenizer(loadTokenizer(suffix), "huggingface"))).toMatch(/the dummy space before a text/);
  });

  it("added tokens that contradict the pieces", () => {
    const token = { special: true, lstrip: false, rstrip: false, single_word: false };
    expect(refuse(letters, { added_tokens_decoder: { 3: { ...token, content: "z" } } })).toMatch(/got "z" for id 3/);
    expect(refuse(letters, { added_tokens_decoder: { 8: { ...token, content: "ab" } } })).toMatch(/got "ab" for id 8/);
  });

  it("a tokenizer of another make", () => {
    const foreign = { ...load(letters) } as unknown as Tokenizer;
    expect(refusal(() => saveTokenizer(foreign, "huggingface"))).toMatch(/^bad-option: /);
  });
});

describe("tokenizer.json as a model", () => {
  const llama = {
    added_tokens: special.map(({ spelling }, id) => ({ id, content: spelling, special: true, normalized: false })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "\u2581" },
        { type: "Replace", pattern: { String: " " }, content: "\u2581" },
      ],
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "\u2581" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
  };
  const names = [...special, ...byteNames].map(({ spelling }) => spelling);
  const save = (pieces: readonly string[], merges: readonly string[], changes = {}, model = {}): Tokenizer => {
    const vocab = Object.fromEntries([...names, ...pieces].map((piece, id) => [piece, id]));
    const options = { type: "BPE", unk_token: "<unk>", fuse_unk: true, byte_fallback: true };
    const file = { version: "1.0", ...llama, ...changes, model: { ...options, ...model, vocab, merges } };
    return reload(saveTokenizer(loadTokenizer(Buffer.from(JSON.stringify(file))), "sentencepiece"));
  };
  const pieces = ["a", "b", "c", "\u2581", "ab", "bc", "abc"];
  const metaspace = { type: "Metaspace", replacement: "\u2581", prepend_scheme: "first", split: false };
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: false };

  it("scores say the order of merges, whatever the ids say", () => {
    const some = pieces.filter((piece) => piece !== "abc");
    const spelled = (tokenizer: Tokenizer): string =>
      Array.from(tokenizer.encode("abc bcab"), (id) => tokenizer.pieces[id]).join("|");
    expect(spelled(save(some, ["b c", "a b"]))).toBe("\u2581|a|bc|\u2581|bc|ab");
    expect(spelled(save(some, ["a b", "b c"]))).toBe("\u2581|ab|c|\u2581|bc|ab");
    expect(spelled(save(pieces, ["b c", "a b", "ab c", "a bc"]))).toBe("\u2581|abc|\u2581|bc|ab");
  });

  it.each([
    ["a piece that no merge makes, but spellings would", ["a b"], {}, {}, /got others for "bc"/],
    ["ignore_merges", ["a b", "b c", "ab c"], {}, { ignore_merges: true }, /ignore_merges/],
    [
      "no dummy space but a decoder that takes one",
      ["a b", "b c", "ab c"],
      { normalizer: llama.normalizer.normalizers[1] },
      {},
      /decoder/,
    ],
    ["a decoder that keeps it", ["a b", "b c", "ab c"], { decoder: { type: "Fuse" } }, {}, /decoder/],
    [
      "Metaspace, which leaves out the dummy space before a space",
      ["a b", "b c", "ab c"],
      { normalizer: null, pre_tokenizer: metaspace },
      {},
      /Metaspace/,
    ],
    ["bytes", [], { pre_tokenizer: byteLevel }, { byte_fallback: false }, /byte-level/],
  ] as const)("refused: %s", (_, merges, changes, model, message) => {
    expect(refusal(() => save(pieces, merges, changes, model))).toMatch(message);
  });
});

function floatBytes(value: number): number[] {
  return [...new Uint8Array(Float32Array.of(value).buffer)];
}
