import { TokenizerError } from "../errors.ts";
import type { NormalizedText, Normalizer } from "../text/normalizer.ts";
import { stepOf, type Step } from "./normalizer-steps.ts";
import { type Section, stepsOf } from "./section.ts";

const SPACE_SYMBOL = "\u2581";
/** Code units that a text may grow by for each that it has; NFKC makes 18 of one at most. */
const MOST_GROWTH = 32;
/** Code units that any text may grow by. */
const FREE_GROWTH = 1 << 16;

/** What the normalizer of a `tokenizer.json` does to text. */
export class StepsNormalizer implements Normalizer {
  /** Whether it leaves no space in the text: all are `▁`, given out as plain spaces. */
  readonly replacesSpaces: boolean;
  /** Whether it does nothing else. */
  readonly isPlain: boolean;
  /** Whether what it puts at the start of a text may be from a later place in the original's eyes. */
  readonly movesStart: boolean;
  /** Whether it puts a plain space before the text, which is told apart from the text. */
  readonly prependsSpace: boolean;
  readonly #steps: readonly Step[];

  /** @throws TokenizerError `unsupported-model` for kinds of normalizers that are not read here */
  constructor(section: Section | undefined) {
    const sections = stepsOf(section, "normalizers");
    // What comes last in most files needs no new text: spaces that become `▁`, and one `▁` before them.
    let end = sections.length;
    let replaces = false;
    let prepends = false;
    for (; end > 0; end--) {
      const last = sections[end - 1]!;
      if (isSpaceReplacement(last)) replaces = true;
      else if (!prepends && last.type === "Prepend" && last.text("prepend") === SPACE_SYMBOL) prepends = true;
      else break;
    }
    this.replacesSpaces = replaces;
    this.prependsSpace = replaces && prepends;
    this.#steps = sections.slice(0, replaces ? end : sections.length).map(stepOf);
    this.isPlain = this.#steps.length === 0;
    this.movesStart = sections.slice(0, end).some(replacesSeveral);
  }

  normalize(source: string, prefixSpace: boolean, aligned: boolean): NormalizedText {
    const draft = new Draft(source, aligned);
    for (const step of this.#steps) draft.edit(step);
    const { text, sources, sourceEnds } = draft;
    const spaceBefore = this.prependsSpace && prefixSpace && text !== "";
    const plain = this.replacesSpaces && text.includes(SPACE_SYMBOL) ? text.replaceAll(SPACE_SYMBOL, " ") : text;
    return { text: plain, spaceBefore, ...(sources && { sources, sourceEnds: sourceEnds! }) };
  }
}

function isSpaceReplacement(section: Section): boolean {
  if (section.type !== "Replace" || section.text("content") !== SPACE_SYMBOL) return false;
  return section.required("pattern").at("String")?.string === " ";
}

function replacesSeveral(section: Section): boolean {
  return section.type === "Replace" && [...(section.required("pattern").at("String")?.string ?? "several")].length > 1;
}

/** A text on its way, and where its code units came from if that is asked for and differs. */
class Draft {
  text: string;
  sources: Int32Array | undefined;
  sourceEnds: Int32Array | undefined;
  readonly #aligned: boolean;
  /** Code units that the text may still grow by. */
  #room: number;

  constructor(text: string, aligned: boolean) {
    this.text = text;
    this.#room = FREE_GROWTH + MOST_GROWTH * text.length;
    this.#aligned = aligned;
  }

  edit(step: Step): void {
    const { text } = this;
    const parts: string[] = [];
    const edits: [from: number, to: number, length: number][] = [];
    let kept = 0;
    const edited = (from: number, to: number, replacement: string): void => {
      if (from > kept) parts.push(text.slice(kept, from));
      parts.push(replacement);
      kept = to;
      this.#room -= replacement.length - (to - from);
      if (this.#room < 0) throw tooLong();
      if (this.#aligned) edits.push([from, to, replacement.length]);
    };
    step(text, edited, this.#aligned);
    if (parts.length === 0) return;
    parts.push(text.slice(kept));
    this.text = parts.join("");
    if (this.#aligned) this.#align(edits, text);
  }

  /** What replaces a stretch has all of its range, and what is put in that of the character after it. */
  #align(edits: readonly (readonly [from: number, to: number, length: number])[], old: string): void {
    const { length } = this.text;
    const sources = new Int32Array(length + 1);
    const ends = new Int32Array(length);
    const startOf = (unit: number): number => this.sources?.[unit] ?? unit;
    const endOf = (unit: number): number => this.sourceEnds?.[unit - 1] ?? unit;
    const characterEnd = (unit: number): number => unit + ((old.codePointAt(unit) ?? 0) > 0xffff ? 2 : 1);
    let at = 0;
    let kept = 0;
    const keep = (until: number): void => {
      for (; kept < until; kept++, at++) {
        sources[at] = startOf(kept);
        ends[at] = endOf(kept + 1);
      }
    };
    for (const [from, to, size] of edits) {
      keep(from);
      sources.fill(startOf(from), at, at + size);
      ends.fill(endOf(Math.min(from < to ? to : characterEnd(from), old.length)), at, at + size);
      at += size;
      kept = to;
    }
    keep(old.length);
    sources[length] = startOf(old.length);
    this.sources = sources;
    this.sourceEnds = ends;
  }
}

/** Steps that each double the text would fill any memory. */
function tooLong(): TokenizerError {
  const limit = `${MOST_GROWTH} code units for each of the text's and ${FREE_GROWTH} more`;
  const message = `tokenizer.json: expected a normalizer that makes at most ${limit}, got more`;
  return new TokenizerError("unsupported-model", message);
}
