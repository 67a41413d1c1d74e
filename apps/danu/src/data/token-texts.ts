import type { Tokenizer } from "@danu/tokenizer";

/** The text of every token of a sequence; special tokens by their names, a character of several tokens with its last.
 *  @returns as many texts as ids, whose sum is the text */
export function tokenTexts(tokenizer: Tokenizer, ids: ArrayLike<number>): string[] {
  const stream = tokenizer.streamDecoder({ skipSpecial: false });
  const texts = Array.from(ids, (id) => stream.push(id));
  const rest = stream.flush();
  if (rest !== "") texts.push(`${texts.pop() ?? ""}${rest}`);
  return texts;
}
