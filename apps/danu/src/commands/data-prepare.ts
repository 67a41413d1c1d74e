import { prepareDataset } from "@danu/data";
import { BatchEncoder } from "@danu/tokenizer";

import { defineCommand, type Command } from "../cli/command.ts";
import { bytes, short } from "../cli/format.ts";
import { RateMeter } from "../cli/rate-meter.ts";
import { Reporter } from "../cli/reporter.ts";
import { stopOnSignals } from "../run/stop-on-signals.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";

export const command: Command = defineCommand({
  name: "data prepare",
  description: "Tokenises text files once into a folder of token shards, split into training and validation.",
  positionals: { name: "PATH…", min: 1, max: Infinity },
  flags: {
    tokenizer: { type: "text", value: "PATH", required: true, help: "tokenizer.model, tokenizer.json, or a folder with one" },
    out: { type: "text", value: "DIR", required: true, help: "folder to make" },
    threads: { type: "integer", value: "N", min: 0, max: 1024, help: "threads that tokenise (default: all)" },
    overwrite: { type: "boolean", help: "replace a dataset that stands there" },
    validationFraction: {
      type: "number",
      value: "X",
      min: 0,
      max: 0.99,
      default: 0.01,
      help: "share of the documents held out",
    },
    seed: { type: "integer", value: "N", min: 0, default: 0, help: "chooses the documents held out" },
    format: { type: "choice", choices: ["text", "jsonl", "json"], help: "of files whose name does not tell" },
    field: { type: "text", value: "NAME", default: "text", help: "field of a JSON row that holds the text" },
    skipBadRows: { type: "boolean", help: "count bad JSON rows and go on, instead of stopping" },
    replaceInvalid: { type: "boolean", help: "read bytes that are not UTF-8 as U+FFFD, instead of stopping" },
  },
  examples: [
    "danu data prepare novels/ --tokenizer tokenizer.model --out data/novels",
    "danu data prepare web.jsonl.gz --tokenizer tokenizer.model --out data/web --field content --skip-bad-rows",
  ],
  run: async ({ flags, positionals }, io) => {
    const reporter = new Reporter(io, flags.json);
    const { files, sha256 } = await openTokenizer(flags.tokenizer);
    const { threads } = flags;
    await using batchEncoder = new BatchEncoder(files, threads === undefined ? {} : { threads });
    const meter = new RateMeter();
    let badRows = 0;
    const manifest = await stopOnSignals((signal) =>
      prepareDataset({
        inputs: positionals,
        tokenizer: batchEncoder.tokenizer,
        batchEncoder,
        tokenizerHash: sha256,
        out: flags.out,
        overwrite: flags.overwrite,
        signal,
        validationFraction: flags.validationFraction,
        seed: flags.seed,
        read: {
          field: flags.field,
          invalidText: flags.replaceInvalid ? "replace" : "error",
          ...(flags.format === undefined ? {} : { format: flags.format }),
          ...(flags.skipBadRows
            ? {
                badRows: "skip",
                onBadRow: () => {
                  badRows++;
                },
              }
            : {}),
        },
        onProgress: ({ bytes: done, totalBytes, tokens }) => {
          reporter.progress(
            `${bytes(done)} of ${bytes(totalBytes)}  ${short(tokens)} tokens  ${meter.describe(
              done,
              totalBytes,
              (rate) => `${bytes(rate)}/s`,
            )}`,
          );
        },
      }),
    );
    const { train, validation } = manifest.splits;
    const sizes = {
      trainTokens: train.tokens,
      validationTokens: validation.tokens,
      documents: train.documents + validation.documents,
    };
    reporter.result({ out: flags.out, ...sizes, badRows }, () => {
      reporter.line(
        `${short(train.tokens)} tokens for training and ${short(validation.tokens)} for validation in ${flags.out}`,
      );
      if (badRows > 0) reporter.line(`${badRows} bad rows were passed over`);
    });
  },
});
