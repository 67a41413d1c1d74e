import type { Device } from "@danu/tensor";

import { Conversation } from "../chat/conversation.ts";
import { chatTemplateOf } from "../model/chat-template.ts";
import { loadModel } from "../model/open-model.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";
import type { Examination } from "./examination.ts";

/** A question and what the model said. */
export interface Exchange {
  readonly question: string;
  readonly answer: string;
}

const exchanges = 4;

/** A short talk with the model in a folder, about things that it was never asked in training. */
export async function transcript(device: Device, folder: string, { questions }: Examination): Promise<Exchange[]> {
  using model = await loadModel(device, folder, null);
  const file = await openTokenizer(folder);
  const options = { maxTokens: 32, temperature: 0, system: null };
  using conversation = new Conversation(model, file.tokenizer, chatTemplateOf(file), options);
  const said: Exchange[] = [];
  for (let i = 0; i < exchanges; i++) {
    const { question } = questions[Math.floor(((i + 0.5) * questions.length) / exchanges)]!;
    let answer = "";
    for await (const piece of conversation.ask(question, new AbortController().signal)) answer += piece;
    said.push({ question, answer: answer.trim() });
  }
  return said;
}
