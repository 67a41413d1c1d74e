import type { Alphabet } from "./alphabets.ts";
import type { JsonReader } from "./json-reader.ts";
import { unescapeJson } from "./json-text.ts";
import { Pieces } from "./pieces.ts";

/** Ids are below this. */
export const MOST_IDS: number = 1 << 20;
/** Ids that may be left out between the others. */
const MOST_ABSENT = 1 << 16;
/** In bytes of the file. */
const LONGEST_PIECE = 1 << 16;
/** `"":0,` is the shortest entry. */
const SHORTEST_ENTRY = 5;

/** Where in the file the spelling of each id is. */
class Places {
  starts = new Uint32Array(1 << 12);
  /** 0 for an id without a piece: no spelling can end there. */
  ends = new Uint32Array(1 << 12);
  escaped = new Uint8Array(1 << 12);
  size = 0;
  byteLength = 0;

  add(id: number, start: number, end: number, escaped: boolean): void {
    if (id >= this.ends.length) this.#grow(id);
    this.starts[id] = start;
    this.ends[id] = end;
    this.escaped[id] = escaped ? 1 : 0;
    this.size = Math.max(this.size, id + 1);
    this.byteLength += end - start;
  }

  #grow(id: number): void {
    const capacity = Math.max(id + 1, this.ends.length * 2);
    const [starts, ends, escaped] = [new Uint32Array(capacity), new Uint32Array(capacity), new Uint8Array(capacity)];
    starts.set(this.starts);
    ends.set(this.ends);
    escaped.set(this.escaped);
    Object.assign(this, { starts, ends, escaped });
  }
}

/** Reads the object of pieces and ids that comes next. @throws TokenizerError `malformed-model` */
export function readVocabulary(reader: JsonReader, alphabet: Alphabet): Pieces {
  const places = new Places();
  // So that a short file cannot ask for large arrays.
  const most = Math.min(MOST_IDS - 1, Math.floor(reader.bytes.length / SHORTEST_ENTRY) + MOST_ABSENT);
  let count = 0;
  reader.entries(() => {
    const { start, end, escaped } = reader;
    if (end - start > LONGEST_PIECE) throw reader.fail(`pieces of at most ${LONGEST_PIECE} bytes`);
    const id = reader.integer(most);
    if (id < places.size && places.ends[id] !== 0) throw reader.fail(`a different id for each piece, got ${id} again`);
    places.add(id, start, end, escaped);
    count++;
  });
  if (places.size - count > MOST_ABSENT) throw reader.fail(`at most ${MOST_ABSENT} unused ids below the highest`);
  return piecesAt(places, reader, alphabet);
}

function piecesAt(places: Places, reader: JsonReader, alphabet: Alphabet): Pieces {
  const { bytes } = reader;
  const { starts, ends, escaped, size } = places;
  const pieces = new Pieces(alphabet, size, places.byteLength);
  for (let id = 0; id < size; id++) {
    const start = starts[id]!;
    const end = ends[id]!;
    if (end === 0) {
      if (!pieces.addAbsent()) throw reader.fail(`no piece of bytes that no text has, got one like id ${id}`);
      continue;
    }
    const spelling = escaped[id] === 0 ? { bytes, start, end } : unescapeJson(bytes, start, end);
    const isNew = pieces.add(spelling.bytes, spelling.start, spelling.end);
    if (!isNew) throw reader.fail(`pieces that differ, got that of id ${id} again`);
  }
  return pieces;
}
