import { DataError } from "../data-error.ts";
import { join } from "./raw-row.ts";

/** A stretch of a file that is one document. */
export interface TextPiece {
  readonly bytes: Buffer;
  /** Of the first byte in the file. */
  readonly offset: number;
  /** A separator line stands before or after it. */
  readonly separated: boolean;
}

/** Settings of {@link TextSplitter}. */
export interface TextSplitterOptions {
  readonly path: string;
  /** A line equal to this ends a document; `null` for none. */
  readonly separator: string | null;
  /** Most bytes in one document. */
  readonly maxDocumentBytes: number;
  /** What a longer document brings: an error, or a cut after the last line that fits. */
  readonly longDocuments: "error" | "split";
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** Cuts a stream of bytes into documents at lines equal to the separator, holding no more than one document. */
export class TextSplitter {
  readonly #options: TextSplitterOptions;
  readonly #separator: Buffer | null;
  #parts: Buffer[] = [];
  #length = 0;
  #offset = 0;
  /** The last, unfinished line while it may still become a separator. */
  #undecided: Buffer = Buffer.alloc(0);
  #atLineStart = true;
  #separated = false;

  constructor(options: TextSplitterOptions) {
    this.#options = options;
    this.#separator = options.separator === null ? null : Buffer.from(options.separator, "utf8");
  }

  /** Takes the next bytes and gives the documents that they complete.
   *  @throws DataError `document-too-long` */
  *push(chunk: Buffer): Generator<TextPiece, void, undefined> {
    const block = this.#undecided.length === 0 ? chunk : Buffer.concat([this.#undecided, chunk]);
    this.#undecided = block.subarray(0, 0);
    let from = 0;
    for (const [start, end] of this.#separatorLines(block)) {
      yield* this.#append(block.subarray(from, start));
      yield this.#finish(true);
      this.#offset += end - start;
      from = end;
    }
    const rest = block.subarray(from);
    const undecided = this.#undecidedLength(rest);
    yield* this.#append(rest.subarray(0, rest.length - undecided));
    this.#undecided = rest.subarray(rest.length - undecided);
  }

  /** Gives what is left when the bytes have ended. */
  *end(): Generator<TextPiece, void, undefined> {
    const line = this.#undecided;
    const isSeparator = this.#separator !== null && line.length > 0 && withoutReturn(line).equals(this.#separator);
    if (!isSeparator) yield* this.#append(line);
    yield this.#finish(isSeparator || this.#separated);
  }

  *#separatorLines(block: Buffer): Generator<[number, number], void, undefined> {
    const separator = this.#separator;
    if (separator === null) return;
    let i = block.indexOf(separator);
    while (i !== -1) {
      const startsLine = i === 0 ? this.#atLineStart : block[i - 1] === lineFeed;
      let end = i + separator.length;
      if (block[end] === carriageReturn) end++;
      if (startsLine && block[end] === lineFeed) yield [i, end + 1];
      i = block.indexOf(separator, i + separator.length);
    }
  }

  #undecidedLength(rest: Buffer): number {
    if (this.#separator === null) return 0;
    const lastFeed = rest.lastIndexOf(lineFeed);
    if (lastFeed === -1 && !this.#atLineStart) return 0;
    const length = rest.length - lastFeed - 1;
    return length <= this.#separator.length + 1 ? length : 0;
  }

  *#append(bytes: Buffer): Generator<TextPiece, void, undefined> {
    if (bytes.length === 0) return;
    this.#parts.push(bytes);
    this.#length += bytes.length;
    this.#atLineStart = bytes[bytes.length - 1] === lineFeed;
    while (this.#length > this.#options.maxDocumentBytes) yield this.#cutLong();
  }

  #cutLong(): TextPiece {
    const { path, maxDocumentBytes, longDocuments } = this.#options;
    if (longDocuments === "error") {
      throw new DataError(
        "document-too-long",
        `${path}: a document is longer than ${maxDocumentBytes} bytes; name the documentSeparator, raise ` +
          'maxDocumentBytes, or set longDocuments to "split"',
        { path, offset: this.#offset, maxDocumentBytes },
      );
    }
    const whole = join(this.#parts);
    const cut = cutPosition(whole, maxDocumentBytes);
    const piece = { bytes: whole.subarray(0, cut), offset: this.#offset, separated: this.#separated };
    this.#parts = [whole.subarray(cut)];
    this.#length = whole.length - cut;
    this.#offset += cut;
    return piece;
  }

  #finish(separated: boolean): TextPiece {
    const piece = { bytes: join(this.#parts), offset: this.#offset, separated };
    this.#offset += this.#length;
    this.#parts = [];
    this.#length = 0;
    this.#separated = separated;
    return piece;
  }
}

function withoutReturn(line: Buffer): Buffer {
  return line[line.length - 1] === carriageReturn ? line.subarray(0, -1) : line;
}

/** After the last line that fits; where no line does, before the last whole character. */
function cutPosition(bytes: Buffer, limit: number): number {
  const afterLine = bytes.lastIndexOf(lineFeed, limit - 1) + 1;
  if (afterLine > 0) return afterLine;
  let cut = limit;
  while (cut > limit - 4 && cut > 1 && ((bytes[cut] ?? 0) & 0xc0) === 0x80) cut--;
  return cut;
}
