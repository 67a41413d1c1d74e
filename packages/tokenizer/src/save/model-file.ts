import type { BpeTokenizer } from "../bpe-tokenizer.ts";
import { CharacterVocabulary } from "../huggingface/character-vocabulary.ts";
import { decoderStepsOf } from "../huggingface/decoder.ts";
import { mergedTokens } from "../huggingface/merged-tokens.ts";
import type { Pieces } from "../huggingface/pieces.ts";
import { frameOf } from "../huggingface/post-processor.ts";
import { readSections, type Sections } from "../huggingface/sections.ts";
import { Kind, parseModel, type SentencePieceModel } from "../sentencepiece/model.ts";
import { Vocabulary } from "../sentencepiece/vocabulary.ts";
import { type ModelPiece, writeModel } from "../sentencepiece/write-model.ts";
import type { AddedToken } from "../text/added-tokens.ts";
import { cannotHold } from "./errors.ts";
import { pieceMerges, PieceSplitter } from "./piece-merges.ts";

/** What stands in for a `tokenizer.json`. */
export interface ModelFile {
  readonly model: Uint8Array;
  /** Added tokens for tokenizer_config.json. */
  readonly tokens: readonly AddedToken[];
  /** Number of pieces in `model`. */
  readonly size: number;
  /** Whether every stretch between special tokens gets a dummy space, or the first alone. */
  readonly legacy: boolean;
}

const SPACE_SYMBOL = "\u2581";
const byteName = /^<0x[0-9A-F]{2}>$/;
const FILE = "tokenizer.model";

/** A `tokenizer.json` whose pieces are text as a SentencePiece model, with the same ids for every text. A piece's score
 *  is the place in the list of the one merge that ever makes it.
 *  @throws TokenizerError `unsupported-model` where that format cannot say what the file does */
export function modelFile(tokenizer: BpeTokenizer, file: Uint8Array): ModelFile {
  const sections = readSections(file);
  const { pieces, options } = sections.model;
  const prefix = prefixOf(sections);
  requireFrame(tokenizer, sections);
  requireDecoder(sections, prefix !== "none");
  if (options.ignoreMerges) throw cannotHold(FILE, "ignore_merges to be false, got true");
  const settings = tokenizer.origin.settings;
  const tokens = mergedTokens(pieces, sections.addedTokens, settings.addedTokens ?? []);
  requirePlain(tokens, pieces);
  const kinds = kindsOf(tokenizer, sections, tokens);
  const merges = mergesOf(sections);
  const lowest = sections.model.merges.products.length;
  const listed = Array.from(kinds, (kind, id): ModelPiece => {
    const score = kind === Kind.normal ? 0 - (merges.ranks[id]! >= 0 ? merges.ranks[id]! : lowest + id) : 0;
    return { spelling: tokenizer.pieces[id]!, score, kind };
  });
  const idOf = (id: number, name: string): number => (tokenizer.pieces[id] === name ? id : -1);
  const model = writeModel(listed, {
    byteFallback: options.byteFallback,
    addDummyPrefix: prefix !== "none",
    removeExtraWhitespaces: false,
    splitDigits: false,
    allowWhitespaceOnlyPieces: true,
    maxPieceLength: listed.reduce((longest, { spelling }) => Math.max(longest, spelling.length), 1),
    characterCoverage: 1,
    controlSymbols: listed.filter(({ kind }) => kind === Kind.control).map(({ spelling }) => spelling),
    ids: {
      unk: kinds.indexOf(Kind.unknown),
      bos: idOf(tokenizer.bosId, "<s>"),
      eos: idOf(tokenizer.eosId, "</s>"),
      pad: idOf(tokenizer.padId, "<pad>"),
    },
  });
  requireSameMerges(model, merges, tokenizer.pieces);
  return { model, tokens, size: kinds.length, legacy: prefix !== "first" };
}

/** Stretches that get a dummy space whatever they begin with. */
function prefixOf({ normalizer, cutting }: Sections): "none" | "first" | "every" {
  if (cutting.kind === "bytes") throw cannotHold(FILE, "pieces that are text, got a byte-level vocabulary");
  const { spaceBefore } = normalizer.normalize("a", true, false);
  if (!normalizer.isPlain) throw cannotHold(FILE, "a normalizer of Prepend and Replace, got others");
  if (!normalizer.replacesSpaces && !cutting.replacesSpaces) throw cannotHold(FILE, "▁ for spaces, got plain ones");
  if (cutting.splitsAtSpaces) throw cannotHold(FILE, "text in one piece, got one that is split at spaces");
  if (cutting.spaced === "none") return spaceBefore ? "every" : "none";
  if (cutting.doublesSpace && !spaceBefore) return cutting.spaced;
  throw cannotHold(FILE, "a dummy space before every text, got a Metaspace, which leaves it out before a space");
}

function requireFrame(tokenizer: BpeTokenizer, { postProcessor }: Sections): void {
  const { bosId, eosId } = tokenizer;
  const { prefix, suffix } = frameOf(postProcessor, tokenizer.vocabularySize);
  const isPlain = prefix.length <= 1 && suffix.length <= 1;
  if (isPlain && prefix.every((id) => id === bosId) && suffix.every((id) => id === eosId)) return;
  throw cannotHold(FILE, `at most BOS and EOS around a text, got the ids ${prefix.join()} and ${suffix.join()}`);
}

