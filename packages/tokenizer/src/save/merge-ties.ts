import type { Vocabulary } from "../sentencepiece/vocabulary.ts";
import { cannotHold } from "./errors.ts";
import type { PieceMerges } from "./piece-merges.ts";

/** Sentencepiece takes the leftmost among pairs of equal score, a list of merges the one that stands first in it. Both
 *  give the same result where the pairs of one score have nothing to do with each other, and for runs of one symbol:
 *  Llama's pieces of many spaces share a score.
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
    if (areApart(group, merges, priority, highest)) continue;
    if (areRunsOfOne(group, merges, products.subarray(0, from))) continue;
    const pieces = Array.from(group.subarray(0, 2), (id) => JSON.stringify(name(id))).join(" and ");
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

/** Whether all products are runs of one symbol that are made of each other, and `earlier` merges use none of them. The
 *  leftmost then is the longest, which stands first in the list: a run is, at any time, blocks that no longer merge, a
 *  last one, and single symbols, and what can merge is the last two blocks, the last with a symbol, or two symbols.
 *  @param group the longest spelling first */
function areRunsOfOne(group: Int32Array, { lefts, rights }: PieceMerges, earlier: Int32Array): boolean {
  const runs = new Set<number>();
  const shortest = group[group.length - 1]!;
  const symbol = lefts[shortest]!;
  const isRun = (id: number): boolean => id === symbol || runs.has(id);
  for (const product of group.toReversed()) {
    if (!isRun(lefts[product]!) || !isRun(rights[product]!)) return false;
    runs.add(product);
  }
  return earlier.every((product) => !runs.has(lefts[product]!) && !runs.has(rights[product]!));
}
