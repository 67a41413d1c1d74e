import { join } from "node:path";
import { PassThrough } from "node:stream";

import { initialize, parameterSources, preset, writeModelFolder, type DecoderConfig } from "@danu/model";
import { disposeTree, referenceDevice } from "@danu/tensor";
import { trainBpe } from "@danu/tokenizer";

import type { Input } from "../src/cli/io.ts";
import { danu, type Outcome } from "./support.ts";

/** A template with system messages and an end mark of its own. */
export const chatMl: string = "{% for message in messages %}"
  + "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
  + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Writes a model folder of random weights: its answers are noise, and the same every time.
 *  @param template null for a folder without one  @returns the folder */
export async function tinyChatModel(
  folder: string, template: string | null, changes: Partial<DecoderConfig> = {},
): Promise<string> {
  const specialTokens = ["<|im_start|>", "<|im_end|>"];
  const texts = ["the question and the answer, the system, the user and the assistant; who is there? nobody is there"];
  const { file, vocabularySize } = await trainBpe(texts, { vocabularySize: 330, specialTokens, allowSmaller: true });
  const config = preset("nano", {
    hiddenSize: 32, intermediateSize: 64, layers: 2, heads: 4, keyValueHeads: 2, headDim: 8, maxPositions: 2048, vocabularySize,
    ...changes,
  });
  const names = { bos_token: "<s>", eos_token: "</s>", ...(template === null ? {} : { chat_template: template }) };
  const files = new Map<string, Uint8Array | string>([["tokenizer.model", file], ["tokenizer_config.json", JSON.stringify(names)]]);
  using device = referenceDevice();
  const params = initialize(device, config, 1);
  const path = join(folder, "model");
  await writeModelFolder(path, { config, tensors: parameterSources(params, config), files });
  disposeTree(params);
  return path;
}

/** Waits for something on the terminal, then types. */
export interface Step {
  readonly after: RegExp;
  readonly type: string;
}

/** Runs a command line at a terminal, typing step by step. */
export async function atTerminal(args: readonly string[], steps: readonly Step[]): Promise<Outcome> {
  const keyboard = Object.assign(new PassThrough(), { isTTY: true });
  const left = [...steps];
  let shown = "";
  const onText = (text: string): void => {
    shown += text;
    const [next] = left;
    if (next === undefined || !next.after.test(shown)) return;
    left.shift();
    shown = "";
    // As a person does, after what was shown, not within it.
    setTimeout(() => keyboard.write(next.type));
  };
  const outcome = await danu(args, { isTTY: true, stdin: keyboard as Input, onText, env: { NO_COLOR: "1" } });
  if (left.length > 0) throw new Error(`never saw ${String(left[0]!.after)}; the terminal shows ${JSON.stringify(shown)}`);
  return outcome;
}
