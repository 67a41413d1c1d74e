import type { ChatTemplate, RenderOptions } from "./chat-template.ts";
import type { ChatEncodeOptions, ChatEncoding, ChatTokenizer } from "./chat-tokenizer.ts";
import { findPlaces, type Place } from "./content-places.ts";
import { upToEndMark } from "./end-mark.ts";
import { type ChatMessage, readMessages } from "./messages.ts";
import { type ChatCut, truncateChat, type TruncateOptions } from "./truncate-chat.ts";
import { type Answer, type ChangedAnswers, findTurns, type Turns } from "./turns.ts";

/** Choices of {@link encodeChat}. */
export interface EncodeChatOptions extends RenderOptions, TruncateOptions {
  /** Puts BOS first where the template does not. Default `false`: as the template says, which Danube's does not. */
  readonly addBos?: boolean;
  /** An answer that the template writes differently once more messages follow, as templates do that drop earlier
   *  thinking, cannot be both history and what generation gave: `error` (the default), or leave it `untrained`. */
  readonly changedAnswers?: ChangedAnswers;
}

/** A conversation as token ids, T of them. */
export interface EncodedChat {
  /** `[T]` */
  readonly ids: Int32Array;
  /** Index of the message that each token came from, −1 for none: BOS, a default system prompt, the generation prompt.
   *  `[T]` */
  readonly message: Int32Array;
  /** 1 where the assistant must produce the token: its content and end mark. `[T]` */
  readonly trained: Uint8Array;
  /** Number of ones in `trained`. */
  readonly trainedTokens: number;
  /** Role of each message. */
  readonly roles: readonly string[];
  /** The whole text, before anything was cut. */
  readonly text: string;
  /** Messages of the assistant that are not trained, see `changedAnswers`. */
  readonly changed: readonly number[];
  /** What `maxLength` cut off. */
  readonly cut: ChatCut;
}

/** Renders and encodes a conversation, of which answers with a `lossWeight` of 0 are not trained, so that the mask is exact: the ids before each answer are those that this
 *  function gives for the messages before it with `addGenerationPrompt`, and special tokens come from the template
 *  alone. Text is cut where an answer begins, and after an end mark that would join what follows; all other ids are as
 *  of the whole text.
 *  @throws DataError `bad-messages`, `template-not-incremental`, `content-not-found`, the errors of
 *  {@link ChatTemplate.render}, `bad-option`; and the tokenizer's own if `addBos` is asked of one without BOS */
export function encodeChat(
  tokenizer: ChatTokenizer,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: EncodeChatOptions = {},
): EncodedChat {
  readMessages(messages);
  const { addGenerationPrompt = false, changedAnswers = "error", addBos = false } = options;
  const now = options.now ?? new Date();
  const render = (some: readonly ChatMessage[], withPrompt: boolean): string =>
    template.render(some, { ...options, now, addGenerationPrompt: withPrompt });
  const turns = findTurns(messages, addGenerationPrompt, changedAnswers, render);
  const places = findPlaces(
    messages,
    turns.text,
    (some) => render(some, addGenerationPrompt),
    (text) => spellsSpecial(tokenizer, text),
  );
  const answers = turns.answers.map((one) => upToEndMark(one, turns.text, messages[one.message]!.content, places));
  const isTrained = (index: number): boolean => messages[index]!["lossWeight"] !== 0;
  const encoded = encodeStretches(tokenizer, { ...turns, answers }, places, addBos, isTrained);
  const chat: EncodedChat = {
    ids: encoded.ids,
    message: messagesOf(encoded, turns.starts, places, tokenizer.bosId),
    trained: encoded.trained,
    trainedTokens: countOnes(encoded.trained),
    roles: messages.map(({ role }) => role),
    text: turns.text,
    changed: turns.changed,
    cut: { tokens: 0, trainedTokens: 0, messages: 0 },
  };
  return truncateChat(chat, tokenizer.bosId, options);
}

interface TrainedEncoding extends ChatEncoding {
  readonly trained: Uint8Array;
}

