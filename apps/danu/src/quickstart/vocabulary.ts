/** Piece types of sentencepiece_model.proto. */
const kind = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;

const space = "▁";

/** Makes a SentencePiece `.model` for a text: control pieces, all bytes, the pairs that occur most often, joined again
 *  and again (byte-pair encoding: Sennrich et al. 2016), and the characters. Text of any other kind is written in bytes.
 *  @param pieces size of the vocabulary, reached unless every word is one piece before
 *  @returns the file */
export function buildVocabulary(text: string, pieces: number): Uint8Array {
  const words = countWords(text);
  const characters = [...new Set([...words.keys()].flatMap((word) => [...word]))].sort();
  const fixed = [
    piece("<unk>", 0, kind.unknown),
    piece("<s>", 0, kind.control),
    piece("</s>", 0, kind.control),
    ...Array.from({ length: 256 }, (_, byte) =>
      piece(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, 0, kind.byte),
    ),
  ];
  const merged = mergePairs(words, pieces - fixed.length - characters.length);
  const normal = [...merged, ...characters].map((spelling, rank) => piece(spelling, -rank, kind.normal));
  return concat([...fixed, ...normal, trainerSpec(fixed.length + normal.length), normalizerSpec()]);
}

/** How often each word occurs, with the space before it. */
function countWords(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [word] of text.matchAll(/ ?[A-Za-z]+| ?[^A-Za-z\s]/g)) {
    const spelled = word.replace(" ", space);
    counts.set(spelled, (counts.get(spelled) ?? 0) + 1);
  }
  return counts;
}

/** Joins the most frequent pair of neighbours until `count` pieces are made. @returns them in that order */
function mergePairs(counts: ReadonlyMap<string, number>, count: number): string[] {
  const words = [...counts].map(([word, times]) => ({ symbols: [...word], times }));
  const made = new Set<string>();
  while (made.size < count) {
    const pairs = new Map<string, number>();
    for (const { symbols, times } of words) {
      for (let i = 1; i < symbols.length; i++) {
        const key = `${symbols[i - 1]!} ${symbols[i]!}`;
        pairs.set(key, (pairs.get(key) ?? 0) + times);
      }
    }
    const best = [...pairs].reduce<[string, number] | null>(
      (a, b) => (a === null || b[1] > a[1] || (b[1] === a[1] && b[0] < a[0]) ? b : a),
      null,
    );
    if (best === null) break;
    const [left, right] = best[0].split(" ") as [string, string];
    made.add(left + right);
    for (const word of words) join(word.symbols, left, right);
  }
  return [...made];
}

function join(symbols: string[], left: string, right: string): void {
  for (let i = 1; i < symbols.length; i++) {
    if (symbols[i - 1] === left && symbols[i] === right) symbols.splice(i - 1, 2, left + right);
  }
}

/** Field 1 of ModelProto: spelling, score, type. */
function piece(spelling: string, score: number, type: number): Uint8Array {
  const scoreBytes = new Uint8Array(new Float32Array([score]).buffer);
  return field(1, concat([field(1, Buffer.from(spelling, "utf8")), Uint8Array.of(0x15), scoreBytes, number(3, type)]));
}

/** Field 2: byte pairs (model_type 2) of this size with byte fallback; ids of unknown, begin, end and no padding. */
function trainerSpec(size: number): Uint8Array {
  return field(
    2,
    concat([number(3, 2), number(4, size), number(35, 1), number(40, 0), number(41, 1), number(42, 2), number(43, -1)]),
  );
}

/** Field 3: the identity, a space before the text, spaces kept. */
function normalizerSpec(): Uint8Array {
  return field(3, concat([field(1, Buffer.from("identity")), number(3, 1), number(4, 0), number(5, 1)]));
}

/** A field of bytes. */
function field(id: number, content: Uint8Array): Uint8Array {
  return concat([varint((id << 3) | 2), varint(content.length), content]);
}

/** A field that is a number. */
function number(id: number, value: number): Uint8Array {
  return concat([varint(id << 3), varint(value)]);
}

/** Base 128, lowest digits first; a negative number as 64 bits of two's complement. */
function varint(value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const digits: number[] = [];
  do {
    const digit = Number(rest & 0x7fn);
    rest >>= 7n;
    digits.push(rest > 0n ? digit | 0x80 : digit);
  } while (rest > 0n);
  return Uint8Array.from(digits);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
