import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { loadTokenizer, type Tokenizer } from "../src/index.ts";

const repository = path.resolve(import.meta.dirname, "../../..");
const data = path.resolve(repository, process.env["DANU_SHARED"] ?? "../shared", "data");

/** Whether the folder of third-party test data is there; tests that need it skip with a reason when it is not. */
export const hasData: boolean = existsSync(path.join(data, "tokenizers"));

/** One text or decoding that sentencepiece made. */
export interface Case {
  readonly text: string;
  readonly ids: readonly number[];
}

export function readData(file: string): Uint8Array {
  return readFileSync(path.join(data, file));
}

export function readDataText(file: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(readData(file));
}

export function readGolden<T>(file: string): T {
  return JSON.parse(readFileSync(path.join(import.meta.dirname, "golden", file), "utf8")) as T;
}

export function loadData(file: string): Tokenizer {
  return loadTokenizer(readData(file));
}

/** A piece for `modelBytes`. */
export interface Piece {
  readonly spelling: string;
  readonly score?: number;
  readonly kind?: number;
}

/** Fields of a model beside its pieces; the defaults make an ordinary byte-pair model. */
export interface ModelOptions {
  readonly modelType?: number;
  readonly byteFallback?: boolean;
  readonly addDummyPrefix?: boolean;
  readonly removeExtraWhitespaces?: boolean;
  readonly escapeWhitespaces?: boolean;
  readonly characterMap?: Uint8Array;
}

export const special: readonly Piece[] = [
  { spelling: "<unk>", kind: 2 },
  { spelling: "<s>", kind: 3 },
  { spelling: "</s>", kind: 3 },
];

export const byteNames: readonly Piece[] = Array.from({ length: 256 }, (_, byte) => ({
  spelling: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  kind: 6,
}));

/** The bytes of a `.model` file with these pieces. */
export function modelBytes(pieces: readonly Piece[], options: ModelOptions = {}): Uint8Array {
  const file = pieces.flatMap(({ spelling, score = 0, kind = 1 }) =>
    field(1, [...field(1, [...Buffer.from(spelling)]), 0x15, ...float(score), ...flag(3, kind)]),
  );
  const trainer = [...flag(3, options.modelType ?? 2), ...flag(35, Number(options.byteFallback ?? false))];
  const normalizer = [
    ...field(2, [...(options.characterMap ?? [])]),
    ...flag(3, Number(options.addDummyPrefix ?? true)),
    ...flag(4, Number(options.removeExtraWhitespaces ?? false)),
    ...flag(5, Number(options.escapeWhitespaces ?? true)),
  ];
  return Uint8Array.from([...file, ...field(2, trainer), ...field(3, normalizer)]);
}

export function field(number: number, payload: readonly number[]): number[] {
  return [...varint(number * 8 + 2), ...varint(payload.length), ...payload];
}

function flag(number: number, value: number): number[] {
  return [...varint(number * 8), ...varint(value)];
}

export function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

function float(value: number): number[] {
  return [...new Uint8Array(Float32Array.of(value).buffer)];
}
