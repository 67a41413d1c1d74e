import { mergeShort, SHORT } from "../bpe/merge-short.ts";
import type { Merges } from "../bpe/merges.ts";
import type { Vocabulary } from "../sentencepiece/vocabulary.ts";
import { cannotHold } from "./errors.ts";
import type { PieceMerges } from "./piece-merges.ts";

/** Runs are tried up to this many times the longest piece. */
const RUNS_TRIED = 4;

/** Sentencepiece takes the leftmost among pairs of equal score, a list of merges the one that stands first in it. Both
 *  give the same result where the pairs of one score have nothing to do with each other, and for runs of one character
 *  (Llama's pieces of many spaces share a score), which are tried.
 *  @throws TokenizerError `unsupported-model` for other equal scores */
export function checkTies(vocabulary: Vocabulary, merges: PieceMerges, name: (id: number) => string): void {
  const { priorities } = vocabulary.merges;
  const { products } = merges;
  let highest: Int32Array | undefined;
  for (let from = 0, to: number; from < products.length; from = to) {
    const priority = priorities[products[from]!]!;
    for (to = from + 1; to < products.length && priorities[products[to]!] === priority; ) to++;
    if (to === from + 1) continue;
    highest ??= highestUses(priorities, merges);
    const group = products.subarray(from, to);
    if (areApart(group, merges, priority, highest) || isRunOfOne(group, vocabulary, merges)) continue;
    const names = Array.from(group.subarray(0, 2), (id) => JSON.stringify(name(id)));
    const pieces = names.join(" and ");
    throw cannotHold("tokenizer.json", `different scores for pieces that compete, got one score for ${pieces}`, {
      pieces: Array.from(group),
    });
  }
}

/** `[V]` lowest priority number, that is the highest score, of the merges that a piece takes part in. */
function highestUses(priorities: Int32Array, { products, lefts, rights }: PieceMerges): Int32Array {
  const highest = new Int32Array(lefts.length).fill(0x7fffffff);
  for (const product of products) {
    for (const half of [lefts[product]!, rights[product]!]) {
      highest[half] = Math.min(highest[half]!, priorities[product]!);
    }
  }
  return highest;
}

/** Whether no two of these merges can want the same symbol, and none of them leads to a merge as early as they are:
 *  then all that are possible at once happen, in whatever order. */
function areApart(group: Int32Array, { lefts, rights }: PieceMerges, priority: number, highest: Int32Array): boolean {
  if (group.some((product) => highest[product]! <= priority)) return false;
  const startingWith = new Map<number, number>();
  for (const product of group) {
    const left = lefts[product]!;
    startingWith.set(left, startingWith.has(left) ? -1 : product);
  }
  return group.every((product) => {
    const other = startingWith.get(rights[product]!);
    return other === undefined || other === product;
  });
}

/** Whether the group holds all pieces that are runs of one symbol, these take part in nothing earlier, and runs of
 *  every length end the same either way. */
function isRunOfOne(group: Int32Array, vocabulary: Vocabulary, { lefts, rights, products }: PieceMerges): boolean {
  const symbol = lefts[group[group.length - 1]!]!;
  const lengths = new Map([[symbol, 1]]);
  const ranks = new Map<number, number>();
  for (let i = group.length - 1; i >= 0; i--) {
    const product = group[i]!;
    const length = (lengths.get(lefts[product]!) ?? NaN) + (lengths.get(rights[product]!) ?? NaN);
    if (Number.isNaN(length)) return false;
    lengths.set(product, length);
    ranks.set(product, i);
  }
  const priority = vocabulary.merges.priorities[group[0]!]!;
  for (const product of products) {
    if (ranks.has(product) || vocabulary.merges.priorities[product]! > priority) continue;
    for (const half of [lefts[product]!, rights[product]!]) if (ranks.has(half)) return false;
  }
  const longest = Math.max(...lengths.values());
  if (longest * RUNS_TRIED > SHORT) return false;
  const { merges } = vocabulary;
  const scored = amongThese(merges, merges.priorities, (merge) => ranks.has(merge));
  const order = Int32Array.from(merges.priorities, (_, id) => ranks.get(id) ?? 0);
  const isListed = (merge: number, left: number, right: number): boolean =>
    ranks.has(merge) && lefts[merge] === left && rights[merge] === right;
  const listed = amongThese(merges, order, isListed);
  for (let count = 2; count <= longest * RUNS_TRIED; count++) {
    if (merged(scored, symbol, count) !== merged(listed, symbol, count)) return false;
  }
  return true;
}

function amongThese(
  all: Merges,
  priorities: Int32Array,
  isOne: (merge: number, left: number, right: number) => boolean,
): Merges {
  const find = (left: number, right: number): number => {
    const merge = all.find(left, right);
    return merge >= 0 && isOne(merge, left, right) ? merge : -1;
  };
  return { priorities, products: all.products, find };
}

function merged(merges: Merges, symbol: number, count: number): string {
  const ids = new Int32Array(count).fill(symbol);
  return ids.subarray(0, mergeShort(merges, ids, new Int32Array(count), count)).join();
}