function requireDecoder({ decoder, model }: Sections, hasPrefix: boolean): void {
  const { isByteLevel, replacements, byteFallback, stripsFirst, separates, leadingSpaces } = decoderStepsOf(decoder);
  const isPlain = !isByteLevel && !stripsFirst && !separates && byteFallback === model.options.byteFallback;
  const spells = replacements.length === 1 && replacements[0]![0] === SPACE_SYMBOL && replacements[0]![1] === " ";
  if (isPlain && spells && leadingSpaces === (hasPrefix ? 1 : 0)) return;
  throw cannotHold(FILE, "a decoder that undoes spaces, bytes and the dummy space, got another");
}

function requirePlain(tokens: readonly AddedToken[], pieces: Pieces): void {
  const odd = tokens.find((token) => token.normalized === true || (!token.special && token.id < pieces.table.size));
  if (odd === undefined) return;
  const what = odd.normalized === true ? "found in raw text" : "special, or to come after the vocabulary";
  throw cannotHold(FILE, `added tokens to be ${what}, got ${JSON.stringify(odd.content)}`, { id: odd.id });
}

function kindsOf(tokenizer: BpeTokenizer, { model }: Sections, tokens: readonly AddedToken[]): Uint8Array {
  const { byteFallback, fuseUnk, unkToken } = model.options;
  const kinds = new Uint8Array(model.pieces.table.size).fill(Kind.normal);
  const beyond = tokens.map(({ id }) => id).filter((id) => id >= kinds.length);
  const isGapless = beyond.sort((a, b) => a - b).every((id, i) => id === kinds.length + i);
  const { pieces } = tokenizer;
  const isFull = isGapless && !pieces.slice(0, kinds.length).includes("");
  if (!isFull) throw cannotHold(FILE, "a piece for every id, got gaps");
  for (const { id } of tokens) if (id < kinds.length) kinds[id] = Kind.control;
  if (byteFallback) {
    let bytes = 0;
    for (let id = 0; id < kinds.length; id++) {
      if (!byteName.test(pieces[id]!)) continue;
      kinds[id] = Kind.byte;
      bytes++;
    }
    if (bytes !== 256) throw cannotHold(FILE, `256 byte pieces, got ${bytes}`);
  } else if (!fuseUnk) throw cannotHold(FILE, "runs of unknown characters to be one piece, got one for each");
  const unkId = unkToken === undefined && !byteFallback ? -1 : model.pieces.idOf(unkToken ?? "<unk>");
  if (unkId < 0) throw cannotHold(FILE, "an unknown piece, got none");
  kinds[unkId] = Kind.unknown;
  const single = kinds.findIndex((kind, id) => kind !== Kind.normal && [...pieces[id]!].length === 1);
  if (single >= 0) throw cannotHold(FILE, `special pieces of several characters, got "${pieces[single]}"`);
  return kinds;
}

/** By piece: the merge that makes it, −1 for none, and its halves. */
interface RankedMerges {
  readonly ranks: Int32Array;
  readonly lefts: Int32Array;
  readonly rights: Int32Array;
}

/** See `pieceMerges`: also in a list of pairs, only one pair ever makes a piece. */
function mergesOf({ model }: Sections): RankedMerges {
  const { table } = model.pieces;
  const vocabulary = new CharacterVocabulary(model.pieces, model.merges, model.options, false);
  const splitter = new PieceSplitter(vocabulary, table);
  const ranks = new Int32Array(table.size).fill(-1);
  const lefts = ranks.slice();
  const rights = ranks.slice();
  for (let id = 0; id < table.size; id++) {
    if (splitter.split(id) !== 2) continue;
    const [left, right] = [splitter.symbol(0), splitter.symbol(1)];
    const merge = left < 0 || right < 0 ? -1 : vocabulary.merges.find(left, right);
    if (merge < 0) continue;
    ranks[id] = merge;
    lefts[id] = left;
    rights[id] = right;
  }
  return { ranks, lefts, rights };
}

/** Sentencepiece merges whatever spells a piece: by these scores it must come to the same pairs. */
function requireSameMerges(model: Uint8Array, expected: RankedMerges, pieces: readonly string[]): void {
  const { lefts, rights, strange } = pieceMerges(new Vocabulary(readBack(model)));
  const differs = lefts.findIndex((left, id) => left !== expected.lefts[id] || rights[id] !== expected.rights[id]);
  const piece = strange >= 0 ? strange : differs;
  if (piece < 0) return;
  const what = `merges in an order that scores of pieces can say, got others for ${JSON.stringify(pieces[piece])}`;
  throw cannotHold(FILE, what, { piece });
}

function readBack(model: Uint8Array): SentencePieceModel {
  try {
    return parseModel(model);
  } catch (error) {
    throw cannotHold(FILE, `pieces that a model can have, got another (${(error as Error).message})`);
  }
}
