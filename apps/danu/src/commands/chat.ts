import { interruptOnSignals } from "@danu/train";

import { Conversation } from "../chat/conversation.ts";
import { givenLines, LineReader } from "../chat/line-reader.ts";
import { runChat } from "../chat/run-chat.ts";
import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags, openDevice } from "../cli/device.ts";
import { signalExitCode } from "../cli/errors.ts";
import { Reporter } from "../cli/reporter.ts";
import { chatTemplateOf } from "../model/chat-template.ts";
import { loadModel } from "../model/open-model.ts";
import { samplingFlags } from "../model/sampling-flags.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";

export const command: Command = defineCommand({
  name: "chat",
  description: "Talks with a model. On a terminal /help shows what can be typed; in a pipe every line is a question. "
    + "The chat template is the model folder's, or Danube's where it has none.",
  flags: {
    model: { type: "text", value: "DIR", required: true, help: "model folder" },
    prompt: { type: "text", value: "TEXT", multiple: true, help: "ask this instead of reading questions" },
    system: { type: "text", value: "TEXT", help: "what the model is told first, where its template allows it" },
    tokenizer: { type: "text", value: "PATH", help: "by default the model folder's" },
    ...samplingFlags,
    maxTokens: { ...samplingFlags.maxTokens, default: 512, help: "most tokens of an answer" },
    dtype: { type: "choice", choices: ["f32", "bf16"], help: "element type to compute in; by default the model's" },
    ...deviceFlags,
  },
  examples: [
    "danu chat --model runs/chat/model",
    "danu chat --model runs/chat/model --prompt \"Who lives in the mill?\" --temperature 0 --json",
    "danu chat --model runs/chat/model < questions.txt",
  ],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    using open = openDevice(flags, io, reporter);
    using model = await loadModel(open.device, flags.model, flags.dtype ?? null);
    const file = await openTokenizer(flags.tokenizer ?? flags.model);
    if (file.tokenizer.chatTemplate === undefined) reporter.note("the model folder has no chat template; Danube's is used");
    const options = { ...flags, system: flags.system ?? null };
    using conversation = new Conversation(model, file.tokenizer, chatTemplateOf(file), options);
    using interrupt = interruptOnSignals();
    const { signal } = interrupt;
    using reader = flags.prompt.length > 0 ? null : new LineReader(io, reporter.style("bold", "> "));
    const lines = reader ?? givenLines(flags.prompt);
    if (lines.isTerminal) {
      reporter.line(reporter.style("dim", `${flags.model} on ${open.description}; /help shows what can be typed`));
    }
    const write = (text: string): void => { if (!flags.json) reporter.text(text); };
    const turns = await runChat(lines, { conversation, reporter, write, signal });
    reporter.result({ messages: conversation.messages, turns });
    return signal.aborted ? signalExitCode(String(signal.reason)) : 0;
  },
});
