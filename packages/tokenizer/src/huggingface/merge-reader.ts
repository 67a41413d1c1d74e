import type { JsonReader } from "./json-reader.ts";
import type { ByteText } from "./json-text.ts";
import type { Pieces } from "./pieces.ts";

/** So many merges `LongMerger` can rank. */
const MOST_MERGES = 1 << 21;
/** Bytes of a merge as short as most of a dense file: more room than nearly all files need. */
const SHORT_MERGE = 8;
const SPACE = 0x20;
const NUMBER_SIGN = 0x23;
/** Files of old converters begin like the merges.txt that they were made from. */
const versionLine = new TextEncoder().encode("#version");

/** Pairs of symbols and what they become, in the order of the file. */
export interface MergeList {
  readonly lefts: Int32Array;
  readonly rights: Int32Array;
  readonly products: Int32Array;
}

/** Reads the array of merges that comes next, each `"a b"` or `["a", "b"]`. @throws TokenizerError `malformed-model` */
export function readMerges(reader: JsonReader, pieces: Pieces): MergeList {
  const merges = new MergeReader(reader, pieces);
  reader.items(() => merges.read());
  return merges.list();
}

class MergeReader {
  readonly #reader: JsonReader;
  readonly #pieces: Pieces;
  #lefts: Int32Array<ArrayBuffer>;
  #rights: Int32Array<ArrayBuffer>;
  #products: Int32Array<ArrayBuffer>;
  #count = 0;

  constructor(reader: JsonReader, pieces: Pieces) {
    this.#reader = reader;
    this.#pieces = pieces;
    const room = Math.min(Math.ceil(reader.remaining / SHORT_MERGE), MOST_MERGES);
    this.#lefts = new Int32Array(room);
    this.#rights = new Int32Array(room);
    this.#products = new Int32Array(room);
  }

  read(): void {
    if (this.#reader.kind() === "string") this.#readSpelled();
    else this.#readPair();
  }

  list(): MergeList {
    const cut = (array: Int32Array): Int32Array => array.subarray(0, this.#count);
    return { lefts: cut(this.#lefts), rights: cut(this.#rights), products: cut(this.#products) };
  }

  #readSpelled(): void {
    const reader = this.#reader;
    reader.string();
    const { bytes, start, end } = reader.escaped ? reader.content() : reader;
    if (bytes[start] === NUMBER_SIGN && startsWith(bytes, start, end, versionLine)) return;
    let space = -1;
    for (let at = start; at < end; at++) {
      if (bytes[at] !== SPACE) continue;
      if (space >= 0) throw reader.fail("two pieces with one space between, got more");
      space = at;
    }
    if (space < 0) throw reader.fail("two pieces with one space between");
    const left = this.#operand(bytes, start, space);
    const right = this.#operand(bytes, space + 1, end);
    this.#add(left, right, () => joined(bytes.subarray(start, space), bytes.subarray(space + 1, end)));
  }

  #readPair(): void {
    const reader = this.#reader;
    const ids = [-1, -1];
    const spellings: ByteText[] = [];
    reader.items((index) => {
      if (index > 1) throw reader.fail("two pieces, got more");
      reader.string();
      const spelling = reader.content();
      ids[index] = this.#operand(spelling.bytes, spelling.start, spelling.end);
      spellings.push(spelling);
    });
    if (spellings.length < 2) throw reader.fail(`two pieces, got ${spellings.length}`);
    this.#add(ids[0]!, ids[1]!, () => {
      const [left, right] = spellings.map(({ bytes, start, end }) => bytes.subarray(start, end));
      return joined(left!, right!);
    });
  }

  #operand(bytes: Uint8Array, start: number, end: number): number {
    if (start === end) throw this.#reader.fail("two pieces, got an empty one");
    const id = this.#pieces.find(bytes, start, end);
    if (id < 0) throw this.#reader.fail(`a piece of the vocabulary, got "${shown(bytes.subarray(start, end))}"`);
    return id;
  }

  /** @param spell gives the spelling of both, for which the table may have other bytes than theirs joined */
  #add(left: number, right: number, spell: () => Uint8Array): void {
    let product = this.#pieces.table.findJoined(left, right);
    if (product < 0) {
      const spelling = spell();
      product = this.#pieces.find(spelling, 0, spelling.length);
      if (product < 0) throw this.#reader.fail(`a merge into a piece of the vocabulary, got "${shown(spelling)}"`);
    }
    if (this.#count === MOST_MERGES) throw this.#reader.fail(`at most ${MOST_MERGES} merges`);
    if (this.#count === this.#lefts.length) {
      this.#lefts = doubled(this.#lefts);
      this.#rights = doubled(this.#rights);
      this.#products = doubled(this.#products);
    }
    this.#lefts[this.#count] = left;
    this.#rights[this.#count] = right;
    this.#products[this.#count++] = product;
  }
}

function startsWith(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  return end - start >= prefix.length && prefix.every((byte, i) => bytes[start + i] === byte);
}

function joined(left: Uint8Array, right: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(left.length + right.length);
  bytes.set(left);
  bytes.set(right, left.length);
  return bytes;
}

function shown(spelling: Uint8Array): string {
  return new TextDecoder().decode(spelling.subarray(0, 40));
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
