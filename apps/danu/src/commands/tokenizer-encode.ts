import { defineCommand, type Command } from "../cli/command.ts";
import { UsageError } from "../cli/errors.ts";
import { readText } from "../cli/read-file.ts";
import { Reporter } from "../cli/reporter.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";

export const command: Command = defineCommand({
  name: "tokenizer encode",
  description: 'Prints the token ids of a text, with --json as {"ids": […]}.',
  flags: {
    tokenizer: { type: "text", value: "PATH", required: true, help: "tokenizer.model, tokenizer.json, or a folder with one" },
    file: { type: "text", value: "TEXT", help: "text file in UTF-8" },
    text: { type: "text", value: "TEXT", help: "the text itself" },
    bos: { type: "boolean", help: "put the begin token first" },
    eos: { type: "boolean", help: "put the end token last" },
  },
  examples: ['danu tokenizer encode --tokenizer tokenizer.model --text "Once upon a time"'],
  run: async ({ flags }, io) => {
    const { file, text } = flags;
    if ((file === undefined) === (text === undefined)) throw new UsageError("expected either --file or --text");
    const { tokenizer } = await openTokenizer(flags.tokenizer);
    const ids = tokenizer.encode(text ?? (await readText(file!)), { addBos: flags.bos, addEos: flags.eos });
    const reporter = new Reporter(io, flags.json);
    reporter.result({ ids: [...ids] }, () => reporter.line(ids.join(" ")));
  },
});
