import type { NormalizedText, Normalizer } from "../text/normalizer.ts";
import type { CharacterMap } from "./character-map.ts";
import type { NormalizerSpec, TrainerSpec } from "./specs.ts";

const SPACE = 0x20;
const SPACE_SYMBOL = "\u2581";

/** A text on its way, and where its code units came from if that is asked for and differs. */
interface Draft {
  readonly text: string;
  readonly sources?: Int32Array;
  readonly spaceSource?: number;
}

/** What a SentencePiece model does to text before merging: characters replaced, a dummy space added, extra spaces
 *  removed. */
export class SentencePieceNormalizer implements Normalizer {
  readonly #spec: NormalizerSpec;
  readonly #spaceAsSuffix: boolean;
  readonly #map: CharacterMap | undefined;

  constructor(spec: NormalizerSpec, trainer: Pick<TrainerSpec, "whitespaceAsSuffix">, map?: CharacterMap) {
    this.#spec = spec;
    this.#spaceAsSuffix = trainer.whitespaceAsSuffix;
    this.#map = map;
  }

  normalize(source: string, prefixSpace: boolean, aligned: boolean): NormalizedText {
    const { removeExtraWhitespaces, addDummyPrefix } = this.#spec;
    const dummySpace = addDummyPrefix && prefixSpace;
    if (this.#map === undefined && !removeExtraWhitespaces && !this.#spaceAsSuffix) {
      const text = source.includes(SPACE_SYMBOL) ? source.replaceAll(SPACE_SYMBOL, " ") : source;
      return { text, spaceBefore: dummySpace && text !== "" };
    }
    const started = this.#replaceAndCollapse(source, aligned);
    if (started === undefined) return { text: "", spaceBefore: false };
    let draft = started;
    if (draft.text.includes(SPACE_SYMBOL)) draft = { ...draft, text: draft.text.replaceAll(SPACE_SYMBOL, " ") };
    if (removeExtraWhitespaces) draft = dropTrailingSpaces(draft);
    if (!this.#spaceAsSuffix) {
      return { ...draft, spaceBefore: dummySpace && (draft.text !== "" || !removeExtraWhitespaces) };
    }
    return { ...(dummySpace ? withSpaceAfter(draft, aligned) : draft), spaceBefore: false };
  }

  /** @returns nothing where the text is empty or only of spaces that are removed: then no dummy space is added either */
  #replaceAndCollapse(source: string, aligned: boolean): Draft | undefined {
    const remove = this.#spec.removeExtraWhitespaces;
    if (source === "") return undefined;
    if (this.#map !== undefined) return replaceCharacters(source, this.#map, remove, aligned);
    if (!remove) return { text: source };
    const draft = aligned ? collapseSpacesAligned(source) : { text: collapseSpaces(source.replace(/^ +/, "")) };
    return draft.text === "" ? undefined : draft;
  }
}

/** Applies the map, and drops extra spaces as sentencepiece does with one: those that a character or replacement begins
 *  with, if what came before ends with a space. Several spaces inside a replacement stay. */
function replaceCharacters(source: string, map: CharacterMap, remove: boolean, aligned: boolean): Draft | undefined {
  let text = "";
  const sources: number[] = [];
  let afterSpace = remove;
  let isBlank = remove;
  /** Sentencepiece puts the dummy space after the spaces that it skips first, but before what is replaced by nothing. */
  let spaceSource = 0;
  const append = (part: string, from: number): void => {
    if (isBlank && part !== " ") {
      isBlank = false;
      spaceSource = from;
    }
    const kept = afterSpace ? part.replace(/^ +/, "") : part;
    if (kept === "") return;
    text += kept;
    afterSpace = remove && kept.endsWith(" ");
    if (aligned) for (let i = 0; i < kept.length; i++) sources.push(from);
  };
  const appendCharacters = (from: number, to: number): void => {
    for (let at = from, next; at < to; at = next) {
      next = at + (source.codePointAt(at)! > 0xffff ? 2 : 1);
      append(source.slice(at, next), at);
    }
  };
  const appendRun = (from: number, to: number): void => {
    const run = source.slice(from, to);
    append(remove ? collapseSpaces(run) : run, from);
  };
  map.scan(source, aligned ? appendCharacters : appendRun, (from, _to, replacement) => append(replacement, from));
  if (isBlank) return undefined;
  return aligned ? { text, sources: withEnd(sources, source.length), spaceSource } : { text };
}

function withEnd(sources: readonly number[], end: number): Int32Array {
  const placed = new Int32Array(sources.length + 1);
  placed.set(sources);
  placed[sources.length] = end;
  return placed;
}

/** Drops all but one of a run. */
function collapseSpaces(text: string): string {
  return text.replace(/ {2,}/g, " ");
}

function collapseSpacesAligned(text: string): Draft {
  const kept = new Int32Array(text.length + 1);
  let length = 0;
  let result = "";
  let afterSpace = true;
  for (let i = 0; i < text.length; i++) {
    const isSpace = text.charCodeAt(i) === SPACE;
    if (isSpace && afterSpace) continue;
    afterSpace = isSpace;
    kept[length++] = i;
    result += text[i]!;
  }
  kept[length] = text.length;
  return { text: result, sources: kept.subarray(0, length + 1) };
}

/** A loop, because `/ +$/` takes quadratic time on runs of spaces inside the text. */
function dropTrailingSpaces(draft: Draft): Draft {
  const { text, sources } = draft;
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === SPACE) end--;
  const trimmed = text.slice(0, end);
  return sources === undefined ? { text: trimmed } : { ...draft, text: trimmed, sources: sources.subarray(0, end + 1) };
}

function withSpaceAfter({ text, sources }: Draft, aligned: boolean): Draft {
  const spaced = `${text} `;
  if (!aligned) return { text: spaced };
  const placed = new Int32Array(spaced.length + 1);
  for (let i = 0; i <= text.length; i++) placed[i] = sources === undefined ? i : sources[i]!;
  placed[spaced.length] = placed[text.length]!;
  return { text: spaced, sources: placed };
}
