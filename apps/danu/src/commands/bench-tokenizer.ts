import { benchTokenizer } from "../bench/tokenizer.ts";
import { defineCommand, type Command } from "../cli/command.ts";
import { withCommas } from "../cli/format.ts";
import { readInput } from "../cli/read-file.ts";
import { Reporter } from "../cli/reporter.ts";

export const command: Command = defineCommand({
  name: "bench tokenizer",
  description: "Speed of a tokenizer on one core, over a text file as one document.",
  flags: {
    tokenizer: { type: "text", value: "PATH", required: true, help: "tokenizer.model, tokenizer.json, or a folder with one" },
    file: { type: "text", value: "TEXT", required: true, help: "a text file" },
  },
  examples: ["danu bench tokenizer --tokenizer tokenizer.model --file novel.txt --json"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    const text = new TextDecoder().decode(await readInput(flags.file, 2 ** 30));
    const result = benchTokenizer(await readInput(flags.tokenizer, 2 ** 29), text);
    reporter.result(result, () => reporter.line(
      `encode ${result.encodeMBps.toFixed(1)} MB/s, decode ${result.decodeMBps.toFixed(1)} MB/s, `
        + `load ${result.loadMs.toFixed(0)} ms, ${withCommas(result.tokens)} tokens`,
    ));
  },
});
