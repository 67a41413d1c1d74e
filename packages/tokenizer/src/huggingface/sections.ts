import { TokenizerError } from "../errors.ts";
import type { AddedToken } from "../text/added-tokens.ts";
import { AddedTokenReader } from "./added-token-reader.ts";
import { type Alphabet, byteAlphabet, plainAlphabet, spaceAlphabet } from "./alphabets.ts";
import { JsonReader } from "./json-reader.ts";
import { type ModelSection, readModel } from "./model-section.ts";
import { StepsNormalizer } from "./normalizer.ts";
import { type WordCutting, wordCuttingOf } from "./pre-tokenizer.ts";
import { readSection, type Section } from "./section.ts";

/** Places in a file are held in 32 bits. */
const MOST_BYTES = 2 ** 31 - 1;
const VERSION = "1.0";

/** What a `tokenizer.json` says. */
export interface Sections {
  readonly addedTokens: readonly AddedToken[];
  readonly normalizer: StepsNormalizer;
  readonly cutting: WordCutting;
  readonly postProcessor: Section | undefined;
  readonly decoder: Section | undefined;
  readonly model: ModelSection;
}

type SmallSection = "normalizer" | "pre_tokenizer" | "post_processor" | "decoder";

/** Reads a `tokenizer.json`. @throws TokenizerError `malformed-model` or `unsupported-model` */
export function readSections(file: Uint8Array): Sections {
  if (file.length > MOST_BYTES) {
    const message = `tokenizer.json: expected at most ${MOST_BYTES} bytes, got ${file.length}`;
    throw new TokenizerError("malformed-model", message);
  }
  const reader = new JsonReader(file, "tokenizer.json");
  const small = new Map<SmallSection, Section | undefined>();
  let tokens: readonly AddedToken[] = [];
  let model: ModelSection | undefined;
  let laterModel: JsonReader | undefined;
  reader.fields((name) => {
    if (isSmall(name)) small.set(name, readSection(reader));
    else if (name === "added_tokens") tokens = readAddedTokens(reader);
    else if (name === "version") requireVersion(reader);
    else if (name !== "model") reader.skip();
    else if (small.has("normalizer") && small.has("pre_tokenizer")) model = readModel(reader, alphabetOf(small));
    else {
      // How pieces are spelled depends on those.
      laterModel = reader.fork();
      reader.skip();
    }
  });
  reader.close();
  if (laterModel !== undefined) model = readModel(laterModel, alphabetOf(small));
  if (model === undefined) throw reader.fail('a field "model"');
  return {
    addedTokens: tokens,
    ...textSteps(small),
    postProcessor: small.get("post_processor"),
    decoder: small.get("decoder"),
    model,
  };
}

type SmallSections = ReadonlyMap<SmallSection, Section | undefined>;

function textSteps(small: SmallSections): Pick<Sections, "normalizer" | "cutting"> {
  const normalizer = new StepsNormalizer(small.get("normalizer"));
  return { normalizer, cutting: wordCuttingOf(small.get("pre_tokenizer"), normalizer) };
}

function isSmall(name: string): name is SmallSection {
  return name === "normalizer" || name === "pre_tokenizer" || name === "post_processor" || name === "decoder";
}

function readAddedTokens(reader: JsonReader): readonly AddedToken[] {
  const tokens = new AddedTokenReader(reader);
  if (!reader.isNull()) reader.items(() => tokens.read());
  return tokens.tokens;
}

function requireVersion(reader: JsonReader): void {
  if (reader.isNull()) return;
  const version = reader.stringUpTo(100);
  if (version === VERSION) return;
  throw new TokenizerError("unsupported-model", `tokenizer.json: expected version ${VERSION}, got "${version}"`);
}

function alphabetOf(small: SmallSections): Alphabet {
  const { normalizer, cutting } = textSteps(small);
  if (cutting.kind === "bytes") return byteAlphabet;
  return normalizer.replacesSpaces || cutting.replacesSpaces ? spaceAlphabet : plainAlphabet;
}
