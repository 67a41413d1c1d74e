import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { PageHeader } from "hyparquet";
import { readPage } from "hyparquet/src/column.js";
import { convert, DEFAULT_PARSERS } from "hyparquet/src/convert.js";
import { getMaxRepetitionLevel } from "hyparquet/src/schema.js";
import { checkPage } from "./check-page.ts";
import { decompressorOf } from "./codecs.ts";
import { BytesEnd } from "./compact-protocol.ts";
import { type ColumnChunk, readAt } from "./footer.ts";
import { mostValues, parsePageHeader } from "./page-header.ts";

/** Values of a column, a row each. */
export type Values = Parameters<typeof convert>[0];

/** What a column reader needs to know besides the column. */
export interface ColumnOptions {
  /** Rows of the column's group. */
  readonly rows: number;
  /** Most bytes in one page, inflated. */
  readonly maxPageBytes: number;
  /** Told of the bytes of a page, before it is inflated and after. */
  readonly onPage: (read: number, inflated: number) => void;
  /** Decodes a text. */
  readonly decode: (bytes: Uint8Array) => unknown;
}

type Decoder = Parameters<typeof readPage>[2];

const readAhead = 128 * 1024;
const longestHeader = 1024 * 1024;

/** Reads one column of a row group page by page, and gives its values row by row. */
export class ColumnReader {
  /** Path of the column, with dots. */
  readonly name: string;
  readonly #file: FileHandle;
  readonly #chunk: ColumnChunk;
  readonly #options: ColumnOptions;
  readonly #decoder: Decoder;
  /** A row may have several values, and go on in the next page. */
  readonly #repeated: boolean;
  #position: number;
  #buffer: Buffer = Buffer.alloc(0);
  #dictionary: Values | undefined;
  #rows: Values = [];
  #taken = 0;
  #takenBefore = 0;
  #valuesOfRow = 0;

  constructor(file: FileHandle, chunk: ColumnChunk, options: ColumnOptions) {
    this.#file = file;
    this.#chunk = chunk;
    this.#options = options;
    this.#position = chunk.start;
    this.#repeated = getMaxRepetitionLevel(chunk.path) > 0;
    this.#decoder = decoderOf(chunk, options.decode);
    this.name = this.#decoder.pathInSchema.join(".");
  }

  /** Whole rows that can be taken. A row of several values is whole once the next begins. */
  get available(): number {
    const unfinished = this.#repeated && !this.#ended ? 1 : 0;
    return Math.max(this.#rows.length - unfinished - this.#taken, 0);
  }

  /** Reads on until there is a row to take. @throws Error with the reason, also if there is none */
  async fill(): Promise<void> {
    while (this.available === 0) {
      if (this.#ended)
        throw new Error(`it has ${this.#takenBefore + this.#taken} rows instead of ${this.#options.rows}`);
      await this.#nextPage();
    }
  }

  /** The values of the next rows. */
  take(count: number): Values {
    this.#taken += count;
    return this.#rows.slice(this.#taken - count, this.#taken);
  }

  get #left(): number {
    return this.#chunk.end - this.#position;
  }

  get #ended(): boolean {
    const found = this.#takenBefore + this.#rows.length;
    // Some writers put more after the last page.
    return this.#left === 0 || (!this.#repeated && found >= this.#options.rows);
  }

