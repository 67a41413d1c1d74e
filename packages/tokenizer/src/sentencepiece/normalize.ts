import type { NormalizerSpec, TrainerSpec } from "./specs.ts";

const SPACE_SYMBOL = "\u2581";

/** Text as the merges see it, with a space for every `▁`: dummy space added, extra spaces removed, as the model says.
 *  The dummy space in front is not in the result but reported, because joining long strings is slow. */
export function normalize(
  text: string,
  spec: NormalizerSpec,
  trainer: Pick<TrainerSpec, "whitespaceAsSuffix">,
): { text: string; spaceBefore: boolean } {
  let result = spec.removeExtraWhitespaces ? text.replace(/^ +/, "").replace(/ {2,}/g, " ") : text;
  if (result === "") return { text: "", spaceBefore: false };
  if (result.includes(SPACE_SYMBOL)) result = result.replaceAll(SPACE_SYMBOL, " ");
  let spaceBefore = spec.addDummyPrefix && !trainer.whitespaceAsSuffix;
  if (spec.removeExtraWhitespaces) {
    result = dropTrailingSpaces(result);
    if (result === "") spaceBefore = false;
  }
  if (spec.addDummyPrefix && trainer.whitespaceAsSuffix) result += " ";
  return { text: result, spaceBefore };
}

/** A loop, because `/ +$/` takes quadratic time on runs of spaces inside the text. */
function dropTrailingSpaces(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === 0x20) end--;
  return text.slice(0, end);
}
