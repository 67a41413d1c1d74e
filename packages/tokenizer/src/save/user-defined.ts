import { Kind } from "../sentencepiece/model.ts";
import type { Vocabulary } from "../sentencepiece/vocabulary.ts";
import { LiteralMatcher } from "../text/literal-matcher.ts";
import { cannotHold } from "./errors.ts";
import { type PieceMerges, PieceSplitter } from "./piece-merges.ts";
import type { Step } from "./pipeline.ts";

/** Pre-tokenizers that make words of user-defined pieces, for a model that takes a word that is a piece as it is
 *  (`ignore_merges`). Added tokens would not do: a file cannot say that a dummy space comes before one at the start of
 *  the text, but not before what follows one.
 *
 *  A word between two of them can be spelled like a piece that merges never give (`</s>`, typed by a user): such a
 *  word is divided where merges leave it divided.
 *  @param names spellings by id
 *  @throws TokenizerError `unsupported-model` where a word cannot be divided */
export function userDefinedSplits(vocabulary: Vocabulary, merges: PieceMerges, names: readonly string[]): Step[] {
  const literals = names.filter((name, id) => vocabulary.kinds[id] === Kind.userDefined && !name.includes(" "));
  if (literals.length === 0) return [];
  literals.sort((a, b) => b.length - a.length);
  const pattern = literals.map(escapeRegex).join("|");
  const only = literals.length === 1 ? { String: literals[0] } : { Regex: pattern };
  const divided = divisions(vocabulary, merges, names, new LiteralMatcher(literals.map((literal) => [literal, 0])));
  return [isolated(only), ...(divided === "" ? [] : [isolated({ Regex: `\\A(?:${divided})` })])];
}

function isolated(pattern: Step): Step {
  return { type: "Split", pattern, behavior: "Isolated", invert: false };
}

/** A pattern for the beginning of every piece that merges never give, where the rest of that piece follows. */
function divisions(
  vocabulary: Vocabulary,
  merges: PieceMerges,
  names: readonly string[],
  userDefined: LiteralMatcher,
): string {
  const splitter = new PieceSplitter(vocabulary, vocabulary.table);
  const isWhole = (part: string): boolean => {
    const id = vocabulary.idOf(part);
    return id >= 0 && !isMade(vocabulary, merges, id, part);
  };
  const restsByFirst = new Map<string, string[]>();
  names.forEach((name, id) => {
    if (isMade(vocabulary, merges, id, name) || name.includes(" ")) return;
    if (userDefined.matchesIn(name).next(0) !== undefined) return;
    const symbols = divisionOf(vocabulary, splitter, id);
    // Nothing but unknown characters is the unknown piece anyway.
    if (symbols === 0 && id === vocabulary.unkId) return;
    const at = symbols === 0 ? 0 : unitsOf(name, splitter.offset(symbols));
    const first = name.slice(0, at);
    const rest = name.slice(at);
    if (symbols === 0 || isWhole(first) || isWhole(rest)) {
      const what = `pieces that merges can make, got ${JSON.stringify(name)} beside user-defined pieces`;
      throw cannotHold("tokenizer.json", what, { piece: id });
    }
    const rests = restsByFirst.get(first) ?? [];
    restsByFirst.set(first, rests);
    rests.push(rest);
  });
  const alternatives = Array.from(restsByFirst, ([first, rests]) => {
    return `${escapeRegex(first)}(?=(?:${rests.map(escapeRegex).join("|")})\\z)`;
  });
  return alternatives.join("|");
}

/** Symbols of a piece's spelling before the first place where it can be divided: not between unknown characters, which
 *  are one id together; 0 if there is no such place. */
function divisionOf({ unkId, byteIds, size }: Vocabulary, splitter: PieceSplitter, id: number): number {
  const count = splitter.split(id);
  if (byteIds[0] !== unkId) return 1;
  const isPiece = (index: number): boolean => splitter.symbol(index) >= 0 && splitter.symbol(index) < size;
  for (let i = 1; i < count; i++) if (isPiece(i - 1) || isPiece(i)) return i;
  return 0;
}

/** Whether a text of just this spelling becomes the piece. */
function isMade({ kinds }: Vocabulary, { lefts }: PieceMerges, id: number, name: string): boolean {
  const isCharacter = name.length <= 2 && [...name].length === 1;
  return isCharacter || (kinds[id] === Kind.normal && lefts[id]! >= 0);
}

/** Code units at the start of `name` that the first `bytes` bytes of it in the table are, with `▁` as one byte. */
function unitsOf(name: string, bytes: number): number {
  let units = 0;
  let at = 0;
  for (const character of name) {
    if (at >= bytes) break;
    const code = character.codePointAt(0)!;
    at += code < 0x80 || code === 0x2581 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    units += character.length;
  }
  return units;
}

function escapeRegex(literal: string): string {
  return literal.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");
}
