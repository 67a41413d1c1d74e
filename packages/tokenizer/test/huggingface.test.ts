import { createHash } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { loadTokenizer, type Tokenizer } from "../src/index.ts";
import { hasData, loadData, readData, readDataText, readGolden } from "./support.ts";

type Range = readonly [start: number, end: number];
interface Encoded {
  readonly text: string;
  readonly ids: readonly number[];
  readonly offsets?: readonly Range[];
  readonly plainIds?: readonly number[];
}
interface Decoded {
  readonly ids: readonly number[];
  readonly text: string;
  readonly special?: string;
}
interface SmallCase {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly encode: readonly Encoded[];
  readonly withSpecial: readonly Encoded[];
  readonly decode: readonly Decoded[];
}

const utf8 = new TextEncoder();

function loadCase({ files }: SmallCase): Tokenizer {
  const config = files["tokenizer_config.json"];
  const model = utf8.encode(files["tokenizer.json"]);
  return loadTokenizer({ model, ...(config !== undefined && { config: utf8.encode(config) }) });
}

/** The originals always find special tokens in a text, and add those of the template unless told not to. */
function expectEncoding(tokenizer: Tokenizer, { text, ids, plainIds }: Encoded): void {
  expect([text, [...tokenizer.encode(text, { parseSpecial: true })]]).toEqual([text, ids]);
  expect([text, "plain", [...tokenizer.encode(text)]]).toEqual([text, "plain", plainIds ?? ids]);
  const plainRanges = [{ start: 0, end: text.length }];
  expect([...tokenizer.encode(text, { parseSpecial: true, plainRanges })]).toEqual(plainIds ?? ids);
}

function expectCompleted(tokenizer: Tokenizer, text: string, ids: readonly number[]): void {
  const { addsBos: addBos, addsEos: addEos } = tokenizer;
  expect([text, ...tokenizer.encode(text, { parseSpecial: true, addBos, addEos })]).toEqual([text, ...ids]);
}

function expectDecoding(tokenizer: Tokenizer, { ids, text, special = text }: Decoded): void {
  for (const [skipSpecial, expected] of [[true, text], [false, special]] as const) {
    if (!hasWholeCharacters(tokenizer, ids, skipSpecial)) continue;
    expect([ids, tokenizer.decode(ids, { skipSpecial })]).toEqual([ids, expected]);
    const stream = tokenizer.streamDecoder({ skipSpecial });
    expect(ids.map((id) => stream.push(id)).join("") + stream.flush()).toBe(expected);
  }
}

/** Whether every run of byte pieces is UTF-8. For any other the original's ByteFallback writes one U+FFFD per byte of
 *  the run; here, as for sentencepiece models, good characters stay and there is one per maximal subpart. */
function hasWholeCharacters(tokenizer: Tokenizer, ids: readonly number[], skipSpecial: boolean): boolean {
  const pieces = ids.filter((id) => !(skipSpecial && tokenizer.isSpecial(id))).map((id) => tokenizer.pieces[id]!);
  const runs = pieces.map((piece) => /^<0x([0-9A-F]{2})>$/.exec(piece)?.[1] ?? " ").join("");
  return runs.split(" ").every((run) => Buffer.from(run, "hex").toString("utf8").includes("\ufffd") === false);
}

/** The original counts in code points. */
function inUnits(text: string, ranges: readonly Range[]): Range[] {
  const units = [0];
  for (const character of text) units.push(units.at(-1)! + character.length);
  return ranges.map(([start, end]) => [units[start]!, units[end]!]);
}

/** Where ranges are wider here. Of characters that became one (NFC, a Replace of two) the original keeps the first or
 *  last, and ByteLevel trims white space. Removed characters belong to no id in both. */
const wider = /^normalizer-(nfc|nfkc|nested|strip-accents|replace|replace-regex)$|^qwen-2$|-trimmed$|-bytes$/;
/** Where the original's ranges drift, because it counts the pieces of characters that it left out or moved. */
const drifting = /^(no-unk|some-bytes-missing-.*|bytes-incomplete-alphabet|random-(2|5|10))$/;

function expectOffsets(tokenizer: Tokenizer, { text, offsets }: Encoded, name: string): void {
  if (offsets === undefined) return;
  const { starts, ends } = tokenizer.encodeWithOffsets(text, { parseSpecial: true });
  const ours = Array.from(starts, (start, i): Range => [start, ends[i]!]);
  const theirs = inUnits(text, offsets);
  for (const [start, end] of ours) expect(start <= end && end <= text.length).toBe(true);
  if (drifting.test(name)) return;
  const same = ours.map(([start, end], i): Range => {
    const [first, last] = theirs[i]!;
    // Of a dummy space the original says the character after it; here it has an empty range.
    const isDummy = start === end;
    const isWider = wider.test(name) && start <= first && last <= end;
    return isDummy || isWider ? [first, last] : [start, end];
  });
  expect([text, same]).toEqual([text, theirs]);
}

