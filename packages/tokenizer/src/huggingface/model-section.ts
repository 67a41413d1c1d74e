import { TokenizerError } from "../errors.ts";
import type { Alphabet } from "./alphabets.ts";
import type { WordOptions } from "./character-vocabulary.ts";
import type { JsonReader } from "./json-reader.ts";
import { type MergeList, readMerges } from "./merge-reader.ts";
import type { Pieces } from "./pieces.ts";
import { readVocabulary } from "./vocabulary-reader.ts";

/** In bytes. */
const LONGEST_TOKEN = 1 << 16;

/** The model of a `tokenizer.json`. */
export interface ModelSection {
  readonly pieces: Pieces;
  readonly merges: MergeList;
  readonly options: WordOptions;
}

/** Reads the model that comes next. Files from before 2020 have no type: a vocabulary and merges tell that it is BPE.
 *  @throws TokenizerError `malformed-model`, or `unsupported-model` for other models and options */
export function readModel(reader: JsonReader, alphabet: Alphabet): ModelSection {
  const options = { byteFallback: false, fuseUnk: false, ignoreMerges: false };
  let unkToken: string | undefined;
  let pieces: Pieces | undefined;
  let merges: MergeList | undefined;
  let earlyMerges: JsonReader | undefined;
  const flag = (): boolean => !reader.isNull() && reader.boolean();
  reader.fields((name) => {
    switch (name) {
      case "type":
        return requireBpe(reader.stringUpTo(LONGEST_TOKEN));
      case "vocab":
        pieces = readVocabulary(reader, alphabet);
        return;
      case "merges":
        if (pieces !== undefined) merges = readMerges(reader, pieces);
        else {
          earlyMerges = reader.fork();
          reader.skip();
        }
        return;
      case "unk_token":
        unkToken = reader.isNull() ? undefined : reader.stringUpTo(LONGEST_TOKEN);
        return;
      case "fuse_unk":
        options.fuseUnk = flag();
        return;
      case "byte_fallback":
        options.byteFallback = flag();
        return;
      case "ignore_merges":
        options.ignoreMerges = flag();
        return;
      case "dropout":
        if (!reader.isNull() && reader.number() !== 0) throw unsupported("no dropout", "one: ids would be random");
        return;
      case "continuing_subword_prefix":
      case "end_of_word_suffix":
        if (!reader.isNull() && reader.stringUpTo(LONGEST_TOKEN) !== "") throw unsupported(`no ${name}`, "one");
        return;
      default:
        reader.skip();
    }
  });
  if (pieces === undefined) throw reader.fail("a vocab in the model");
  if (earlyMerges !== undefined) merges = readMerges(earlyMerges, pieces);
  if (merges === undefined) throw unsupported("a model of type BPE with merges", "one without");
  return { pieces, merges, options: { ...options, unkToken } };
}

function requireBpe(type: string): void {
  if (type !== "BPE") throw unsupported("a model of type BPE", type);
}

function unsupported(wish: string, got: string): TokenizerError {
  const message = `tokenizer.json: expected ${wish}, got ${got}: it cannot be read here`;
  return new TokenizerError("unsupported-model", message);
}
