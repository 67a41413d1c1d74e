import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags, openDevice } from "../cli/device.ts";
import { Reporter } from "../cli/reporter.ts";
import { continueText } from "../model/continue-text.ts";
import { loadModel } from "../model/open-model.ts";
import { samplingFlags } from "../model/sampling-flags.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";

export const command: Command = defineCommand({
  name: "generate",
  description: "Continues a text with a model. The same seed gives the same text.",
  flags: {
    model: { type: "text", value: "DIR", required: true, help: "model folder" },
    prompt: { type: "text", value: "TEXT", default: "", help: "text to continue; empty for a new text" },
    tokenizer: { type: "text", value: "PATH", help: "by default the model folder's" },
    ...samplingFlags,
    dtype: { type: "choice", choices: ["f32", "bf16"], help: "element type to compute in; by default the model's" },
    ...deviceFlags,
  },
  examples: [
    "danu generate --model runs/stories/model --prompt \"Once upon a time\"",
    "danu generate --model runs/stories/model --prompt \"Once\" --temperature 0 --max-tokens 64 --json",
  ],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    using open = openDevice(flags, io, reporter);
    using model = await loadModel(open.device, flags.model, flags.dtype ?? null);
    const { tokenizer } = await openTokenizer(flags.tokenizer ?? flags.model);
    const ids: number[] = [];
    let text = "";
    if (!flags.json) io.stdout.write(reporter.style("bold", flags.prompt));
    for await (const piece of continueText(model, tokenizer, flags.prompt, flags)) {
      ids.push(piece.id);
      text += piece.text;
      if (!flags.json) io.stdout.write(piece.text);
    }
    reporter.result({ prompt: flags.prompt, text, ids }, () => reporter.line());
  },
});
