import { describe, expect, it } from "vitest";
import { loadTokenizer, type TokenizerFiles } from "../src/index.ts";
import { addedToken, addedTokens, exercise, type Fields, jsonBytes, jsonFile, outcome } from "./json-files.ts";

const utf8 = new TextEncoder();
const text = (content: string): Uint8Array => utf8.encode(content);
const model = (fields: Fields): Uint8Array => jsonBytes(jsonFile(fields));
const file = (fields: Fields): Uint8Array => jsonBytes(jsonFile({}, fields));
const vocabulary = (vocab: Fields, merges: unknown = []): Uint8Array => model({ vocab, merges });
const template = (fields: Fields): Uint8Array => file({ post_processor: { type: "TemplateProcessing", ...fields } });
const added = (...tokens: Fields[]): Uint8Array => file({ added_tokens: tokens });
/** The good file with one part of its text replaced. */
function replaced(from: string, to: string): Uint8Array {
  const good = JSON.stringify(jsonFile());
  expect(good).toContain(from);
  return utf8.encode(good.replace(from, to));
}

describe("JSON that breaks its grammar", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["no model", text("{}"), /expected a field "model"/],
    ["text after the end", text(`${JSON.stringify(jsonFile())} x`), /expected the end of the file, got "x"/],
    ["an open object", text('{"model"'), /expected a colon, got the end of the file/],
    ["a comma too many", replaced('"a":1,', '"a":1,,'), /expected a key, got ","/],
    ["a key without quotes", replaced('"a":1', "a:1"), /expected a key, got "a", at model\.vocab/],
    ["a missing comma", replaced('"a":1,', '"a":1 '), /expected a comma or }, got """, at model\.vocab\.a/],
    ["a missing comma in an array", replaced('"a b",', '"a b"'), /expected a comma or \], .* at model\.merges\[0\]/],
    ["nesting", text(`{"x":${"[".repeat(100_000)}`), /expected at most 64 levels/],
    ["nesting of objects", text('{"x":'.repeat(100_000)), /expected at most 64 levels/],
    ["an open string", text('{"model'), /expected UTF-8 up to a closing quote, got the end of the file/],
    ["a control character", replaced('"a b"', '"a\nb"'), /expected UTF-8 up to a closing quote, got byte 0xa/],
    ["an escape of no meaning", replaced('"a b"', String.raw`"a\x b"`), /expected an escape of JSON/],
    ["a short escape", replaced('"a b"', String.raw`"a\u12 b"`), /expected an escape of JSON/],
    ["a lone surrogate", replaced('"ab":5', String.raw`"\ud83d":5`), /surrogates in pairs, .* at model\.vocab/],
    ["surrogates in the wrong order", replaced('"ab":5', String.raw`"\ude00\ud83d":5`), /surrogates in pairs/],
    ["invalid UTF-8", Uint8Array.of(...text('{"a'), 0xc3, ...text('":1}')), /expected UTF-8/],
    ["an encoded surrogate", Uint8Array.of(...text('{"a'), 0xed, 0xa0, 0x80, ...text('":1}')), /expected UTF-8/],
    ["a word", replaced("null", "nul"), /expected null/],
    ["a number", replaced("null", "-"), /expected a number/],
    ["a number with a zero in front", replaced("null", "01"), /expected a comma or }/],
    ["a section twice", text('{"model":{},"model":{}}'), /expected a vocab|got one again/],
    ["a field twice", replaced('"type":"BPE"', '"type":"BPE","type":"BPE"'), /fields that differ, .* at model\.type/],
  ];
  it.each(cases)("%s", (_, bytes, message) => {
    expect(() => loadTokenizer(bytes)).toThrow(message);
    expect(outcome(bytes)).toBe("malformed-model");
  });

  it("names the file, the path and the byte", () => {
    const bytes = replaced('"d":7', '"d":"7"');
    const position = Buffer.from(bytes).indexOf('"7"');
    const data = { file: "tokenizer.json", path: "model.vocab.d", position };
    expect(() => loadTokenizer(bytes)).toThrow(expect.objectContaining({ data }));
  });
});

describe("a tokenizer.json that contradicts itself", () => {
  const huge = { ...addedToken(9, "x"), id: 2 ** 20 };
  const cases: [string, Uint8Array, RegExp][] = [
    ["a list as model", text('{"model":[]}'), /expected an object, got "\[", at model/],
    ["a list as vocabulary", model({ vocab: [["a", 0]] }), /expected an object, got "\["/],
    ["an object as merges", model({ merges: {} }), /expected an array, got "\{"/],
    ["no vocabulary", model({ vocab: undefined, merges: undefined }), /expected a vocab in the model/],
    ["an id that is a string", vocabulary({ a: "0" }), /expected a number, got """/],
    ["an id below zero", vocabulary({ a: -1 }), /whole number of 0 to \d+, got -1/],
    ["an id with a fraction", replaced('"a":1', '"a":1.0'), /whole number of 0 to \d+, got 1\.0/],
    ["an id with an exponent", replaced('"a":1', '"a":1e0'), /whole number of 0 to \d+, got 1e0/],
    ["an id of 2^20", vocabulary({ a: 2 ** 20 }), /whole number of 0 to \d+, got 1048576/],
    ["an id of many digits", replaced('"a":1', `"a":${"9".repeat(5000)}`), /whole number of 0 to \d+, got 9{40}/],
    ["a piece twice", replaced('"a":1', '"d":1'), /pieces that differ, got that of id 7 again/],
    ["a piece twice, once with escapes", replaced('"a":1', String.raw`"\u0064":1`), /got that of id 7 again/],
    ["an id twice", vocabulary({ a: 0, b: 0 }), /a different id for each piece, got 0 again/],
    ["unused ids", vocabulary({ a: 0, b: 65_538 }), /at most 65536 unused ids|whole number of 0 to/],
    ["a long piece", vocabulary({ ["a".repeat(70_000)]: 0 }), /pieces of at most 65536 bytes/],
    [
      "a merge of an unknown piece",
      model({ merges: ["a x"] }),
      /a piece of the vocabulary, got "x", at model\.merges\[0\]/,
    ],
    [
      "a merge into none",
      model({ merges: ["a b", "b a"] }),
      /into a piece of the vocabulary, got "ba", at model\.merges\[1\]/,
    ],
    ["a merge of one", model({ merges: ["ab"] }), /two pieces with one space between/],
    ["a merge of three", model({ merges: ["a b c"] }), /two pieces with one space between/],
    ["a list of one", model({ merges: [["a"]] }), /expected two pieces, got 1/],
    ["a list of three", model({ merges: [["a", "b", "c"]] }), /expected two pieces, got more/],
    ["a merge of nothing", model({ merges: [" b"] }), /expected two pieces, got an empty one/],
    ["a list with an empty piece", model({ merges: [["a", ""]] }), /expected two pieces, got an empty one/],
    ["a number as merge", model({ merges: [5] }), /expected an array, got "5", at model\.merges\[0\]/],
    ["an unk_token without id", model({ unk_token: "none" }), /unk_token "none" in the vocabulary/],
    ["an unk_token that is a number", model({ unk_token: 0 }), /expected a string, got "0", at model\.unk_token/],
    ["a flag that is a number", model({ fuse_unk: 1 }), /expected true or false, got "1", at model\.fuse_unk/],
    ["added tokens in an object", file({ added_tokens: {} }), /expected an array/],
    ["an added token without id", added({ content: "x" }), /an added token with id and content/],
    ["an added token without content", added({ id: 8 }), /an added token with id and content/],
    ["an empty added token", added(addedToken(8, "")), /an added token of some characters/],
    ["an added id twice", added(addedToken(8, "x"), addedToken(8, "y")), /id for each added token, got 8 again/],
    ["an added token twice", added(addedToken(8, "x"), addedToken(9, "x")), /added tokens that differ/],
    ["an added id of 2^20", added(huge), /whole number of 0 to 1048575, got 1048576/],
    ["an added id far away", added(addedToken(80_000, "x")), /"x" to have an id of at most 65545, got 80000/],
    [
      "an added token in the place of a piece",
      added(addedToken(1, "x")),
      /to have an id that no other piece has, got 1/,
    ],
    [
      "an added token with another id",
      added(addedToken(9, "a")),
      /to have id 1, which the vocabulary has for it, got 9/,
    ],
    ["a flag of an added token", added(addedToken(8, "x", { special: 1 })), /expected true or false, .*\[0\]\.special/],
    ["very many added tokens", file({ added_tokens: addedTokens(270_000) }), /at most 262144 added/],
    ["a long added token", added(addedToken(8, "x".repeat(2 ** 21 + 1))), /at most 2097152 characters together/],
    ["a normalizer that is a string", file({ normalizer: "NFC" }), /expected an object at normalizer/],
    ["a normalizer without type", file({ normalizer: {} }), /expected a field "type" at normalizer/],
    ["a sequence without list", file({ normalizer: { type: "Sequence" } }), /a field "normalizers" at normalizer/],
    [
      "a Replace without pattern",
      file({ normalizer: { type: "Replace", content: "" } }),
      /a field "pattern" at normalizer/,
    ],
    [
      "a template with a huge id",
      file({ post_processor: { type: "BertProcessing", cls: ["a", 99], sep: ["b", 1] } }),
      /ids below 9, got 99/,
    ],
    [
      "a template without ids",
      template({ single: [{ SpecialToken: { id: "__proto__" } }], special_tokens: {} }),
      /a field "__proto__" at post_processor\.special_tokens/,
    ],
    ["very many values", file({ post_processor: Array.from({ length: 20_000 }, () => 0) }), /at most 16384 values/],
  ];
  it.each(cases)("%s", (_, bytes, message) => {
    expect(() => loadTokenizer(bytes)).toThrow(message);
    expect(outcome(bytes)).toBe("malformed-model");
  });
});

