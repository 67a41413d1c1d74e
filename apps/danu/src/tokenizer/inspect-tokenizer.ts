import type { Tokenizer } from "@danu/tokenizer";

/** A piece with its id. */
export interface NamedPiece {
  readonly id: number;
  readonly piece: string;
}

/** What a vocabulary holds. */
export interface VocabularyReport {
  readonly pieces: number;
  readonly special: readonly NamedPiece[];
  readonly bosId: number;
  readonly eosId: number;
  readonly unkId: number;
  readonly padId: number;
  /** Pieces of most characters. */
  readonly longest: readonly NamedPiece[];
  readonly hasChatTemplate: boolean;
}

/** A token of a text, and the text that it stands for; empty where another token of the same character has it. */
export interface ShownToken {
  readonly id: number;
  readonly text: string;
}

/** How a vocabulary fits a text. */
export interface TextReport {
  /** Bytes of UTF-8. */
  readonly bytes: number;
  readonly characters: number;
  readonly tokens: number;
  readonly bytesPerToken: number | null;
  /** Different pieces that occur. */
  readonly usedPieces: number;
  readonly unusedPieces: number;
  /** Tokens that are single bytes of a character. */
  readonly byteTokens: number;
  readonly unknownTokens: number;
  /** The pieces of most characters among those that occur. */
  readonly longest: readonly NamedPiece[];
  /** The pieces that occur most often. */
  readonly mostFrequent: readonly (NamedPiece & { readonly count: number })[];
  readonly first: readonly ShownToken[];
}

const BYTE_PIECE = /^<0x[0-9A-F]{2}>$/;

/** Describes a vocabulary. @param top pieces in the list of the longest */
export function inspectVocabulary(tokenizer: Tokenizer, top: number): VocabularyReport {
  const { pieces, bosId, eosId, unkId, padId } = tokenizer;
  const all = pieces.map((piece, id) => ({ id, piece }));
  return {
    pieces: pieces.length,
    special: all.filter(({ id }) => tokenizer.isSpecial(id)),
    bosId,
    eosId,
    unkId,
    padId,
    longest: longestOf(all.filter(({ id }) => !tokenizer.isSpecial(id)), top),
    hasChatTemplate: tokenizer.chatTemplate !== undefined,
  };
}

/** Measures how a vocabulary fits a text. @param shown tokens to list  @param top pieces in each list */
export function inspectText(tokenizer: Tokenizer, text: string, shown: number, top: number): TextReport {
  const ids = tokenizer.encode(text);
  const counts = new Map<number, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  const used = [...counts].map(([id, count]) => ({ id, piece: tokenizer.pieces[id]!, count }));
  const bytes = Buffer.byteLength(text);
  const tokensOf = (isCounted: (piece: string, id: number) => boolean): number =>
    used.reduce((sum, { piece, id, count }) => sum + (isCounted(piece, id) ? count : 0), 0);
  return {
    bytes,
    characters: text.length,
    tokens: ids.length,
    bytesPerToken: ids.length === 0 ? null : bytes / ids.length,
    usedPieces: used.length,
    unusedPieces: tokenizer.vocabularySize - used.length,
    byteTokens: tokensOf((piece) => BYTE_PIECE.test(piece)),
    unknownTokens: tokensOf((_, id) => id === tokenizer.unkId),
    longest: longestOf(used.map(({ id, piece }) => ({ id, piece })), top),
    mostFrequent: used.toSorted((a, b) => b.count - a.count || a.id - b.id).slice(0, top),
    first: firstTokens(tokenizer, text, shown),
  };
}

function longestOf(pieces: readonly NamedPiece[], top: number): NamedPiece[] {
  return pieces.toSorted((a, b) => b.piece.length - a.piece.length || a.id - b.id).slice(0, top);
}

/** The first tokens with their parts of the text. @param count tokens, which a little more text than that holds */
function firstTokens(tokenizer: Tokenizer, text: string, count: number): ShownToken[] {
  // No piece of a real vocabulary is longer than this; if one is, fewer tokens are shown.
  const start = text.slice(0, count * 64);
  const { ids, starts, ends } = tokenizer.encodeWithOffsets(start);
  const tokens: ShownToken[] = [];
  for (let i = 0, shownTo = 0; i < Math.min(count, ids.length); i++) {
    const from = Math.max(starts[i]!, shownTo);
    tokens.push({ id: ids[i]!, text: start.slice(from, ends[i]) });
    shownTo = Math.max(shownTo, ends[i]!);
  }
  return tokens;
}
