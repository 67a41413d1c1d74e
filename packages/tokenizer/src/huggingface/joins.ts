import type { PieceTable } from "../bpe/piece-table.ts";
import type { MergeList } from "./merge-reader.ts";
import type { Unknowns } from "./unknowns.ts";

/** Which bytes side by side may end up in one symbol: `[65536]`, see `Cuts`.
 *  @param isUnknown whether a byte may belong to a character without a piece */
export function joinsOf(
  table: PieceTable,
  merges: MergeList,
  unknowns: Unknowns,
  isUnknown: (byte: number) => boolean,
): Uint8Array {
  const joins = new Uint8Array(1 << 16);
  const { blob, offsets } = table;
  for (let i = 0; i < merges.lefts.length; i++) {
    const last = blob[offsets[merges.lefts[i]! + 1]! - 1]!;
    joins[(last << 8) | blob[offsets[merges.rights[i]!]!]!] = 1;
  }
  if (unknowns.hasAllBytes) return joins;
  // A run of unknown characters is looked at as a whole, and the neighbours of those that vanish meet.
  const vanish = unknowns.unkId < 0;
  for (let pair = 0; pair < joins.length; pair++) {
    const last = isUnknown(pair >>> 8);
    const first = isUnknown(pair & 255);
    if (vanish ? last || first : last && first) joins[pair] = 1;
  }
  return joins;
}
