import { encodeChat, packRows, type ChatTemplate, type EncodedChat } from "@danu/data";
import { generateBatch } from "@danu/model";
import { scope, type Device } from "@danu/tensor";
import type { Tokenizer } from "@danu/tokenizer";

import { chatTemplateOf } from "../model/chat-template.ts";
import { loadModel, type LoadedModel } from "../model/open-model.ts";
import { encodeMessages } from "../model/prompt.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";
import { releaseBatches, toDecoderBatch } from "../run/decoder-batch.ts";
import type { Examination } from "./examination.ts";
import { faults, type Fault, type PreferencePair } from "./lessons.ts";
import { isRight } from "./score.ts";

/** An answer with whether it is right. */
interface MarkedAnswer {
  readonly question: string;
  readonly answer: string;
  readonly right: boolean;
}

/** A pair with whether its better answer has the higher log-probability, summed over its tokens. */
interface MarkedPair extends Pick<PreferencePair, "prompt" | "fault"> {
  readonly right: boolean;
}

/** Right ones of all. */
export interface Mark {
  readonly right: number;
  readonly of: number;
}

/** How a model did. */
export interface ExamResult {
  /** Questions answered with the truth, greedily. */
  readonly questions: Mark;
  /** Pairs whose better answer is preferred, and of them those by the fault of the worse one. */
  readonly preferences: Mark;
  readonly byFault: Readonly<Record<Fault, Mark>>;
  readonly answers: readonly MarkedAnswer[];
  readonly preferred: readonly MarkedPair[];
}

/** Longest answer, in tokens; one that is not over by then is not right. */
const maxTokens = 32;
/** Questions answered, and pairs weighed, at once. */
const [questionsAtOnce, pairsAtOnce] = [16, 16];

/** Examines the model in a folder, as `danu chat` would load it. @param onProgress told the share that is done */
export async function examine(
  device: Device, folder: string, { questions, pairs }: Examination, onProgress: (share: number) => void,
): Promise<ExamResult> {
  using model = await loadModel(device, folder, null);
  const file = await openTokenizer(folder);
  const template = chatTemplateOf(file);
  const prompts = questions.map(({ question }) => {
    const { ids, stopIds } = encodeMessages(file.tokenizer, template, [{ role: "user", content: question }]);
    return { prompt: ids, options: { maxTokens, temperature: 0, stopIds } };
  });
  const answers: MarkedAnswer[] = [];
  let done = 0;
  for await (const { index, ids, end } of generateBatch(model.decoder, model.params, prompts, questionsAtOnce)) {
    const asked = questions[index]!;
    const answer = file.tokenizer.decode(ids).trim();
    answers[index] = { question: asked.question, answer, right: end === "stop" && isRight(answer, asked) };
    onProgress(++done / questions.length);
  }
  const preferred: MarkedPair[] = [];
  for (let first = 0; first < pairs.length; first += pairsAtOnce) {
    const some = pairs.slice(first, first + pairsAtOnce);
    const right = await preferredIn(device, model, file.tokenizer, template, some);
    preferred.push(...some.map(({ prompt, fault }, i) => ({ prompt, fault, right: right[i]! })));
  }
  const byFault = Object.fromEntries(faults.map((name) => [name, markOf(preferred.filter(({ fault }) => fault === name))]));
  return {
    questions: markOf(answers), preferences: markOf(preferred), byFault: byFault as Record<Fault, Mark>, answers, preferred,
  };
}

function markOf(marked: readonly { readonly right: boolean }[]): Mark {
  return { right: marked.filter(({ right }) => right).length, of: marked.length };
}

/** Whether the better answer is the more probable one. @returns one for each pair */
async function preferredIn(
  device: Device, model: LoadedModel, tokenizer: Tokenizer, template: ChatTemplate, pairs: readonly PreferencePair[],
): Promise<boolean[]> {
  const encode = (prompt: string, content: string): EncodedChat => (
    encodeChat(tokenizer, template, [{ role: "user", content: prompt }, { role: "assistant", content }])
  );
  const chats = pairs.flatMap(({ prompt, chosen, rejected }) => [encode(prompt, chosen), encode(prompt, rejected)]);
  const T = Math.max(...chats.map(({ ids }) => ids.length));
  const batch = toDecoderBatch(device, packRows(chats.map((chat) => [chat]), T, Math.max(tokenizer.padId, 0)));
  using losses = scope(() => model.decoder.tokenLosses(model.params, batch.input, batch.targets));
  const values = Float32Array.from(await losses.read());
  releaseBatches([batch]);
  const lossOf = (row: number): number => values.subarray(row * T, (row + 1) * T).reduce((sum, loss) => sum + loss, 0);
  return pairs.map((_, i) => lossOf(2 * i) < lossOf(2 * i + 1));
}
