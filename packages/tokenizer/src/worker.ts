import { encodeTexts } from "./encode-texts.ts";
import { TokenizerError } from "./errors.ts";
import { loadTokenizer } from "./load.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { ownPort, type Answer, type Question } from "./worker-port.ts";

// One thread of a BatchEncoder: loads the tokenizer once, then answers each question in turn.
const port = ownPort();
let tokenizer: Tokenizer | undefined;

port.onQuestion((question) => {
  try {
    const answer = answerTo(question);
    port.answer(answer, "ids" in answer ? [answer.ids.buffer, answer.lengths.buffer] : []);
  } catch (error) {
    const known = error instanceof TokenizerError ? { code: error.code, data: error.data } : {};
    port.answer({ message: error instanceof Error ? error.message : String(error), ...known }, []);
  }
});

function answerTo(question: Question): Answer {
  if ("texts" in question) return encodeTexts(tokenizer!, question.texts, question.options);
  tokenizer = loadTokenizer(question.files);
  return { ready: true };
}