describe("files of another kind", () => {
  const normalizers = (...steps: unknown[]): Uint8Array =>
    file({ normalizer: { type: "Sequence", normalizers: steps } });
  const sequence = Array.from({ length: 65 }, () => ({ type: "NFC" }));
  const doubling = { type: "Replace", pattern: { String: "a" }, content: "aaaaaaaa" };
  const processors = (...steps: unknown[]): Uint8Array =>
    file({ post_processor: { type: "Sequence", processors: steps } });
  const bert = { type: "BertProcessing", cls: ["a", 1], sep: ["b", 2] };
  const single = [{ Sequence: { id: "B", type_id: 0 } }];
  const cases: [string, Uint8Array, RegExp][] = [
    ["WordPiece", model({ type: "WordPiece" }), /a model of type BPE, got WordPiece/],
    ["Unigram", model({ type: "Unigram", vocab: [] }), /a model of type BPE, got Unigram/],
    ["WordLevel without type", model({ type: undefined, merges: undefined }), /a model of type BPE with merges/],
    ["dropout", model({ dropout: 0.1 }), /no dropout/],
    ["a prefix of pieces", model({ continuing_subword_prefix: "##" }), /no continuing_subword_prefix/],
    ["a suffix of words", model({ end_of_word_suffix: "</w>" }), /no end_of_word_suffix/],
    ["another version", file({ version: "2.0" }), /version 1\.0, got "2\.0"/],
    ["merges of the unk_token", model({ unk_token: "a" }), /no merges of the unk_token, got one of id 1/],
    ["Precompiled", normalizers({ type: "Precompiled" }), /at normalizer\.normalizers\[0\], got Precompiled/],
    [
      "a Regex",
      normalizers({ type: "Replace", pattern: { Regex: "(a+)+$" }, content: "" }),
      /got the Regex "\(a\+\)\+\$"/,
    ],
    ["a long replacement", normalizers({ ...doubling, content: "a".repeat(65) }), /content of at most 64 code units/],
    ["very many steps", normalizers(...sequence), /at most 64 steps/],
    [
      "steps that fill memory",
      normalizers(...Array.from({ length: 20 }, () => doubling)),
      /at most 32 code units for each/,
    ],
    [
      "a pre-tokenizer",
      file({ pre_tokenizer: { type: "Whitespace" } }),
      /Metaspace, .* at pre_tokenizer, got Whitespace/,
    ],
    [
      "ByteLevel before others",
      file({ pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "ByteLevel" }, { type: "Digits" }] } }),
      /ByteLevel as the last/,
    ],
    [
      "a Metaspace of another sign",
      file({ pre_tokenizer: { type: "Metaspace", replacement: "_" } }),
      /replacement ▁ .*, got "_"/,
    ],
    ["a post-processor", file({ post_processor: { type: "Other" } }), /at post_processor, got Other/],
    [
      "a template of B",
      file({ post_processor: { type: "TemplateProcessing", single } }),
      /the sequence A at post_processor\.single\[0\]/,
    ],
    [
      "a template of nothing",
      file({ post_processor: { type: "TemplateProcessing", single: [] } }),
      /the sequence once .* got it 0 times/,
    ],
    ["two templates", processors(bert, bert), /expected one template/],
    ["a decoder", file({ decoder: { type: "WordPiece" } }), /at decoder, got WordPiece/],
  ];
  it.each(cases)("%s", (_, bytes, message) => {
    expect(() => exercise(loadTokenizer(bytes))).toThrow(message);
    expect(outcome(bytes)).toBe("unsupported-model");
  });
});