function encodeStretches(
  tokenizer: ChatTokenizer,
  { text, answers }: Turns,
  places: readonly Place[],
  addBos: boolean,
  isTrained: (message: number) => boolean,
): TrainedEncoding {
  const encode = (start: number, end: number, withBos = false): ChatEncoding =>
    encodePart(tokenizer, text, start, end, places, withBos);
  const first = answers[0]?.start ?? text.length;
  const parts: TrainedEncoding[] = [untrained(encode(0, first))];
  answers.forEach((answer, i) => {
    const encoded = encodeAnswer(tokenizer, answer, answers[i + 1]?.start ?? text.length, encode);
    parts.push(...(isTrained(answer.message) ? encoded : encoded.map(untrained)));
  });
  const chat = joined(parts);
  // Asked of the tokenizer only now, because the template may have written it.
  if (!addBos || (chat.ids.length > 0 && chat.ids[0] === tokenizer.bosId)) return chat;
  parts[0] = untrained(encode(0, first, true));
  return joined(parts);
}

/** An answer with what follows it up to the next one: as one text if that leaves the answer's ids as they are alone. */
function encodeAnswer(
  tokenizer: ChatTokenizer,
  { start, end }: Answer,
  next: number,
  encode: (start: number, end: number) => ChatEncoding,
): TrainedEncoding[] {
  const whole = encode(start, next);
  let count = whole.ids.length;
  while (count > 0 && whole.starts[count - 1]! >= end) count--;
  const endsInSpecial = count > 0 && whole.ends[count - 1] === end && tokenizer.isSpecial(whole.ids[count - 1]!);
  if (next === end || endsInSpecial) return [trainedUpTo(whole, count)];
  const alone = encode(start, end);
  if (alone.ids.length === count && alone.ids.every((id, i) => id === whole.ids[i])) return [trainedUpTo(whole, count)];
  return [trainedUpTo(alone, alone.ids.length), untrained(encode(end, next))];
}

/** Ids of a part of the text, with places in the whole. */
function encodePart(
  tokenizer: ChatTokenizer,
  text: string,
  start: number,
  end: number,
  places: readonly Place[],
  addBos: boolean,
): ChatEncoding {
  const plainRanges = places
    .filter((place) => place.start < end && place.end > start)
    .map((place) => ({ start: Math.max(place.start, start) - start, end: Math.min(place.end, end) - start }));
  const options: ChatEncodeOptions = { parseSpecial: true, plainRanges, addPrefixSpace: start === 0, addBos };
  const { ids, starts, ends } = tokenizer.encodeWithOffsets(text.slice(start, end), options);
  return { ids, starts: starts.map((at) => at + start), ends: ends.map((at) => at + start) };
}

function untrained(encoding: ChatEncoding): TrainedEncoding {
  return trainedUpTo(encoding, 0);
}

function trainedUpTo(encoding: ChatEncoding, count: number): TrainedEncoding {
  return { ...encoding, trained: new Uint8Array(encoding.ids.length).fill(1, 0, count) };
}

function joined(parts: readonly TrainedEncoding[]): TrainedEncoding {
  const length = parts.reduce((sum, { ids }) => sum + ids.length, 0);
  const ids = new Int32Array(length);
  const starts = new Int32Array(length);
  const ends = new Int32Array(length);
  const trained = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    ids.set(part.ids, at);
    starts.set(part.starts, at);
    ends.set(part.ends, at);
    trained.set(part.trained, at);
    at += part.ids.length;
  }
  return { ids, starts, ends, trained };
}

/** The message of each token: the one whose string it starts in, else the one in whose part of the text it starts. */
function messagesOf(
  { ids, starts }: ChatEncoding,
  messageStarts: readonly number[],
  places: readonly Place[],
  bosId: number,
): Int32Array {
  const count = messageStarts.length - 1;
  let message = -1;
  let place = 0;
  const result = starts.map((start) => {
    while (message < count && messageStarts[message + 1]! <= start) message++;
    while (place < places.length && places[place]!.end <= start) place++;
    const within = places[place];
    return within !== undefined && within.start <= start ? within.message : message < count ? message : -1;
  });
  if (ids.length > 0 && ids[0] === bosId) result[0] = -1;
  return result;
}

function spellsSpecial(tokenizer: ChatTokenizer, text: string): boolean {
  const parsed = tokenizer.encodeWithOffsets(text, { parseSpecial: true }).ids;
  const plain = tokenizer.encodeWithOffsets(text).ids;
  return parsed.length !== plain.length || parsed.some((id, i) => id !== plain[i]);
}

function countOnes(mask: Uint8Array): number {
  return mask.reduce((sum, one) => sum + one, 0);
}
