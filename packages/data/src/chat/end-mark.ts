import type { Place } from "./content-places.ts";
import type { Answer } from "./turns.ts";

/** An answer without the white space after its end mark, which is the template's: generation ends at the mark. Where
 *  there is no mark but white space, that is the mark.
 *  @param places where the strings of messages are; without this one's, its text is searched for the content */
export function upToEndMark(answer: Answer, text: string, content: string, places: readonly Place[]): Answer {
  const { start, end } = answer;
  const own = places.findLast((place) => place.message === answer.message && place.start >= start && place.end <= end);
  const written = text.slice(start, end).trimEnd();
  const bare = content.trimEnd();
  const hasMark =
    own === undefined ? bare === "" || !written.endsWith(bare) : text.slice(own.end, start + written.length) !== "";
  return hasMark && written !== "" ? { ...answer, end: start + written.length } : answer;
}
