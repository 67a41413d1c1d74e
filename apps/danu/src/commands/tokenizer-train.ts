import { existsSync } from "node:fs";
import { join } from "node:path";

import { listFiles, readDocuments } from "@danu/data";
import { saveTokenizer, trainBpe } from "@danu/tokenizer";

import { defineCommand, type Command } from "../cli/command.ts";
import { InputError } from "../cli/errors.ts";
import { bytes, short, withCommas } from "../cli/format.ts";
import { placeFile } from "../cli/place-file.ts";
import { RateMeter } from "../cli/rate-meter.ts";
import { Reporter } from "../cli/reporter.ts";
import { withBos } from "../model/tokenizer-file.ts";
import { stopOnSignals } from "../run/stop-on-signals.ts";

export const command: Command = defineCommand({
  name: "tokenizer train",
  description: "Makes a byte-pair vocabulary for text files, as SentencePiece does for Llama 2: with byte fallback, digits "
    + "apart, a space before every text. Writes tokenizer.model and tokenizer.json with what transformers wants beside. The "
    + "same texts give the same files.",
  positionals: { name: "PATH…", min: 1, max: Infinity },
  flags: {
    vocabulary: { type: "integer", value: "N", min: 256, max: 65_536, default: 8000, help: "pieces, all counted" },
    out: { type: "text", value: "DIR", required: true, help: "folder to write to" },
    overwrite: { type: "boolean", help: "replace a tokenizer that stands there" },
    special: {
      type: "text", value: "TOKEN", multiple: true, help: "a special token such as <|user|>, which text never becomes by itself",
    },
    joinDigits: { type: "boolean", help: "let pieces hold several digits" },
    noByteFallback: { type: "boolean", help: "unknown characters become <unk> instead of their bytes" },
    coverage: {
      type: "number", value: "X", min: 0.5, max: 1, default: 0.999_95, help: "share of the characters that get a piece",
    },
    longest: { type: "integer", value: "N", min: 1, max: 128, default: 16, help: "characters of the longest piece" },
    spaces: { type: "integer", value: "N", min: 1, max: 64, default: 1, help: "longest run of spaces that gets a piece" },
    allowSmaller: { type: "boolean", help: "make fewer pieces where the text has not enough, instead of stopping" },
    field: { type: "text", value: "NAME", default: "text", help: "field of a JSON row that holds the text" },
  },
  examples: [
    "danu tokenizer train novels/ --vocabulary 8000 --out tokenizers/novels",
    "danu tokenizer train chats.jsonl.gz --field content --special '<|user|>' --special '<|end|>' --out tokenizers/chat",
  ],
  run: async ({ flags, positionals }, io) => {
    const reporter = new Reporter(io, flags.json);
    const { out } = flags;
    const taken = ["tokenizer.model", "tokenizer.json"].find((name) => existsSync(join(out, name)));
    if (taken !== undefined && !flags.overwrite) {
      throw new InputError(`${join(out, taken)} stands there already: choose another folder, or pass --overwrite`);
    }
    const totalBytes = (await listFiles(positionals)).reduce((sum, file) => sum + file.bytes, 0);
    const meter = new RateMeter();
    let read = 0;
    const onBytes = (count: number): void => {
      read += count;
    };
    const trained = await stopOnSignals((signal) =>
      trainBpe(textsOf(positionals, flags.field, onBytes), optionsOf(flags), {
        signal,
        onProgress: ({ phase, done, total }) => {
          if (phase === "count") {
            const rate = meter.describe(read, totalBytes, (perSecond) => `${bytes(perSecond)}/s`);
            reporter.progress(`counting words  ${bytes(read)} of ${bytes(totalBytes)}  ${rate}`);
          } else if (done % 64 === 0) reporter.progress(`making pieces  ${withCommas(done)} of ${withCommas(total!)}`);
        },
      }),
    );
    const tokenizer = withBos(trained.file);
    const files = new Map([...saveTokenizer(tokenizer, "sentencepiece"), ...saveTokenizer(tokenizer, "huggingface")]);
    for (const [name, content] of files) await placeFile(join(out, name), content);
    const { file: _, ...facts } = trained;
    reporter.result({ out, files: [...files.keys()], ...facts }, () => {
      reporter.line(
        `${withCommas(trained.vocabularySize)} pieces, ${withCommas(trained.characters)} of them characters, `
          + `from ${short(trained.words)} different words in ${bytes(trained.bytes)} of text`,
      );
      if (trained.uncoveredCharacters > 0) {
        reporter.line(`${withCommas(trained.uncoveredCharacters)} rare characters have no piece of their own`);
      }
      reporter.line(`written to ${out}: ${[...files.keys()].join(", ")}`);
    });
  },
});

async function* textsOf(
  paths: readonly string[], field: string, onBytes: (count: number) => void,
): AsyncGenerator<string, void, undefined> {
  for await (const { text } of readDocuments(paths, { field, onBytes, longDocuments: "split" })) yield text;
}

function optionsOf(flags: {
  readonly vocabulary: number; readonly special: readonly string[]; readonly joinDigits: boolean;
  readonly noByteFallback: boolean; readonly coverage: number; readonly longest: number; readonly spaces: number;
  readonly allowSmaller: boolean;
}): Parameters<typeof trainBpe>[1] {
  return {
    vocabularySize: flags.vocabulary,
    byteFallback: !flags.noByteFallback,
    splitDigits: !flags.joinDigits,
    specialTokens: flags.special,
    characterCoverage: flags.coverage,
    maxPieceLength: flags.longest,
    longestSpaceRun: flags.spaces,
    allowSmaller: flags.allowSmaller,
  };
}
