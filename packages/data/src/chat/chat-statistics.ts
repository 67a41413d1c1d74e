import type { EncodedChat } from "./encode-chat.ts";

/** Adds up what became of conversations. */
export class ChatStatistics {
  /** Conversations that can be trained on. */
  conversations: number = 0;
  /** Their tokens. */
  tokens: number = 0;
  /** Those of them that are trained. */
  trainedTokens: number = 0;
  /** Conversations in which nothing is trained: not counted above, and not to be used. */
  withoutTraining: number = 0;
  /** Conversations that `maxLength` cut, those without training included; so are the next four. */
  truncated: number = 0;
  cutTokens: number = 0;
  cutTrainedTokens: number = 0;
  /** Messages of which nothing was left. */
  cutMessages: number = 0;
  /** Messages of the assistant left untrained, because the template changes them later. */
  changedAnswers: number = 0;

  /** Counts a conversation. @returns whether there is anything to train in it: if not, leave it out */
  add({ ids, trainedTokens, cut, changed }: EncodedChat): boolean {
    if (cut.tokens > 0) this.truncated++;
    this.cutTokens += cut.tokens;
    this.cutTrainedTokens += cut.trainedTokens;
    this.cutMessages += cut.messages;
    this.changedAnswers += changed.length;
    if (trainedTokens === 0) {
      this.withoutTraining++;
      return false;
    }
    this.conversations++;
    this.tokens += ids.length;
    this.trainedTokens += trainedTokens;
    return true;
  }
}
