import { defineCommand, type Command } from "../cli/command.ts";
import { UsageError } from "../cli/errors.ts";
import { readText } from "../cli/read-file.ts";
import { Reporter } from "../cli/reporter.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";
import { inspectText, inspectVocabulary } from "../tokenizer/inspect-tokenizer.ts";
import { showText, showVocabulary } from "../tokenizer/show-tokenizer.ts";

export const command: Command = defineCommand({
  name: "tokenizer inspect",
  description: "Shows what a vocabulary holds and, given a text, the text in coloured tokens with their ids and how well the "
    + "vocabulary fits it: bytes per token, pieces that never occur, the longest and the most frequent.",
  flags: {
    tokenizer: { type: "text", value: "PATH", required: true, help: "tokenizer.model, tokenizer.json, or a folder with one" },
    file: { type: "text", value: "TEXT", help: "text file in UTF-8" },
    text: { type: "text", value: "TEXT", help: "the text itself" },
    tokens: { type: "integer", value: "N", min: 0, max: 100_000, default: 200, help: "tokens of the text to show" },
    top: { type: "integer", value: "N", min: 1, max: 1000, default: 10, help: "pieces in each list" },
  },
  examples: [
    "danu tokenizer inspect --tokenizer tokenizer.model",
    'danu tokenizer inspect --tokenizer tokenizer.json --text "How do you do?"',
    "danu tokenizer inspect --tokenizer tokenizer.model --file novel.txt --tokens 50",
  ],
  run: async ({ flags }, io) => {
    if (flags.file !== undefined && flags.text !== undefined) throw new UsageError("expected either --file or --text");
    const { tokenizer } = await openTokenizer(flags.tokenizer);
    const vocabulary = inspectVocabulary(tokenizer, flags.top);
    const source = flags.file === undefined ? flags.text : await readText(flags.file);
    const text = source === undefined ? null : inspectText(tokenizer, source, flags.tokens, flags.top);
    const reporter = new Reporter(io, flags.json);
    reporter.result({ vocabulary, text }, () => {
      showVocabulary(vocabulary, reporter);
      if (text !== null) showText(text, reporter);
    });
  },
});
