import { BpeEncoder } from "../bpe/encoder.ts";
import { BpeTokenizer } from "../bpe-tokenizer.ts";
import type { TokenizerSettings } from "../settings.ts";
import { type AddedToken, AddedTokens } from "../text/added-tokens.ts";
import type { Normalizer } from "../text/normalizer.ts";
import { ByteVocabulary } from "./byte-vocabulary.ts";
import { CharacterVocabulary } from "./character-vocabulary.ts";
import { decoderStepsOf } from "./decoder.ts";
import { mergedTokens } from "./merged-tokens.ts";
import type { StepsNormalizer } from "./normalizer.ts";
import { frameOf } from "./post-processor.ts";
import { readSections, type Sections } from "./sections.ts";
import { stringsOf } from "./spellings.ts";
import { surfacesOf } from "./surfaces.ts";

const SPACE_SYMBOL = "\u2581";

/** A tokenizer of a Hugging Face `tokenizer.json`: the ids of their tokenizers for every text. Truncation and padding
 *  of the file are left to the caller.
 *  @throws TokenizerError `malformed-model`, or `unsupported-model` for what is not byte-pair encoding or not exact */
export function huggingFaceTokenizer(file: Uint8Array, settings: TokenizerSettings = {}): BpeTokenizer {
  const sections = readSections(file);
  const { model, normalizer, cutting } = sections;
  const { pieces } = model;
  const added = mergedTokens(pieces, sections.addedTokens, settings.addedTokens ?? []);
  const vocabularySize = added.reduce((size, token) => Math.max(size, token.id + 1), pieces.table.size);
  const idByContent = new Map<string, number>();
  for (const token of added) idByContent.set(token.content, token.id);
  const idOf = (piece: string): number => idByContent.get(piece) ?? pieces.idOf(piece);
  const special = new Uint8Array(vocabularySize);
  for (const token of added) special[token.id] = token.special ? 1 : 0;
  const isSpecial = (id: number): boolean => special[id] === 1;
  const frame = frameOf(sections.postProcessor, vocabularySize);
  const named = (name: string | null | undefined, own: string | undefined, id: number | undefined): number => {
    if (name === null) return -1;
    if (name !== undefined) return idOf(name);
    return id ?? (own === undefined ? -1 : (idByContent.get(own) ?? -1));
  };
  const contentById = (): Map<number, string> => new Map(added.map((token) => [token.id, token.content]));
  const decoderSteps = decoderStepsOf(sections.decoder);
  const vocabulary =
    cutting.kind === "bytes"
      ? new ByteVocabulary(pieces, model.merges, model.options, cutting.words)
      : new CharacterVocabulary(pieces, model.merges, model.options, cutting.splitsAtSpaces);
  const { unkToken } = model.options;
  return new BpeTokenizer({
    origin: { format: "huggingface", file, settings },
    vocabularySize,
    bosId: named(settings.bos, "<s>", frame.prefix.at(-1)),
    eosId: named(settings.eos, "</s>", frame.suffix[0]),
    unkId: named(settings.unk, undefined, unkToken === undefined ? undefined : idOf(unkToken)),
    padId: named(settings.pad, "<pad>", undefined),
    addsBos: settings.addsBos ?? frame.prefix.length > 0,
    addsEos: settings.addsEos ?? frame.suffix.length > 0,
    prefix: frame.prefix.length > 0 ? frame.prefix : undefined,
    suffix: frame.suffix.length > 0 ? frame.suffix : undefined,
    readPieces: () => stringsOf(pieces.spellings(vocabularySize, contentById())),
    idOf,
    isSpecial,
    addedTokens: new AddedTokens(added.filter((token) => token.normalized !== true)),
    normalizer: cutting.spaced === "first" && !normalizer.isPlain ? alwaysAligned(normalizer) : normalizer,
    spacedStretches: "every",
    normalizedTokens: new AddedTokens(
      added.flatMap((token) => normalizedToken(token, normalizer)),
      normalizer.replacesSpaces,
    ),
    spacedParts: cutting.spaced,
    doublesSpace: cutting.kind === "characters" && cutting.doublesSpace,
    finishPart: finishPartOf(sections),
    encoder: new BpeEncoder(vocabulary),
    // Done where it can be told an unknown piece from its spelling in the text.
    fusesUnknown: false,
    makeSurfaces: () => {
      const found = new Map([...contentById(), ...normalizedContents(added, normalizer)]);
      return surfacesOf(decoderSteps, pieces.spellings(vocabularySize, found), isSpecial);
    },
    leadingSpace: { addDummyPrefix: false, removeExtraWhitespaces: false, most: decoderSteps.leadingSpaces },
  });
}

/** Which part is the first depends on what was removed before it. */
function alwaysAligned(normalizer: Normalizer): Normalizer {
  return { normalize: (source, prefixSpace) => normalizer.normalize(source, prefixSpace, true) };
}

/** A token as normalized text has it; none if nothing is left of it. */
function normalizedToken(token: AddedToken, normalizer: Normalizer): AddedToken[] {
  if (token.normalized !== true) return [];
  const { text, spaceBefore } = normalizer.normalize(token.content, true, false);
  return text === "" ? [] : [{ ...token, content: spaceBefore ? ` ${text}` : text }];
}

/** Spellings of normalized tokens as they were found in the text, by id. */
function normalizedContents(added: readonly AddedToken[], normalizer: StepsNormalizer): [id: number, text: string][] {
  return added
    .flatMap((token) => normalizedToken(token, normalizer))
    .map(({ id, content }) => [id, normalizer.replacesSpaces ? content.replaceAll(" ", SPACE_SYMBOL) : content]);
}

/** A pre-tokenizer that replaces spaces does so after tokens were found in the normalized text. */
function finishPartOf({ cutting, normalizer }: Sections): ((part: string) => string) | undefined {
  if (cutting.kind === "bytes" || !cutting.replacesSpaces || normalizer.replacesSpaces) return undefined;
  return (part) => (part.includes(SPACE_SYMBOL) ? part.replaceAll(SPACE_SYMBOL, " ") : part);
}
