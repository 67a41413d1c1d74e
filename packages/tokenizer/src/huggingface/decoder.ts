import { type Section, shortContent, stepsOf } from "./section.ts";

/** How ids become text. */
export interface DecoderSteps {
  /** Pieces are bytes in GPT-2's alphabet. */
  readonly isByteLevel: boolean;
  /** Replacements inside of pieces, in order. */
  readonly replacements: readonly (readonly [pattern: string, content: string])[];
  /** Pieces such as `<0x0A>` are bytes. */
  readonly byteFallback: boolean;
  /** The first piece loses its `▁`. */
  readonly stripsFirst: boolean;
  /** Pieces are joined with a space between. */
  readonly separates: boolean;
  /** Most spaces that the text loses at its start. */
  readonly leadingSpaces: number;
}

/** Most code units that one of a piece becomes. */
const MOST_GROWTH = 64;
const SPACE_SYMBOL = "\u2581";
const none: DecoderSteps = {
  isByteLevel: false,
  replacements: [],
  byteFallback: false,
  stripsFirst: false,
  separates: false,
  leadingSpaces: 0,
};

/** What the decoder says: alone or in this order `Replace`s of strings, `ByteFallback`, `Fuse` and a `Strip` of
 *  spaces at the start; or `Metaspace`; or `ByteLevel`; or nothing.
 *  @throws TokenizerError `unsupported-model` for other kinds */
export function decoderStepsOf(section: Section | undefined): DecoderSteps {
  const sections = stepsOf(section, "decoders");
  // Pieces are then joined by spaces. Each gets one in front, and the first loses it again.
  if (section === undefined) return { ...none, separates: true, leadingSpaces: 1 };
  let steps = none;
  let isFused = false;
  for (const step of sections) {
    if (isFused && step.type !== "Fuse" && step.type !== "Strip") throw disordered(step);
    switch (step.type) {
      case "Replace":
        if (steps.byteFallback) throw disordered(step);
        steps = { ...steps, replacements: [...steps.replacements, replacementOf(step)] };
        if (growthOf(steps.replacements) > MOST_GROWTH) throw step.unsupported("short replacements", "long ones");
        break;
      case "ByteFallback":
        steps = { ...steps, byteFallback: true };
        break;
      case "Fuse":
        isFused = true;
        break;
      case "Strip":
        if (!isFused || !isLeadingSpace(step) || steps.leadingSpaces > 0) throw disordered(step);
        steps = { ...steps, leadingSpaces: step.count("start") };
        break;
      case "Metaspace":
        if (sections.length > 1) throw disordered(step);
        steps = metaspace(step);
        break;
      case "ByteLevel":
        if (steps !== none) throw disordered(step);
        steps = { ...none, isByteLevel: true };
        isFused = true;
        break;
      default:
        throw disordered(step);
    }
  }
  return steps;
}

/** How much longer the longest piece can become. */
function growthOf(replacements: DecoderSteps["replacements"]): number {
  return replacements.reduce((product, [from, to]) => product * Math.max(1, to.length / from.length), 1);
}

function disordered(step: Section): Error {
  const wish = "a decoder of Replace, ByteFallback, Fuse and Strip of first spaces, or Metaspace, or ByteLevel";
  return step.unsupported(wish, step.type);
}

function replacementOf(step: Section): readonly [pattern: string, content: string] {
  const pattern = step.required("pattern").at("String")?.string;
  if (pattern === undefined || pattern === "") throw step.unsupported("a Replace of a String", "a Regex");
  return [pattern, shortContent(step, "content")];
}

function isLeadingSpace(step: Section): boolean {
  return step.text("content") === " " && step.count("stop") === 0;
}

function metaspace(step: Section): DecoderSteps {
  const symbol = step.text("replacement");
  if (symbol !== SPACE_SYMBOL) throw step.unsupported("a Metaspace with the replacement ▁", JSON.stringify(symbol));
  const keepsFirst = step.at("prepend_scheme")?.string === "never" || !step.flag("add_prefix_space", true);
  return { ...none, replacements: [[SPACE_SYMBOL, " "]], stripsFirst: !keepsFirst };
}
