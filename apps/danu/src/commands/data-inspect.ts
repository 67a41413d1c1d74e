import { inspectDataset, openDataset } from "@danu/data";

import { defineCommand, type Command } from "../cli/command.ts";
import { Reporter } from "../cli/reporter.ts";
import { showDataset } from "../data/show-dataset.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";

export const command: Command = defineCommand({
  name: "data inspect",
  description: "Shows what a folder of token shards holds, and its first rows as training sees them: every document in "
    + "another colour, | before its first token, ‸ after a token without a target.",
  positionals: { name: "DIR", min: 1, max: 1 },
  flags: {
    tokenizer: { type: "text", value: "PATH", help: "writes tokens as text instead of ids" },
    rows: { type: "integer", value: "N", min: 0, max: 1000, default: 2, help: "rows to show" },
    sequenceLength: { type: "integer", value: "T", min: 1, max: 1_000_000, default: 128, help: "tokens in a row" },
    verify: { type: "boolean", help: "read everything and check it against its hashes first" },
  },
  examples: ["danu data inspect data/novels --tokenizer tokenizer.model --rows 4"],
  run: async ({ flags, positionals }, io) => {
    const reporter = new Reporter(io, flags.json);
    const source = flags.tokenizer === undefined ? null : await openTokenizer(flags.tokenizer);
    using dataset = openDataset(positionals[0]!, {
      verify: flags.verify, ...(source === null ? {} : { tokenizerHash: source.sha256 }),
    });
    const report = inspectDataset(dataset, {
      rows: flags.rows, sequenceLength: flags.sequenceLength,
      ...(source === null ? {} : { decodeToken: (id) => source.tokenizer.pieces[id]! }),
    });
    reporter.result(report, () => showDataset(report, reporter, source === null ? " " : ""));
  },
});
