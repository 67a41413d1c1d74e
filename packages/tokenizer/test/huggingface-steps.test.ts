import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadTokenizer, type Tokenizer } from "../src/index.ts";
import { addedToken, type Fields, jsonBytes, jsonFile } from "./json-files.ts";
import { byteNames, modelBytes, readGolden, special } from "./support.ts";

// The ids and texts of hand-made files here are those of Hugging Face tokenizers 0.23.2, unless another rule is named.

function load(model: Fields, fields: Fields = {}): Tokenizer {
  return loadTokenizer(jsonBytes(jsonFile(model, fields)));
}

const parsed = (tokenizer: Tokenizer, text: string): number[] => [...tokenizer.encode(text, { parseSpecial: true })];
const metaspace = (fields: Fields = {}): Fields => ({
  type: "Metaspace",
  replacement: "\u2581",
  prepend_scheme: "always",
  split: true,
  ...fields,
});
const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true };
const space = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
const prepend = { type: "Prepend", prepend: "\u2581" };
const sequence = (name: string, ...steps: Fields[]): Fields => ({ type: "Sequence", [name]: steps });

describe("words", () => {
  const vocab = { "<unk>": 0, a: 1, b: 2, c: 3, "\u2581": 4, ab: 5, "\u2581c": 6, d: 7, "\u2581da": 8, "b\u2581": 9 };
  const merges = [["a", "b"], ["\u2581", "c"], ["b", "\u2581"]];
  const added_tokens: Fields[] = [];

  it("that are pieces stay whole if the file says so", () => {
    const model = { vocab, merges, ignore_merges: true };
    expect(parsed(load(model, { pre_tokenizer: metaspace(), added_tokens }), "da da b c")).toEqual([8, 8, 4, 2, 6]);
    const whole = load(model, { added_tokens });
    expect([parsed(whole, " da"), parsed(whole, " da da")]).toEqual([[8], [4, 7, 1, 4, 7, 1]]);
  });

  it("end at spaces or do not", () => {
    const split = load({ vocab, merges }, { pre_tokenizer: metaspace(), added_tokens });
    const joined = load({ vocab, merges }, { pre_tokenizer: metaspace({ split: false }), added_tokens });
    expect([parsed(split, "b b c"), parsed(joined, "b b c")]).toEqual([[4, 2, 4, 2, 6], [4, 9, 2, 6]]);
  });

  it("of bytes without pieces", () => {
    const model = { vocab: { "<unk>": 0, a: 1, "\u4e2d": 2, "\u0120": 3 }, merges: [] };
    const steps = { normalizer: null, pre_tokenizer: byteLevel, decoder: byteLevel, added_tokens };
    const fused = load({ ...model, fuse_unk: true }, steps);
    expect(parsed(fused, "axya \u00e9")).toEqual([1, 0, 1, 3, 0]);
    expect(parsed(load(model, steps), "axya \u00e9")).toEqual([1, 0, 0, 1, 3, 0, 0]);
    // A piece outside of the alphabet has an id and a text, and no text has it.
    expect([fused.pieces[2], fused.idOf("\u4e2d"), fused.decode([2, 1, 3])]).toEqual(["\u4e2d", 2, "\u4e2da "]);
    expect(parsed(fused, "\u4e2d")).toEqual([0]);
  });
});

describe("dummy spaces", () => {
  it("as many as the file says", () => {
    const normalizer = sequence("normalizers", prepend, prepend, space);
    expect(parsed(load({}, { normalizer }), "a")).toEqual([4, 4, 1]);
  });

  it("before the first stretch, whatever it begins with", () => {
    const first = metaspace({ replacement: " ", prepend_scheme: "first", split: false });
    const steps = sequence("pretokenizers", first, metaspace({ prepend_scheme: "never", split: false }));
    const tokenizer = load({}, { pre_tokenizer: steps });
    expect(parsed(tokenizer, "a<s>a")).toEqual([4, 1, 8, 1]);
    expect([parsed(tokenizer, " a"), parsed(tokenizer, "")]).toEqual([[4, 4, 1], []]);
  });

  it("none for a text that continues another", () => {
    for (const fields of [{ normalizer: sequence("normalizers", prepend, space) }, { pre_tokenizer: metaspace() }]) {
      const tokenizer = load({}, fields);
      expect([...tokenizer.encode("a")]).toEqual([4, 1]);
      expect([...tokenizer.encode("a", { addPrefixSpace: false })]).toEqual([1]);
    }
  });
});

