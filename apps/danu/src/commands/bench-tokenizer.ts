import { stat } from "node:fs/promises";

import { listFiles } from "@danu/data";

import { benchTokenizer, benchTraining, type TrainingResult } from "../bench/tokenizer.ts";
import { defineCommand, type Command } from "../cli/command.ts";
import { UsageError } from "../cli/errors.ts";
import { bytes, table, withCommas } from "../cli/format.ts";
import { readInput } from "../cli/read-file.ts";
import { Reporter } from "../cli/reporter.ts";
import { readTokenizer } from "../model/tokenizer-file.ts";

export const command: Command = defineCommand({
  name: "bench tokenizer",
  description: "Speed of a tokenizer on one core, over text files as whole documents and line by line; with --worst also on "
    + "texts that make tokenizers slow, and how the time grows with four times the text.",
  flags: {
    tokenizer: { type: "text", value: "PATH", help: "tokenizer.model, tokenizer.json, or a folder with one" },
    file: { type: "text", value: "TEXT", required: true, help: "a text file, or a folder of them" },
    worst: { type: "boolean", help: "time the hard texts too" },
    train: { type: "integer", value: "N", min: 256, max: 65_536, help: "instead, time the training of N pieces on the files" },
  },
  examples: [
    "danu bench tokenizer --tokenizer tokenizer.model --file novel.txt --json",
    "danu bench tokenizer --tokenizer tokenizer.json --file novels/ --worst",
    "danu bench tokenizer --train 8000 --file novels/",
  ],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    const isFolder = (await stat(flags.file)).isDirectory();
    const paths = isFolder ? (await listFiles([flags.file])).map((file) => file.path) : [flags.file];
    const contents = await Promise.all(paths.map((path) => readInput(path, 2 ** 30)));
    if (flags.train !== undefined) return reportTraining(benchTraining(contents, flags.train), reporter);
    if (flags.tokenizer === undefined) throw new UsageError("expected --tokenizer PATH, or --train N");
    const texts = contents.map((content) => new TextDecoder().decode(content));
    const { files } = await readTokenizer(flags.tokenizer);
    const result = benchTokenizer(files, texts, flags.worst);
    reporter.result(result, () => {
      const { encodeMBps, linesMBps, decodeMBps, loadMs, tokens, worstCases } = result;
      reporter.line(
        `encode ${encodeMBps.toFixed(1)} MB/s, line by line ${linesMBps.toFixed(1)} MB/s, decode ${decodeMBps.toFixed(1)} MB/s, `
          + `load ${loadMs.toFixed(0)} ms, ${withCommas(tokens)} tokens`,
      );
      if (worstCases.length === 0) return;
      const rows = worstCases.map(({ name, MBps, growth }) => [name, MBps.toFixed(1), growth.toFixed(1)]);
      reporter.line();
      reporter.line(table(["text of 1 MB", "MB/s", "time for 4 MB"], rows));
    });
  },
});

function reportTraining(result: TrainingResult, reporter: Reporter): void {
  reporter.result(result, () => {
    const { pieces, seconds, processorSeconds } = result;
    reporter.line(
      `${withCommas(pieces)} pieces from ${bytes(result.bytes)} in ${seconds.toFixed(2)} s, `
        + `${processorSeconds.toFixed(2)} s of processor time`,
    );
  });
}