describe("odd files that are good", () => {
  const good = jsonFile();
  const { model: last, ...others } = good;
  const cases: [string, Uint8Array][] = [
    ["the file that the cases above are made from", jsonBytes(good)],
    ["a byte order mark", Uint8Array.of(0xef, 0xbb, 0xbf, ...jsonBytes(good))],
    ["white space everywhere", text(JSON.stringify(good, null, "\r\n\t "))],
    ["the model first", jsonBytes({ model: last, ...others })],
    ["merges before the vocabulary", jsonBytes({ ...others, model: { merges: ["a b"], ...(last as Fields) } })],
    ["no type", model({ type: undefined })],
    ["escapes in every string", utf8.encode(escaped(JSON.stringify(good)))],
    ["an empty piece", vocabulary({ "<unk>": 0, a: 1, "": 2 })],
    ["a first line of merges.txt", model({ merges: ["#version: 0.2", "a b"] })],
    ["unused ids", vocabulary({ "<unk>": 0, a: 10, b: 300 })],
    ["ids in no order", vocabulary({ b: 2, "<unk>": 0, ab: 1, a: 3 }, ["a b"])],
    ["an added id beyond a gap", added(addedToken(5000, "x"))],
    ["no unk_token", model({ unk_token: null })],
    ["byte_fallback without bytes", model({ byte_fallback: true })],
    ["one byte", vocabulary({ "<unk>": 0, "<0x41>": 1 })],
    [
      "names of Object.prototype",
      text(JSON.stringify(good).replace('"d":7', '"__proto__":7,"constructor":9,"toString":10')),
    ],
  ];
  it.each(cases)("%s", (_, bytes) => {
    const tokenizer = loadTokenizer(bytes);
    exercise(tokenizer);
    for (const piece of ["a", "<unk>", "__proto__", "constructor", "x"]) {
      const id = tokenizer.idOf(piece);
      if (id >= 0) expect(tokenizer.pieces[id]).toBe(piece);
    }
  });

  it("pieces keep the ids of the file", () => {
    const tokenizer = loadTokenizer(vocabulary({ b: 2, "<unk>": 0, ab: 7, a: 3 }, ["a b"]));
    expect([...tokenizer.encode("abba")]).toEqual([7, 2, 3]);
    expect(tokenizer.pieces).toEqual(["<unk>", "", "b", "a", "", "", "", "ab", "<s>"]);
  });

  it("an object's own names are pieces like others", () => {
    const vocab = '{"<unk>":0,"__proto__":1,"_":2}';
    const bytes = text(JSON.stringify(jsonFile({ merges: [] })).replace(/"vocab":\{[^}]*\}/, `"vocab":${vocab}`));
    const tokenizer = loadTokenizer(bytes);
    expect([tokenizer.idOf("__proto__"), tokenizer.idOf("constructor")]).toEqual([1, -1]);
    expect(tokenizer.pieces[1]).toBe("__proto__");
  });
});

