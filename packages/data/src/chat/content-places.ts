import { DataError } from "../data-error.ts";
import { strip } from "./jinja/python-text.ts";
import { isPlainObject } from "./json.ts";
import type { ChatMessage } from "./messages.ts";

/** Where a template put a string of a message. */
export interface Place {
  /** Index of the message. */
  readonly message: number;
  readonly start: number;
  readonly end: number;
}

/** A string of a message: its content, or one in a further field. */
interface Leaf {
  readonly message: number;
  readonly value: string;
}

/** Finds the strings of the messages in a conversation's text, by rendering it with marks in their place. No search of
 *  the text could: a user may type what the template writes.
 *  @param text  `render(messages)`  @param hasSpecial whether a text spells a special token
 *  @returns all places; or, where the template changes some strings, those of the others that spell a special token
 *  @throws DataError `content-not-found` if the template changes a string that spells a special token */
export function findPlaces(
  messages: readonly ChatMessage[],
  text: string,
  render: (messages: readonly ChatMessage[]) => string,
  hasSpecial: (text: string) => boolean,
): readonly Place[] {
  const leaves = leavesOf(messages);
  refuseKeys(messages, hasSpecial);
  const all = placesOf(messages, leaves, text, render, () => true);
  if (all !== undefined) return all;
  const places = leaves.flatMap((leaf, index) => {
    if (!hasSpecial(leaf.value)) return [];
    const found = placesOf(messages, leaves, text, render, (one) => one === index);
    if (found === undefined) throw notFound(leaf);
    return found;
  });
  return places.sort((a, b) => a.start - b.start);
}

function leavesOf(messages: readonly ChatMessage[]): Leaf[] {
  const leaves: Leaf[] = [];
  messages.forEach((message, index) => {
    mapStrings(message, (value) => {
      leaves.push({ message: index, value });
      return value;
    });
  });
  return leaves;
}

/** A copy of a message with other strings; its role stays. */
function mapStrings(message: ChatMessage, change: (value: string) => string): ChatMessage {
  const changed = (value: unknown): unknown => {
    if (typeof value === "string") return change(value);
    if (Array.isArray(value)) return value.map(changed);
    if (!isPlainObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, changed(item)]));
  };
  const { role, ...fields } = message;
  return { role, ...(changed(fields) as { content: string }) };
}

/** Places of the chosen strings, or `undefined` if the text is not what the marked one says. */
function placesOf(
  messages: readonly ChatMessage[],
  leaves: readonly Leaf[],
  text: string,
  render: (messages: readonly ChatMessage[]) => string,
  isChosen: (leaf: number) => boolean,
): Place[] | undefined {
  const fence = fenceFor(text);
  let leaf = 0;
  const marked = messages.map((message) =>
    mapStrings(message, (value) => {
      const index = leaf++;
      return isChosen(index) ? `${fence}${index}${fence}` : value;
    }),
  );
  let parts: string[];
  try {
    parts = render(marked).split(fence);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
  return matched(parts, leaves, text);
}

/** A mark that the text does not hold: characters of private use, which no filter changes. */
function fenceFor(text: string): string {
  let fence = "\uf8f0";
  while (text.includes(fence)) fence += "\uf8f1";
  return fence;
}

/** @param parts text of the template and numbers of leaves by turns */
function matched(parts: readonly string[], leaves: readonly Leaf[], text: string): Place[] | undefined {
  const places: Place[] = [];
  let at = parts[0]!.length;
  if (!text.startsWith(parts[0]!)) return undefined;
  for (let i = 1; i < parts.length; i += 2) {
    const leaf = leaves[Number(parts[i])];
    const after = parts[i + 1];
    if (leaf === undefined || after === undefined) return undefined;
    const written = spellingsOf(leaf.value).find((spelling) => text.startsWith(spelling + after, at));
    if (written === undefined) return undefined;
    if (written !== "") places.push({ message: leaf.message, start: at, end: at + written.length });
    at += written.length + after.length;
  }
  return at === text.length ? places : undefined;
}

/** How templates write a string: as it is, stripped, or within JSON. */
function spellingsOf(value: string): string[] {
  return [value, strip(value), strip(value, "left"), strip(value, "right"), JSON.stringify(value).slice(1, -1)];
}

/** Names of fields are written into tool calls, and no mark can stand for them. */
function refuseKeys(messages: readonly ChatMessage[], hasSpecial: (text: string) => boolean): void {
  const visit = (value: unknown, index: number): void => {
    if (Array.isArray(value)) for (const item of value) visit(item, index);
    else if (isPlainObject(value)) {
      for (const [key, item] of Object.entries(value)) {
        if (!/^\w*$/.test(key) && hasSpecial(key)) {
          const text = `message ${index}: expected names of fields without special tokens, got ${JSON.stringify(key)}`;
          throw new DataError("content-not-found", text, { index, key });
        }
        visit(item, index);
      }
    }
  };
  messages.forEach((message, index) => visit(message, index));
}

function notFound({ message, value }: Leaf): DataError {
  const shown = JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  const text =
    `message ${message}: expected the template to write ${shown} as it stands, because it spells a special token, ` +
    "got it changed: take the special token out of the message";
  return new DataError("content-not-found", text, { index: message });
}
