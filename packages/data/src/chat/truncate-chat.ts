import { checkInteger } from "../data-error.ts";
import type { EncodedChat } from "./encode-chat.ts";

/** How long a conversation may be. */
export interface TruncateOptions {
  /** Most tokens kept. Default: all. */
  readonly maxLength?: number;
  /** Which end stays: the `start` (the default), or the `end`, with BOS before it if the conversation begins so. */
  readonly keep?: "start" | "end";
}

/** What was cut off a conversation. */
export interface ChatCut {
  readonly tokens: number;
  /** Those of them that would have been trained. */
  readonly trainedTokens: number;
  /** Messages of which nothing is left. */
  readonly messages: number;
}

/** Cuts a conversation to `maxLength` tokens and counts what went. @throws DataError `bad-option` */
export function truncateChat(chat: EncodedChat, bosId: number, options: TruncateOptions): EncodedChat {
  const { maxLength, keep = "start" } = options;
  if (maxLength === undefined) return chat;
  checkInteger("maxLength", maxLength, 1);
  const length = chat.ids.length;
  if (length <= maxLength) return chat;
  const keptFirst = keep === "start" ? maxLength : chat.ids[0] === bosId ? 1 : 0;
  const keptFrom = length - (maxLength - keptFirst);
  const isKept = (_: number, i: number): boolean => i < keptFirst || i >= keptFrom;
  const trained = chat.trained.filter(isKept);
  const message = chat.message.filter(isKept);
  const trainedTokens = trained.reduce((sum, one) => sum + one, 0);
  return {
    ...chat,
    ids: chat.ids.filter(isKept),
    message,
    trained,
    trainedTokens,
    cut: {
      tokens: length - maxLength,
      trainedTokens: chat.trainedTokens - trainedTokens,
      messages: new Set(chat.message.filter((one) => one >= 0)).size - new Set(message.filter((one) => one >= 0)).size,
    },
  };
}