function escaped(json: string): string {
  const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return json.replace(/"[^"]*"/g, (quoted) => `"${Array.from(quoted.slice(1, -1), escape).join("")}"`);
}

describe("the files beside a vocabulary", () => {
  const json = jsonBytes(jsonFile());
  const config = (fields: unknown): TokenizerFiles => ({ model: json, config: jsonBytes(fields) });
  const cases: [string, TokenizerFiles, RegExp][] = [
    ["a list", { model: json, config: text("[]") }, /tokenizer_config\.json: expected an object/],
    ["a name that is a number", config({ bos_token: 1 }), /expected an object, got "1", at bos_token/],
    ["a name without content", config({ eos_token: {} }), /expected a token with content, at eos_token/],
    ["a flag that is a string", config({ add_bos_token: "yes" }), /expected true or false, .* at add_bos_token/],
    [
      "an id that is no number",
      config({ added_tokens_decoder: { x: {} } }),
      /expected ids of 0 to 1048575, at added_tokens_decoder\.x/,
    ],
    ["an id of 2^20", config({ added_tokens_decoder: { 1048576: {} } }), /expected ids of 0 to 1048575/],
    ["a token without content", config({ added_tokens_decoder: { 9: {} } }), /an added token with id and content/],
    ["a template that is a number", config({ chat_template: 5 }), /expected an array, got "5", at chat_template/],
    ["a long template", config({ chat_template: "x".repeat(2 ** 20 + 1) }), /a string of at most 1048576 bytes/],
    ["nesting", config({ x: JSON.parse(`${"[".repeat(70)}${"]".repeat(70)}`) }), /at most 64 levels/],
    [
      "a special_tokens_map.json",
      { model: json, specialTokensMap: text('{"pad_token":') },
      /special_tokens_map\.json: /,
    ],
    ["an added_tokens.json", { model: json, addedTokens: text('{"x":"y"}') }, /added_tokens\.json: expected a number/],
    [
      "a chat_template.jinja",
      { model: json, chatTemplate: Uint8Array.of(0xff) },
      /chat_template\.jinja: expected UTF-8/,
    ],
  ];
  it.each(cases)("%s", (_, files, message) => {
    expect(() => loadTokenizer(files)).toThrow(message);
    expect(outcome(files)).toBe("malformed-model");
  });
});