describe("added tokens", () => {
  it("take white space along, which the \u2581 of normalized text is not", () => {
    const token = addedToken(8, "<x>", { normalized: true, lstrip: true, rstrip: true });
    const tokenizer = load({}, { added_tokens: [token] });
    expect(parsed(tokenizer, "a  <x>  b \n<x>\n b")).toEqual([1, 4, 4, 8, 4, 4, 2, 4, 8, 4, 2]);
  });

  it("are not found in plain ranges, and elsewhere they are", () => {
    for (const normalized of [false, true]) {
      const normalizer = sequence("normalizers", { type: "Replace", pattern: { String: "aa" }, content: "a" }, space);
      const tokenizer = load({}, { normalizer, added_tokens: [addedToken(8, "dd", { normalized })] });
      const encode = (...plainRanges: { start: number; end: number }[]): number[] => [
        ...tokenizer.encode("aaddbddcdd", { parseSpecial: true, plainRanges }),
      ];
      expect(encode()).toEqual([1, 8, 2, 8, 3, 8]);
      expect(encode({ start: 0, end: 2 }, { start: 4, end: 5 })).toEqual([1, 8, 2, 8, 3, 8]);
      expect(encode({ start: 6, end: 7 })).toEqual([1, 8, 2, 7, 7, 3, 8]);
      expect(encode({ start: 3, end: 4 }, { start: 7, end: 9 })).toEqual([1, 7, 7, 2, 8, 3, 7, 7]);
    }
  });

  it("of tokenizer_config.json replace those of the file", () => {
    const files = (added_tokens_decoder: Fields, fields: Fields = {}): Tokenizer =>
      loadTokenizer({ model: jsonBytes(jsonFile()), config: jsonBytes({ added_tokens_decoder, ...fields }) });
    expect(parsed(files({ 8: { content: "dd" } }), "<s>dd")).toEqual([0, 0, 0, 8]);
    const moved = files({ 9: { content: "<s>", special: true } }, { bos_token: "<s>", add_bos_token: true });
    expect([parsed(moved, "<s>a"), moved.bosId, moved.addsBos, moved.pieces[8]]).toEqual([[9, 1], 9, true, ""]);
    expect([...moved.encode("a", { addBos: true })]).toEqual([9, 1]);
  });
});

describe("decoding", () => {
  it("a character goes on across a special token that is left out", () => {
    const bytes = byteNames.map(({ spelling }, i) => [spelling, i + 1]);
    const model = { vocab: { "<unk>": 0, ...Object.fromEntries(bytes), a: 257 }, merges: [], byte_fallback: true };
    const decoder = sequence("decoders", { type: "ByteFallback" }, { type: "Fuse" });
    const tokenizer = load(model, { decoder, added_tokens: [addedToken(258, "<s>")] });
    const ids = [0xc3 + 1, 258, 0xa9 + 1];
    expect(tokenizer.decode(ids)).toBe("\u00e9");
    expect(tokenizer.decode(ids, { skipSpecial: false })).toBe("\ufffd<s>\ufffd");
  });

  it("special tokens are left out even if normalization changes their spelling, which the original writes", () => {
    const token = addedToken(8, "<x>", { normalized: true });
    const tokenizer = load({}, { normalizer: sequence("normalizers", prepend, space), added_tokens: [token] });
    expect(parsed(tokenizer, "<x>a")).toEqual([8, 1]);
    expect([tokenizer.decode([8, 1]), tokenizer.decode([8, 1], { skipSpecial: false })]).toEqual(["a", " <x>a"]);
  });

  it("steps in an order that nothing is known of are refused", () => {
    const replace = { type: "Replace", pattern: { String: "\u2581" }, content: " " };
    for (const decoder of [
      sequence("decoders", { type: "Fuse" }, replace),
      sequence("decoders", { type: "ByteFallback" }, replace),
      sequence("decoders", metaspace(), { type: "Fuse" }),
      sequence("decoders", { type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 1 }),
      sequence("decoders", { type: "Strip", content: " ", start: 1, stop: 0 }),
    ]) {
      expect(() => load({}, { decoder })).toThrow(/expected a decoder of Replace, ByteFallback, Fuse and Strip/);
    }
  });
});