describe("tokenizers trained or put together for the test", () => {
  const { cases } = readGolden<{ cases: SmallCase[] }>("huggingface-small.json");

  /** What is refused, because it would cost every text or is in no published file. */
  const refused: Readonly<Record<string, RegExp>> = {
    "decoder-strip-both": /expected a decoder of .*, got Strip/,
    "decoder-strip-per-piece": /expected a decoder of .*, got Replace/,
    "decoder-metaspace-fallback": /expected a decoder of .*, got Metaspace/,
    "bytes-digits-together": /expected pre-tokenizers with the patterns of a known model .*, got "\\p{N}\+"/,
    "bytes-removed": /expected a Split that isolates .*, got Removed/,
    "bytes-merged-with-previous": /expected a Split that isolates .*, got MergedWithPrevious/,
    "bytes-merged-with-next": /expected a Split that isolates .*, got MergedWithNext/,
    "bytes-contiguous": /expected a Split that isolates .*, got Contiguous/,
    "bytes-string-pattern": /expected a Split at a Regex .*, got a String/,
    "bytes-split-then-prefix": /expected no add_prefix_space after other pre-tokenizers/,
  };

  it("refuses by name what it cannot do", () => {
    for (const [name, message] of Object.entries(refused)) {
      const load = (): Tokenizer => loadCase(cases.find((each) => each.name === name)!);
      expect(load).toThrow(message);
      expect(load).toThrow(expect.objectContaining({ code: "unsupported-model" }));
    }
  });

  for (const each of cases.filter(({ name }) => !(name in refused))) {
    it(`${each.name}: ids, offsets and texts of Hugging Face tokenizers`, () => {
      const tokenizer = loadCase(each);
      for (const encoded of each.encode) {
        expectEncoding(tokenizer, encoded);
        expectOffsets(tokenizer, encoded, each.name);
      }
      for (const { text, ids } of each.withSpecial) expectCompleted(tokenizer, text, ids);
      for (const decoded of each.decode) expectDecoding(tokenizer, decoded);
    });
  }
});

