import { BpeEncoder } from "../bpe/encoder.ts";
import { BpeTokenizer } from "../bpe-tokenizer.ts";
import { TokenizerError } from "../errors.ts";
import type { TokenizerSettings } from "../settings.ts";
import { type AddedToken, AddedTokens } from "../text/added-tokens.ts";
import { LiteralMatcher } from "../text/literal-matcher.ts";
import { CharacterMap } from "./character-map.ts";
import { Kind, type SentencePieceModel, spellingOf } from "./model.ts";
import { SentencePieceNormalizer } from "./normalize.ts";
import { surfacesOf } from "./surfaces.ts";
import { Vocabulary } from "./vocabulary.ts";

/** A tokenizer of a SentencePiece BPE model: the ids of Google's sentencepiece for every text.
 *  @throws TokenizerError `malformed-model` */
export function sentencePieceTokenizer(model: SentencePieceModel, settings: TokenizerSettings = {}): BpeTokenizer {
  const vocabulary = new Vocabulary(model);
  const { kinds, trainer, normalizer } = model;
  const added = settings.addedTokens ?? [];
  const beyond = tokensBeyond(added, kinds.length);
  const size = kinds.length + beyond.length;
  const byContent = new Map(added.map((token) => [token.content, token.id]));
  const idOf = (piece: string): number => byContent.get(piece) ?? vocabulary.idOf(piece);
  const specials = new Set(added.filter((token) => token.special).map((token) => token.id));
  const isSpecial = (id: number): boolean =>
    specials.has(id) || kinds[id] === Kind.control || kinds[id] === Kind.unknown;
  const special = (named: string | null | undefined, own: string): number => {
    if (named === null) return -1;
    const id = idOf(named ?? own);
    return id >= 0 && (named !== undefined || isSpecial(id)) ? id : -1;
  };
  const readPieces = (): string[] => [...model.spellings.split("\0"), ...beyond.map((token) => token.content)];
  return new BpeTokenizer({
    origin: { format: "sentencepiece", model, settings },
    vocabularySize: size,
    bosId: special(settings.bos, trainer.bosPiece),
    eosId: special(settings.eos, trainer.eosPiece),
    padId: special(settings.pad, trainer.padPiece),
    unkId: vocabulary.unkId,
    addsBos: settings.addsBos ?? false,
    addsEos: settings.addsEos ?? false,
    readPieces,
    idOf,
    isSpecial,
    addedTokens: new AddedTokens([...added, ...specialPieces(model, new Set(added.map((token) => token.id)))]),
    normalizer: new SentencePieceNormalizer(normalizer, trainer, characterMapOf(model)),
    spacedStretches: settings.legacy === false ? "first" : "every",
    normalizedTokens: new AddedTokens(userDefinedPieces(model)),
    spacedParts: "none",
    encoder: new BpeEncoder(vocabulary),
    fusesUnknown: !trainer.byteFallback,
    makeSurfaces: () => surfacesOf(model, vocabulary, beyond),
    leadingSpace: normalizer,
  });
}

/** The rules that the model replaces characters by, if any; they leave user-defined pieces alone. */
function characterMapOf(model: SentencePieceModel): CharacterMap | undefined {
  const { characterMap } = model.normalizer;
  if (characterMap.length === 0) return undefined;
  const userDefined = piecesOf(model, [Kind.userDefined]);
  return new CharacterMap(characterMap, new LiteralMatcher(userDefined.map(({ spelling, id }) => [spelling, id])));
}

/** Tokens with ids past the pieces, by id − `size`. @throws TokenizerError if an id between is missing */
function tokensBeyond(added: readonly AddedToken[], size: number): readonly AddedToken[] {
  const beyond = added.filter((token) => token.id >= size).sort((a, b) => a.id - b.id);
  beyond.forEach((token, i) => {
    if (token.id === size + i) return;
    const expected = `an added token for id ${size + i}, after the model's ${size} pieces`;
    const message = `tokenizer config: expected ${expected}, got ${token.id} for ${JSON.stringify(token.content)}`;
    throw new TokenizerError("malformed-model", message, { id: token.id });
  });
  return beyond;
}

/** Control pieces and the unknown one, which `parseSpecial` finds by their spelling. */
function specialPieces(model: SentencePieceModel, known: ReadonlySet<number>): AddedToken[] {
  return piecesOf(model, [Kind.control, Kind.unknown])
    .filter(({ id }) => !known.has(id))
    .map(({ id, spelling }) => ({ id, content: spelling, special: true }));
}

/** User-defined pieces as normalized text has them, where a space can only stand for `▁`. */
function userDefinedPieces(model: SentencePieceModel): AddedToken[] {
  return piecesOf(model, [Kind.userDefined])
    .filter(({ spelling }) => !spelling.includes(" "))
    .map(({ id, spelling }) => ({ id, content: spelling.replaceAll("\u2581", " "), special: false }));
}

function piecesOf(model: SentencePieceModel, kinds: readonly number[]): { id: number; spelling: string }[] {
  const ids = model.special.filter((id) => kinds.includes(model.kinds[id]!));
  return ids.map((id) => ({ id, spelling: spellingOf(model, id) }));
}
