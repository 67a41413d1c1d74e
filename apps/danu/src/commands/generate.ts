import { generate } from "@danu/model";

import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags, openDevice } from "../cli/device.ts";
import { UsageError } from "../cli/errors.ts";
import { counted, withCommas } from "../cli/format.ts";
import type { Io } from "../cli/io.ts";
import { Reporter } from "../cli/reporter.ts";
import { chatTemplateOf } from "../model/chat-template.ts";
import { continueRows, type ContinuedRow } from "../model/continue-rows.ts";
import { withText, type ContinueOptions } from "../model/continue-text.ts";
import { loadModel, type LoadedModel } from "../model/open-model.ts";
import { encodeRow, readPromptRows, type PromptOptions } from "../model/prompt-rows.ts";
import { openRowSink } from "../model/row-sink.ts";
import { samplingFlags } from "../model/sampling-flags.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";

export const command: Command = defineCommand({
  name: "generate",
  description: "Continues a text with a model, or every text of a file. The same seed gives the same text.",
  flags: {
    model: { type: "text", value: "DIR", required: true, help: "model folder" },
    prompt: { type: "text", value: "TEXT", help: "text to continue; a new text by default" },
    prompts: {
      type: "text", value: "FILE", help: "texts to continue: JSONL with \"prompt\" or \"messages\" in a row, or a text a line",
    },
    chat: { type: "boolean", help: "take texts as questions, in the model's chat template" },
    out: { type: "text", value: "FILE", help: "JSONL file for the texts of --prompts; by default they are printed" },
    batch: { type: "integer", value: "N", min: 1, max: 1024, default: 8, help: "most texts of --prompts at once" },
    tokenizer: { type: "text", value: "PATH", help: "by default the model folder's" },
    ...samplingFlags,
    dtype: { type: "choice", choices: ["f32", "bf16"], help: "element type to compute in; by default the model's" },
    ...deviceFlags,
  },
  examples: [
    "danu generate --model runs/stories/model --prompt \"Once upon a time\"",
    "danu generate --model runs/stories/model --prompt \"Once\" --temperature 0 --max-tokens 64 --json",
    "danu generate --model runs/chat/model --chat --prompts questions.jsonl --out answers.jsonl",
  ],
  run: async ({ flags }, io) => {
    const { prompt = "", prompts } = flags;
    if (flags.prompt !== undefined && prompts !== undefined) throw new UsageError("expected --prompt or --prompts, got both");
    // Rows of --prompts have standard output to themselves.
    const reporter = new Reporter(io, flags.json || prompts !== undefined);
    using open = openDevice(flags, io, reporter);
    using model = await loadModel(open.device, flags.model, flags.dtype ?? null);
    const file = await openTokenizer(flags.tokenizer ?? flags.model);
    const { tokenizer } = file;
    const encoding = { tokenizer, template: chatTemplateOf(file), decoder: model.decoder, chat: flags.chat };
    const call = { model, encoding, options: flags, reporter, io };
    if (prompts === undefined) await generateOne(call, prompt);
    else await generateMany(call, prompts, flags);
  },
});

interface Call {
  readonly model: LoadedModel;
  readonly encoding: PromptOptions;
  readonly options: ContinueOptions;
  readonly reporter: Reporter;
  readonly io: Io;
}

async function generateOne({ model, encoding, options, reporter, io }: Call, prompt: string): Promise<void> {
  const { ids: promptIds, stopIds } = encodeRow({ prompt }, encoding);
  const ids: number[] = [];
  let text = "";
  if (!reporter.json) io.stdout.write(reporter.style("bold", encoding.chat ? `${prompt}\n` : prompt));
  const added = generate(model.decoder, model.params, promptIds, { ...options, stopIds });
  for await (const piece of withText(encoding.tokenizer, promptIds, added)) {
    ids.push(piece.id);
    text += piece.text;
    if (!reporter.json) io.stdout.write(piece.text);
  }
  reporter.result({ prompt, text, ids }, () => reporter.line());
}

async function generateMany(
  { model, encoding, options, reporter, io }: Call, prompts: string,
  { json, out, batch }: { readonly json: boolean; readonly out: string | undefined; readonly batch: number },
): Promise<void> {
  const rows = await readPromptRows(prompts, encoding);
  const kept: ContinuedRow[] = [];
  const isKept = json && out === undefined;
  const sink = await openRowSink(out, io.stdout);
  const began = performance.now();
  let [done, tokens] = [0, 0];
  const rate = (): number => (1000 * tokens) / (performance.now() - began);
  try {
    for await (const row of continueRows(model, encoding.tokenizer, rows, options, batch)) {
      if (isKept) kept.push(row);
      else await sink.write(row);
      tokens += row.ids.length;
      reporter.progress(`${++done} of ${rows.length} texts, ${withCommas(rate())} tokens/s`);
    }
  } finally {
    await sink.close();
  }
  if (json) reporter.result({ rows: done, tokens, tokensPerSecond: rate(), ...(isKept ? { texts: kept } : { out }) });
  else reporter.line(`${counted(done, "text")}, ${withCommas(tokens)} tokens, ${withCommas(rate())} tokens/s`);
}
