import type { BpeTokenizer } from "../bpe-tokenizer.ts";
import { Kind, type SentencePieceModel, spellingOf } from "../sentencepiece/model.ts";
import { Vocabulary } from "../sentencepiece/vocabulary.ts";
import { cannotHold } from "./errors.ts";
import { checkTies } from "./merge-ties.ts";
import { type PieceMerges, pieceMerges } from "./piece-merges.ts";
import { pipelineOf, templateOf } from "./pipeline.ts";
import { fieldsOf, type SavedTokens } from "./saved-tokens.ts";
import { userDefinedSplits } from "./user-defined.ts";

/** A SentencePiece model as a `tokenizer.json`, with the same ids for every text.
 *  @throws TokenizerError `unsupported-model` where that format cannot say what the model does */
export function tokenizerJson(tokenizer: BpeTokenizer, model: SentencePieceModel, tokens: SavedTokens): Uint8Array {
  requireExpressible(model);
  const vocabulary = new Vocabulary(model);
  const names = namesOf(model, vocabulary, tokens);
  const merges = pieceMerges(vocabulary);
  if (merges.strange >= 0) {
    const piece = JSON.stringify(names[merges.strange]);
    throw cannotHold("tokenizer.json", `pieces made of other pieces, got ${piece} with a character that is no piece`);
  }
  checkTies(vocabulary, merges, (id) => names[id]!);
  const splits = userDefinedSplits(vocabulary, merges, names);
  const { settings } = tokenizer.origin;
  const pipeline = pipelineOf(model, settings.legacy === false ? "first" : "every", splits);
  const around = (adds: boolean, id: number): { id: number; name: string }[] =>
    adds && id >= 0 ? [{ id, name: tokens.nameOf(id)! }] : [];
  const head = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: tokens.all.map((token) => ({ id: token.id, ...fieldsOf(token) })),
    normalizer: pipeline.normalizer,
    pre_tokenizer: pipeline.pre_tokenizer,
    post_processor: templateOf(around(tokenizer.addsBos, tokenizer.bosId), around(tokenizer.addsEos, tokenizer.eosId)),
    decoder: pipeline.decoder,
  };
  const options = {
    type: "BPE",
    dropout: null,
    unk_token: names[vocabulary.unkId],
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: model.trainer.byteFallback,
    ignore_merges: splits.length > 0,
  };
  const open = (value: unknown): string => JSON.stringify(value, null, 1).slice(0, -2);
  return new TextEncoder().encode(`${open(head)},\n "model": ${open(options)},\n${listsOf(names, merges)} }\n}\n`);
}

/** The vocabulary and the merges as text: an object of 30,000 names would take longer to make than to write. */
function listsOf(names: readonly string[], { products, lefts, rights }: PieceMerges): string {
  const quoted = names.map((name) => JSON.stringify(name).slice(1, -1));
  const vocabulary = quoted.map((name, id) => `"${name}": ${id}`);
  // Readers of merges as text pass over those that begin like the first line of a merges.txt.
  const isTaken = !products.some((product) => names[lefts[product]!]!.startsWith("#version"));
  const merges = Array.from(products, (product) => {
    const left = quoted[lefts[product]!]!;
    const right = quoted[rights[product]!]!;
    return isTaken ? `"${left} ${right}"` : `["${left}", "${right}"]`;
  });
  return ` "vocab": {\n${vocabulary.join(",\n")}\n },\n "merges": [\n${merges.join(",\n")}\n ]\n`;
}

function requireExpressible(model: SentencePieceModel): void {
  const { trainer, normalizer } = model;
  if (normalizer.characterMap.length > 0) {
    throw cannotHold("tokenizer.json", `identity normalisation, got "${normalizer.name}"`);
  }
  if (trainer.whitespaceAsSuffix) throw cannotHold("tokenizer.json", "the dummy space before a text, got it after");
  const unknown = spellingOf(model, model.kinds.indexOf(Kind.unknown));
  if (trainer.byteFallback && [...unknown].length === 1) {
    throw cannotHold("tokenizer.json", "an unknown piece of several characters beside byte pieces");
  }
}

/** Spellings by id: those of the model, but special pieces as the settings call them. */
function namesOf(model: SentencePieceModel, vocabulary: Vocabulary, tokens: SavedTokens): string[] {
  const names = model.spellings.split("\0");
  for (const { id, content } of tokens.all) {
    const holder = vocabulary.idOf(content);
    const isOther = id < names.length && names[id] !== content;
    const isNamed = isOther && vocabulary.kinds[id] !== Kind.control && vocabulary.kinds[id] !== Kind.unknown;
    if (isNamed || (holder >= 0 && holder !== id)) {
      const what = `added tokens beside the pieces, got ${JSON.stringify(content)} for id ${id}`;
      throw cannotHold("tokenizer.json", what, { id });
    }
    if (isOther) names[id] = content;
  }
  return names;
}
