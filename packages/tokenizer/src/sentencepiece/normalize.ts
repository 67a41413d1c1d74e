import type { NormalizedText, Normalizer } from "../text/normalizer.ts";
import type { NormalizerSpec, TrainerSpec } from "./specs.ts";

const SPACE = 0x20;
const SPACE_SYMBOL = "\u2581";

/** A text on its way, and where its code units came from if that is asked for and differs. */
interface Draft {
  readonly text: string;
  readonly sources?: Int32Array;
}

/** What a SentencePiece model does to text before merging: a dummy space added, extra spaces removed. */
export class SentencePieceNormalizer implements Normalizer {
  readonly #spec: NormalizerSpec;
  readonly #spaceAsSuffix: boolean;

  constructor(spec: NormalizerSpec, trainer: Pick<TrainerSpec, "whitespaceAsSuffix">) {
    this.#spec = spec;
    this.#spaceAsSuffix = trainer.whitespaceAsSuffix;
  }

  normalize(source: string, prefixSpace: boolean, aligned: boolean): NormalizedText {
    const { removeExtraWhitespaces, addDummyPrefix } = this.#spec;
    const dummySpace = addDummyPrefix && prefixSpace;
    if (!removeExtraWhitespaces && !this.#spaceAsSuffix) {
      const text = source.includes(SPACE_SYMBOL) ? source.replaceAll(SPACE_SYMBOL, " ") : source;
      return { text, spaceBefore: dummySpace && text !== "" };
    }
    let draft: Draft = { text: source };
    if (removeExtraWhitespaces) draft = aligned ? collapseSpacesAligned(draft) : collapseSpaces(draft);
    if (draft.text === "") return { text: "", spaceBefore: false };
    if (draft.text.includes(SPACE_SYMBOL)) draft = { ...draft, text: draft.text.replaceAll(SPACE_SYMBOL, " ") };
    if (removeExtraWhitespaces) draft = dropTrailingSpaces(draft);
    if (!this.#spaceAsSuffix) return { ...draft, spaceBefore: dummySpace && draft.text !== "" };
    return { ...(dummySpace ? withSpaceAfter(draft, aligned) : draft), spaceBefore: false };
  }
}

/** Drops spaces at the start and all but one of a run. */
function collapseSpaces({ text }: Draft): Draft {
  return { text: text.replace(/^ +/, "").replace(/ {2,}/g, " ") };
}

function collapseSpacesAligned({ text, sources }: Draft): Required<Draft> {
  const kept = new Int32Array(text.length + 1);
  let length = 0;
  let result = "";
  let afterSpace = true;
  for (let i = 0; i < text.length; i++) {
    const isSpace = text.charCodeAt(i) === SPACE;
    if (isSpace && afterSpace) continue;
    afterSpace = isSpace;
    kept[length++] = sources === undefined ? i : sources[i]!;
    result += text[i]!;
  }
  kept[length] = sources === undefined ? text.length : sources[text.length]!;
  return { text: result, sources: kept.subarray(0, length + 1) };
}

/** A loop, because `/ +$/` takes quadratic time on runs of spaces inside the text. */
function dropTrailingSpaces({ text, sources }: Draft): Draft {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === SPACE) end--;
  const trimmed = text.slice(0, end);
  return sources === undefined ? { text: trimmed } : { text: trimmed, sources: sources.subarray(0, end + 1) };
}

function withSpaceAfter({ text, sources }: Draft, aligned: boolean): Draft {
  const spaced = `${text} `;
  if (!aligned) return { text: spaced };
  const placed = new Int32Array(spaced.length + 1);
  for (let i = 0; i <= text.length; i++) placed[i] = sources === undefined ? i : sources[i]!;
  placed[spaced.length] = placed[text.length]!;
  return { text: spaced, sources: placed };
}
