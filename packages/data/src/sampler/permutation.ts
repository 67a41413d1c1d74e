import { mix } from "../keyed-hash.ts";

/** Place of an index in a shuffle of `0 … size − 1`: a bijection for every key, computed without a table. Eight rounds
 *  of a Feistel network over a rectangle of at least `size` cells, repeated while the place lies outside
 *  (Black & Rogaway 2002, "Ciphers with arbitrary finite domains", generalised Feistel and cycle walking).
 *  @param index from 0 to below `size`  @param size up to 2⁵²  @param key `[8]`, of `keyOf` */
export function permute(index: number, size: number, key: Uint32Array): number {
  const height = Math.ceil(Math.sqrt(size));
  const width = Math.ceil(size / height);
  let place = index;
  do {
    let row = Math.floor(place / width);
    let column = place - row * width;
    for (let round = 0; round < 8; round += 2) {
      row = (row + mix(column, key[round] ?? 0)) % height;
      column = (column + mix(row, key[round + 1] ?? 0)) % width;
    }
    place = row * width + column;
  } while (place >= size);
  return place;
}