  async #nextPage(): Promise<void> {
    const header = await this.#nextHeader();
    const size = header.compressed_page_size;
    const body = (await this.#peek(size)).subarray(0, size);
    if (header.crc !== undefined && crc32(body) !== header.crc >>> 0)
      throw new Error("the checksum of a page is wrong");
    const page = exactly(await this.#inflate(header, body));
    this.#skip(size);
    this.#options.onPage(size, page.length);
    if (header.type === "DICTIONARY_PAGE") {
      this.#dictionary = convert(this.#valuesOf(header, page) ?? [], this.#decoder);
    } else if (header.type !== "INDEX_PAGE") this.#addRows(header, page);
  }

  async #nextHeader(): Promise<PageHeader> {
    for (let wanted = 4096; ; wanted *= 16) {
      const bytes = await this.#peek(Math.min(wanted, this.#left));
      try {
        const { header, length } = parsePageHeader(bytes.subarray(0, longestHeader));
        this.#skip(length);
        return header;
      } catch (error) {
        if (!(error instanceof BytesEnd) || wanted >= Math.min(this.#left, longestHeader)) throw error;
      }
    }
  }

  /** The page without compression; the levels of a page of version 2 have none. */
  async #inflate(header: PageHeader, body: Buffer): Promise<Uint8Array> {
    const size = header.uncompressed_page_size;
    const { maxPageBytes } = this.#options;
    if (size > maxPageBytes)
      throw new Error(`a page inflates to ${size} bytes, past the limit of ${maxPageBytes} (maxDocumentBytes)`);
    const v2 = header.data_page_header_v2;
    const levels = v2 === undefined ? 0 : v2.definition_levels_byte_length + v2.repetition_levels_byte_length;
    if (levels > Math.min(size, body.length)) throw new Error("the levels of a page go on past it");
    const packed = body.subarray(levels);
    const isPlain = v2?.is_compressed === false || size === levels;
    const plain = isPlain ? packed : (await decompressorOf(this.#chunk.codec))(packed, size - levels);
    if (plain.length === size - levels) return levels === 0 ? plain : Buffer.concat([body.subarray(0, levels), plain]);
    throw new Error(`a page inflates to ${plain.length + levels} bytes instead of ${size}`);
  }

  #addRows(header: PageHeader, page: Uint8Array<ArrayBuffer>): void {
    const count = (header.data_page_header ?? header.data_page_header_v2)?.num_values ?? 0;
    if (count === 0) return;
    const unfinished = this.#rows.slice(this.#taken);
    checkPage(page, header, this.#chunk.path, this.#options.maxPageBytes);
    const rows = this.#valuesOf(header, page, unfinished.length > 0 ? unfinished : undefined) ?? [];
    this.#valuesOfRow = (unfinished.length === rows.length ? this.#valuesOfRow : 0) + count;
    if (this.#valuesOfRow > mostValues) throw new Error(`a row has over ${mostValues} values`);
    this.#takenBefore += this.#taken;
    this.#taken = 0;
    this.#rows = rows;
    if (this.#takenBefore + rows.length > this.#options.rows) throw new Error(`it has over ${this.#options.rows} rows`);
  }

  #valuesOf(header: PageHeader, page: Uint8Array<ArrayBuffer>, unfinished?: Values): Values | undefined {
    const plain = { ...header, compressed_page_size: page.length, uncompressed_page_size: page.length };
    const reader = { view: new DataView(page.buffer), offset: 0 };
    return readPage(reader, plain, this.#decoder, this.#dictionary, unfinished, 0).data;
  }

  /** At least `length` bytes from the position on. */
  async #peek(length: number): Promise<Buffer> {
    if (length > this.#left) throw new Error("a page goes on past its column");
    if (this.#buffer.length < length) {
      const more = Math.min(Math.max(length, readAhead), this.#left) - this.#buffer.length;
      const bytes = await readAt(this.#file, this.#position + this.#buffer.length, more);
      this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
    }
    return this.#buffer;
  }

  #skip(length: number): void {
    this.#position += length;
    this.#buffer = this.#buffer.subarray(length);
  }
}

/** For pages that are no longer compressed. */
function decoderOf({ path }: ColumnChunk, decode: (bytes: Uint8Array) => unknown): Decoder {
  const { element } = path[path.length - 1]!;
  const pathInSchema = path.slice(1).map((part) => part.element.name);
  const parsers = { ...DEFAULT_PARSERS, stringFromBytes: decode, timestampFromNanoseconds: Number };
  return { pathInSchema, type: element.type!, element, schemaPath: path, codec: "UNCOMPRESSED", parsers };
}

/** The bytes with nothing around them, so that no length in them reaches other memory. */
function exactly(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
  return whole ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
