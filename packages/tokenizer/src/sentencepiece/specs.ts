import { TokenizerError } from "../errors.ts";
import { ProtobufReader } from "./protobuf.ts";

/** The settings of the file's TrainerSpec that change how text is encoded or decoded. */
export interface TrainerSpec {
  /** 1 unigram, 2 bpe, 3 word, 4 char. */
  modelType: number;
  /** Characters without a piece become their UTF-8 bytes instead of the unknown piece. */
  byteFallback: boolean;
  /** The dummy space goes after the text instead of before. */
  whitespaceAsSuffix: boolean;
  /** What the unknown piece decodes to. */
  unkSurface: string;
  bosPiece: string;
  eosPiece: string;
  padPiece: string;
}

/** The settings of the file's NormalizerSpec. */
export interface NormalizerSpec {
  /** Name of the rule, for messages. */
  name: string;
  /** The rules of `CharacterMap` (NFKC and the like); empty where characters stay as they are. */
  characterMap: Uint8Array;
  /** Puts a space before the text. */
  addDummyPrefix: boolean;
  /** Drops spaces at both ends and all but one of a run. */
  removeExtraWhitespaces: boolean;
  /** Spells a space as `▁`. */
  escapeWhitespaces: boolean;
}

/** Reads the message TrainerSpec at `file[start … end)`; what is absent has the format's default. */
export function parseTrainer(file: Uint8Array, start: number, end: number): TrainerSpec {
  const spec: TrainerSpec = {
    modelType: 1,
    byteFallback: false,
    whitespaceAsSuffix: false,
    unkSurface: " \u2047 ",
    bosPiece: "<s>",
    eosPiece: "</s>",
    padPiece: "<pad>",
  };
  const fields = new ProtobufReader(file, start, end);
  while (fields.next()) {
    if (fields.field === 3) spec.modelType = fields.int32();
    else if (fields.field === 24) spec.whitespaceAsSuffix = fields.int32() !== 0;
    else if (fields.field === 35) spec.byteFallback = fields.int32() !== 0;
    else if (fields.field === 44) spec.unkSurface = readString(fields, file);
    else if (fields.field === 46) spec.bosPiece = readString(fields, file) || spec.bosPiece;
    else if (fields.field === 47) spec.eosPiece = readString(fields, file) || spec.eosPiece;
    else if (fields.field === 48) spec.padPiece = readString(fields, file) || spec.padPiece;
    else fields.skip();
  }
  return spec;
}

/** Reads the message NormalizerSpec at `file[start … end)`. */
export function parseNormalizer(file: Uint8Array, start: number, end: number): NormalizerSpec {
  const spec: NormalizerSpec = {
    name: "",
    characterMap: new Uint8Array(0),
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
  };
  const fields = new ProtobufReader(file, start, end);
  while (fields.next()) {
    if (fields.field === 1) spec.name = readString(fields, file);
    else if (fields.field === 2) {
      fields.content();
      spec.characterMap = file.subarray(fields.start, fields.end);
    } else if (fields.field === 3) spec.addDummyPrefix = fields.int32() !== 0;
    else if (fields.field === 4) spec.removeExtraWhitespaces = fields.int32() !== 0;
    else if (fields.field === 5) spec.escapeWhitespaces = fields.int32() !== 0;
    else fields.skip();
  }
  return spec;
}

function readString(fields: ProtobufReader, file: Uint8Array): string {
  fields.content();
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return decoder.decode(file.subarray(fields.start, fields.end));
  } catch {
    const message = `tokenizer model: expected text in UTF-8 at byte ${fields.start}, got other bytes`;
    throw new TokenizerError("malformed-model", message, { position: fields.start });
  }
}