describe.skipIf(!hasData)("Llama 2's tokenizer.json (needs the shared data folder)", () => {
  interface Published {
    readonly path: string;
    readonly texts: readonly string[];
    readonly ids: readonly (readonly number[])[];
    readonly offsets: readonly (readonly number[])[];
    readonly withSpecial: readonly (readonly number[])[];
    readonly plainIds: readonly (readonly number[] | null)[];
    readonly decode: readonly Decoded[];
    readonly documents: Readonly<Record<string, readonly [count: number, digest: string]>>;
  }
  const published = readGolden<Published>("huggingface-published.json");
  let tokenizer: Tokenizer;
  beforeAll(() => {
    tokenizer = loadData(published.path);
  });

  it("ids, offsets and texts of Hugging Face tokenizers", () => {
    published.texts.forEach((text, i) => {
      const numbers = published.offsets[i]!;
      const offsets = published.ids[i]!.map((_, k): Range => [numbers[2 * k]!, numbers[2 * k + 1]!]);
      const encoded = { text, ids: published.ids[i]!, plainIds: published.plainIds[i] ?? published.ids[i]!, offsets };
      expectEncoding(tokenizer, encoded);
      expectOffsets(tokenizer, encoded, "Llama 2");
      expectCompleted(tokenizer, text, published.withSpecial[i]!);
    });
    for (const decoded of published.decode) expectDecoding(tokenizer, decoded);
  });

  it("ids of whole books as single texts, those of the .model too", () => {
    for (const [file, [count, digest]] of Object.entries(published.documents)) {
      const ids = tokenizer.encode(readDataText(file), { parseSpecial: true });
      const found = createHash("sha256").update(ids).digest("hex").slice(0, 32);
      expect([file, ids.length, found]).toEqual([file, count, digest]);
    }
    const model = loadData("tokenizers/llama2/tokenizer.model");
    for (const file of Object.keys(published.documents).slice(0, 2)) {
      const text = readDataText(file);
      expect(tokenizer.encode(text)).toEqual(model.encode(text));
    }
  });

  it("tells its special tokens", () => {
    expect([tokenizer.unkId, tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([0, 1, 2, -1]);
    expect([tokenizer.addsBos, tokenizer.addsEos, tokenizer.vocabularySize]).toEqual([true, false, 32001]);
    expect([tokenizer.pieces[32000], tokenizer.pieces[29871]]).toEqual(["<PAD>", "\u2581"]);
    expect(tokenizer.idOf("<PAD>")).toBe(32000);
    expect([0, 1, 2, 3, 32000].map((id) => tokenizer.isSpecial(id))).toEqual([true, true, true, false, true]);
    for (let id = 0; id < 32001; id += 7) expect(tokenizer.idOf(tokenizer.pieces[id]!)).toBe(id);
    const config = readData("tokenizers/llama2-hf/tokenizer_config.json");
    expect(loadTokenizer({ model: readData(published.path), config }).padId).toBe(32000);
  });
});

interface Folder {
  readonly name: string;
  readonly class: string;
  readonly files: Readonly<Record<string, { readonly path: string } | { readonly json: unknown }>>;
  readonly ids: readonly (readonly number[])[];
  readonly bare: readonly (readonly number[])[];
  readonly split: readonly (readonly number[] | null)[];
  readonly decode: readonly Decoded[];
  readonly parts: { readonly model: object } | null;
}

describe.skipIf(!hasData)("folders as transformers loads them (needs the shared data folder)", () => {
  const { texts, cases } = readGolden<{ texts: string[]; cases: Folder[] }>("huggingface-transformers.json");
  let vocabulary: { readonly model: object };
  beforeAll(() => {
    vocabulary = JSON.parse(readDataText("tokenizers/llama2-hf/tokenizer.json")) as { model: object };
  });

  function expectBare(tokenizer: Tokenizer, { bare, split, decode }: Folder): void {
    texts.forEach((text, i) => {
      const plainIds = split[i] ?? bare[i]!;
      expectEncoding(tokenizer, { text, ids: bare[i]!, plainIds });
    });
    for (const decoded of decode) expectDecoding(tokenizer, decoded);
  }

  function bytesOf({ files }: Folder, name: string): Uint8Array | undefined {
    const source = files[name];
    if (source === undefined) return undefined;
    return "path" in source ? readData(source.path) : utf8.encode(JSON.stringify(source.json));
  }

  function loadFolder(folder: Folder): Tokenizer {
    const config = bytesOf(folder, "tokenizer_config.json");
    const specialTokensMap = bytesOf(folder, "special_tokens_map.json");
    const addedTokens = bytesOf(folder, "added_tokens.json");
    return loadTokenizer({
      model: bytesOf(folder, "tokenizer.json") ?? bytesOf(folder, "tokenizer.model")!,
      ...(config && { config }),
      ...(specialTokensMap && { specialTokensMap }),
      ...(addedTokens && { addedTokens }),
    });
  }

  // Transformers' own LlamaTokenizer class leaves the file's normalizer aside and builds one of its own, which takes a
  // text's first space for the dummy one; here the file counts. The folders below show that its parts are read right.
  const built = cases.filter(({ parts, files }) => parts !== null && "tokenizer.json" in files);
  const asTheFileSays = built.filter((folder) => folder.class === "TokenizersBackend");
  it.each(asTheFileSays.map((folder) => [folder.name, folder] as const))("%s", (_, folder) => {
    const tokenizer = loadFolder(folder);
    expectBare(tokenizer, folder);
    texts.forEach((text, i) => expectCompleted(tokenizer, text, folder.ids[i]!));
  });

  // The ids of transformers 4 for a .model, which are sentencepiece's own. With legacy=false version 5 leaves the dummy
  // space out altogether.
  const bySentencePiece = cases.filter(
    (folder) => folder.parts === null && (folder.class === "transformers 4" || !/not-legacy|chat/.test(folder.name)),
  );
  it.each(bySentencePiece.map((folder) => [folder.name, folder] as const))("%s", (_, folder) => {
    expectBare(loadFolder(folder), folder);
  });

  // Only with the file's own merges: those that transformers 5 makes of a .model are in another order.
  it.each(built.map((folder) => [folder.name, folder] as const))("%s: the file that came out", (_, folder) => {
    const file = { version: "1.0", ...folder.parts, model: { ...vocabulary.model, ...folder.parts!.model } };
    const tokenizer = loadTokenizer(utf8.encode(JSON.stringify(file)));
    expectBare(tokenizer, folder);
    texts.forEach((text, i) => expectCompleted(tokenizer, text, folder.ids[i]!));
  });
});
