import { existsSync } from "node:fs";

import { formatNames, inspectDataset, inspectExamples, openDataset } from "@danu/data";

import { defineCommand, type Command } from "../cli/command.ts";
import { InputError, UsageError } from "../cli/errors.ts";
import type { FlagValues } from "../cli/flags.ts";
import { withCommas } from "../cli/format.ts";
import { Reporter } from "../cli/reporter.ts";
import { examplesResult } from "../data/examples-result.ts";
import { showDataset } from "../data/show-dataset.ts";
import { showExamples } from "../data/show-examples.ts";
import { chatTemplateOf } from "../model/chat-template.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";
import { isDataset } from "../run/run-data.ts";

const flags = {
  tokenizer: {
    type: "text", value: "PATH", help: "writes tokens as text instead of ids; conversations need one, and take its chat template",
  },
  rows: { type: "integer", value: "N", min: 0, max: 1000, help: "rows or examples to show (default 2)" },
  sequenceLength: { type: "integer", value: "T", min: 1, max: 1_000_000, default: 128, help: "of shards: tokens in a row" },
  verify: { type: "boolean", help: "of shards: read everything and check it against its hashes first" },
  maxLength: { type: "integer", value: "T", min: 1, help: "of conversations: most tokens of one in training (default all)" },
  as: {
    type: "choice", choices: ["conversations", "preferences", "labelled"],
    help: "what files hold, where it is not what their rows look like",
  },
  system: {
    type: "choice", choices: ["keep", "drop", "prepend"], default: "keep",
    help: "what becomes of system messages; prepend puts them before the first question, for templates without them",
  },
  format: { type: "text", value: "NAME", help: "format of all rows, where it is not recognised" },
} as const;

type Flags = FlagValues<typeof flags>;

export const command: Command = defineCommand({
  name: "data inspect",
  description: "Shows data as training sees it. Of a folder of token shards: what it holds and its first rows, every "
    + "document in another colour, | before its first token, ‸ after a token without a target. Of files of "
    + "conversations, preferences or labelled completions (.jsonl, .json, .parquet, also .gz, or hf:owner/name): the format found, "
    + "rendered examples with trained tokens in colour, lengths, and what would be dropped or cut, and why.\n\n"
    + `Formats: ${[...new Set(Object.values(formatNames).flat())].join(", ")}.`,
  positionals: { name: "PATH…", min: 1, max: 10_000 },
  flags,
  examples: [
    "danu data inspect data/novels --tokenizer tokenizer.model --rows 4",
    "danu data inspect chats.jsonl --tokenizer models/base --max-length 1024",
    "danu data inspect pairs.jsonl.gz --tokenizer models/chat --rows 5",
  ],
  run: async ({ flags, positionals }, io) => {
    const reporter = new Reporter(io, flags.json);
    const datasets = positionals.filter(isDataset);
    if (datasets.length === 0) return await inspectFiles(positionals, flags, reporter);
    if (positionals.length > 1) {
      throw new UsageError(`expected one folder of token shards, or files of examples, got ${datasets[0]!} among others`);
    }
    await inspectShards(datasets[0]!, flags, reporter);
  },
});

async function inspectShards(path: string, flags: Flags, reporter: Reporter): Promise<void> {
  const source = flags.tokenizer === undefined ? null : await openTokenizer(flags.tokenizer);
  using dataset = openDataset(path, {
    verify: flags.verify, ...(source === null ? {} : { tokenizerHash: source.sha256 }),
  });
  const report = inspectDataset(dataset, {
    rows: flags.rows ?? 2, sequenceLength: flags.sequenceLength,
    ...(source === null ? {} : { decodeToken: (id) => source.tokenizer.pieces[id]! }),
  });
  reporter.result(report, () => showDataset(report, reporter, source === null ? " " : ""));
}

async function inspectFiles(paths: readonly string[], flags: Flags, reporter: Reporter): Promise<void> {
  const missing = paths.find((path) => !path.startsWith("hf:") && !existsSync(path));
  if (missing !== undefined) throw new InputError(`${missing}: there is no such file or folder; check the path`);
  if (flags.tokenizer === undefined) {
    throw new UsageError("expected --tokenizer PATH: what is trained of a conversation follows from its tokens and chat template");
  }
  const file = await openTokenizer(flags.tokenizer);
  if (file.tokenizer.chatTemplate === undefined) reporter.note("the tokenizer has no chat template; Danube's is used");
  const { as: kind, format, maxLength } = flags;
  const report = await inspectExamples(paths, {
    tokenizer: file.tokenizer,
    template: chatTemplateOf(file),
    system: flags.system,
    examples: flags.rows ?? 2,
    onProgress: (examples) => reporter.progress(`${withCommas(examples)} examples read`),
    ...(kind === undefined ? {} : { kind }),
    ...(format === undefined ? {} : { format }),
    ...(maxLength === undefined ? {} : { maxLength }),
  });
  reporter.result(examplesResult(report, file.tokenizer), () => showExamples(report, file.tokenizer, reporter));
}
