import type { ChatTemplate } from "../chat/chat-template.ts";
import type { ChatTokenizer } from "../chat/chat-tokenizer.ts";
import { encodeChat } from "../chat/encode-chat.ts";
import type { ChatMessage } from "../chat/messages.ts";
import { truncateChat, type ChatCut } from "../chat/truncate-chat.ts";
import type { ChangedAnswers } from "../chat/turns.ts";
import { RowProblem } from "../conversations/fields.ts";
import { DataError, type DataErrorCode } from "../data-error.ts";
import type { TrainingExample } from "../packing/pack-rows.ts";

/** How messages become tokens to train on. */
export interface TrainingEncoding {
  readonly tokenizer: ChatTokenizer;
  readonly template: ChatTemplate;
  /** Most tokens of a sequence; what is longer loses its end. */
  readonly maxLength: number;
  /** Of answers that the template writes differently later; see `encodeChat`. `error` by default: a bad row. */
  readonly changedAnswers?: ChangedAnswers;
}

/** A sequence of tokens to train on: no more of it than training needs, since all are held in memory. */
export interface TrainingSequence extends TrainingExample {
  /** Number of ones in `trained`. */
  readonly trainedTokens: number;
  /** What `maxLength` cut off. */
  readonly cut: ChatCut;
}

/** Errors that are the fault of one conversation, not of the template or the settings. */
const rowErrors: ReadonlySet<DataErrorCode> = new Set<DataErrorCode>([
  "bad-messages",
  "template-failed",
  "template-limit",
  "template-raised",
  "template-not-incremental",
  "content-not-found",
]);

/** Encodes messages, and makes sure that something in them is trained.
 *  @param given messages at the beginning of which none is trained  @param name of the sequence, for messages
 *  @throws RowProblem when the template refuses them, or nothing is trained within `maxLength` */
export function encodeExample(
  messages: readonly ChatMessage[],
  given: number,
  tools: readonly unknown[] | undefined,
  { tokenizer, template, maxLength, changedAnswers = "error" }: TrainingEncoding,
  name: string,
): TrainingSequence {
  const weighted = messages.map((message, i) => (i < given ? { ...message, lossWeight: 0 } : message));
  const chat = asRowProblem(() =>
    encodeChat(tokenizer, template, weighted, {
      changedAnswers,
      unknownVariables: "error",
      ...(tools === undefined ? {} : { tools }),
    }),
  );
  const prompt = chat.trained.indexOf(1, 1);
  if (prompt < 0) throw new RowProblem(`${name}: nothing in it is to be trained`);
  if (prompt >= maxLength) {
    throw new RowProblem(
      `${name}: the prompt has ${prompt} tokens, which leaves no room for an answer in ${maxLength}; ` +
        "train with longer sequences or shorten it",
    );
  }
  const { ids, trained, trainedTokens, cut } = truncateChat(chat, tokenizer.bosId, { maxLength });
  return { ids, trained, trainedTokens, cut };
}

/** @throws RowProblem when two sequences that should differ are the same within `maxLength` */
export function checkDiffer(chosen: TrainingSequence, rejected: TrainingSequence, maxLength: number): void {
  const { ids } = chosen;
  if (ids.length !== rejected.ids.length || ids.some((id, i) => id !== rejected.ids[i])) return;
  throw new RowProblem(`chosen and rejected are the same in their first ${maxLength} tokens; train with longer sequences`);
}

function asRowProblem<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof DataError && rowErrors.has(error.code)) throw new RowProblem(error.message);
    throw error;
  }
}