describe("files", () => {
  it("may have their sections in any order", () => {
    const { model, ...others } = jsonFile({}, { pre_tokenizer: metaspace() });
    const { merges, ...rest } = model as Fields;
    const first = loadTokenizer(jsonBytes({ model: { merges, ...rest }, ...others }));
    const last = loadTokenizer(jsonBytes({ ...others, model }));
    expect([...first.encode("ab c d")]).toEqual([4, 5, 6, 4, 7]);
    expect(last.encode("ab c d")).toEqual(first.encode("ab c d"));
  });

  it("a model whose first piece makes it begin with a newline and a brace is no JSON", () => {
    const bytes = modelBytes([{ spelling: "x".repeat(114) }, ...special]);
    expect([...bytes.subarray(0, 2)]).toEqual([0x0a, 0x7b]);
    expect(loadTokenizer(bytes).vocabularySize).toBe(4);
  });
});

describe("offsets", () => {
  const { cases } = readGolden<{ cases: { name: string; files: Record<string, string> }[] }>("huggingface-small.json");
  const names = /^(llama-2|metaspace-first-split|qwen-2|normalizer-(nfc|nfkc|strip|lowercase|nested)|added-.*)$/;
  const fragments = ["a", "the", " ", "  ", "\n", "e\u0301", "\u00e9", "\u{1F600}", "\ud83d", "\u4e2d", "<s>", "<a>", "K"];
  const anyText = fc.array(fc.constantFrom(...fragments), { maxLength: 12 }).map((parts) => parts.join(""));

  it("of a dummy space are empty, after what was removed too", () => {
    const normalizer = { type: "Replace", pattern: { String: "dd" }, content: "" };
    const added_tokens = [addedToken(8, "<x>", { normalized: true })];
    const tokenizer = load({}, { normalizer, pre_tokenizer: metaspace(), added_tokens });
    const { ids, starts, ends } = tokenizer.encodeWithOffsets("<x>dda", { parseSpecial: true });
    expect([[...ids], [...starts], [...ends]]).toEqual([[8, 4, 1], [0, 5, 5], [3, 5, 6]]);
  });

  it.each(cases.filter(({ name }) => names.test(name)).map(({ name, files }) => [name, files] as const))(
    "%s: ids are the same, and ranges ascend inside the text",
    (name, files) => {
      const tokenizer = loadTokenizer(new TextEncoder().encode(files["tokenizer.json"]));
      fc.assert(
        fc.property(anyText, fc.boolean(), (text, parseSpecial) => {
          const { ids, starts, ends } = tokenizer.encodeWithOffsets(text, { parseSpecial });
          expect(ids).toEqual(tokenizer.encode(text, { parseSpecial }));
          for (let i = 0; i < ids.length; i++) {
            expect(starts[i]! <= ends[i]! && ends[i]! <= text.length).toBe(true);
            // A token inside of the white space that the one before it took along begins before that one's end.
            if (i > 0 && name !== "added-overlapping") expect(starts[i]! >= starts[i - 1]!).toBe(true);
          }
        }),
        { numRuns: 60 },
      );
    },
  );
});
