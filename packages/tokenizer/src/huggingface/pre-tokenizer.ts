import { preTokenizerOf, preTokenizerOfAll } from "../pretokenize/known-patterns.ts";
import type { PreTokenizer } from "../pretokenize/pretokenizer.ts";
import type { SpacedStretches } from "../bpe-tokenizer.ts";
import type { StepsNormalizer } from "./normalizer.ts";
import { type Section, stepsOf } from "./section.ts";

/** How text is cut into words before merging. */
export type WordCutting = CharacterCutting | ByteCutting;

/** Pieces are text; words are whole stretches, or begin at every space. */
interface CharacterCutting {
  readonly kind: "characters";
  /** Whether spaces become `▁` here. */
  readonly replacesSpaces: boolean;
  readonly splitsAtSpaces: boolean;
  /** Parts that get a dummy space. */
  readonly spaced: SpacedStretches;
  /** Whether they get it even if they begin with a space. */
  readonly doublesSpace: boolean;
}

/** Pieces are bytes; words end where a scanner says, or are whole stretches. */
interface ByteCutting {
  readonly kind: "bytes";
  readonly words: PreTokenizer | undefined;
  readonly spaced: SpacedStretches;
}

/** The pattern that `ByteLevel` cuts by itself. */
const BYTE_LEVEL_PATTERN = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const SPACE_SYMBOL = "\u2581";

/** What the pre-tokenizer says.
 *  @throws TokenizerError `unsupported-model` for other kinds */
export function wordCuttingOf(section: Section | undefined, normalizer: StepsNormalizer): WordCutting {
  const steps = stepsOf(section, "pretokenizers");
  if (steps.some((step) => step.type === "ByteLevel")) return byteCuttingOf(steps);
  let cutting: CharacterCutting = {
    kind: "characters",
    replacesSpaces: false,
    splitsAtSpaces: false,
    spaced: "none",
    doublesSpace: false,
  };
  for (const step of steps) {
    const hasSpaces = !(normalizer.replacesSpaces || cutting.replacesSpaces);
    if (step.type === "Metaspace") cutting = withMetaspace(cutting, step, hasSpaces);
    else if (hasSpaces || !isSplitAtSpaces(step)) {
      throw step.unsupported("a pre-tokenizer of type Metaspace, or ByteLevel after others", step.type);
    }
  }
  if (cutting.spaced === "first" && normalizer.movesStart) {
    throw section!.unsupported("no prepend_scheme first after a Replace of several characters", "it");
  }
  if (cutting.doublesSpace && normalizer.prependsSpace) throw section!.unsupported("one dummy space", "two");
  // A dummy space that no `Metaspace` turns into `▁` is none of this vocabulary's.
  if (cutting.doublesSpace && !cutting.replacesSpaces) {
    throw section!.unsupported("a Metaspace with the replacement ▁ at the end", "another");
  }
  return cutting;
}

function withMetaspace(cutting: CharacterCutting, step: Section, hasSpaces: boolean): CharacterCutting {
  const replacement = step.text("replacement");
  const spaced = schemeOf(step);
  const split = step.flag("split", true);
  if (replacement === SPACE_SYMBOL && !cutting.replacesSpaces) {
    if (cutting.spaced !== "none" && spaced !== "none") throw step.unsupported("one dummy space", "two");
    return {
      ...cutting,
      replacesSpaces: true,
      splitsAtSpaces: split,
      spaced: cutting.spaced === "none" ? spaced : cutting.spaced,
    };
  }
  // Where spaces are `▁` already, a text never begins with a real one, and gets it whatever it begins with.
  if (replacement === " " && !split && !hasSpaces && cutting.spaced === "none") {
    return { ...cutting, spaced, doublesSpace: spaced !== "none" };
  }
  throw step.unsupported("a Metaspace with the replacement ▁", JSON.stringify(replacement));
}

function schemeOf(step: Section): SpacedStretches {
  const prefix = step.flag("add_prefix_space", true);
  const scheme = step.at("prepend_scheme")?.string ?? (prefix ? "always" : "never");
  if (scheme === "always") return "every";
  if (scheme === "first") return "first";
  if (scheme === "never") return "none";
  throw step.unsupported("a prepend_scheme of always, first or never", scheme);
}

/** Gemma's files have this after a normalizer that leaves no space to split at. */
function isSplitAtSpaces(step: Section): boolean {
  return step.type === "Split" && step.required("pattern").at("String")?.string === " ";
}

function byteCuttingOf(steps: readonly Section[]): ByteCutting {
  const last = steps.at(-1)!;
  if (last.type !== "ByteLevel") throw last.unsupported("ByteLevel as the last pre-tokenizer", last.type);
  const patterns = steps.slice(0, -1).map((step, index) => patternOf(step, index === steps.length - 2));
  const prefixes = last.flag("add_prefix_space", true);
  if (prefixes && patterns.length > 0) {
    throw last.unsupported("no add_prefix_space after other pre-tokenizers", "one: every word would get a space");
  }
  const spaced = prefixes ? "every" : "none";
  if (last.flag("use_regex", true)) patterns.push(BYTE_LEVEL_PATTERN);
  if (patterns.length === 0) return { kind: "bytes", words: undefined, spaced };
  const words = preTokenizerOfAll(patterns);
  if (words !== undefined) return { kind: "bytes", words, spaced };
  const spelled = patterns.map((pattern) => `"${pattern}"`).join(" then ");
  throw last.unsupported("pre-tokenizers with the patterns of a known model", spelled);
}

/** The pattern that a step cuts at. @param isLast whether it is the last one before `ByteLevel` */
function patternOf(step: Section, isLast: boolean): string {
  if (step.type === "Digits") return step.flag("individual_digits", false) ? String.raw`\p{N}` : String.raw`\p{N}+`;
  if (step.type !== "Split") throw step.unsupported("Split or Digits before ByteLevel", step.type);
  const pattern = step.required("pattern").at("Regex")?.string;
  if (pattern === undefined) throw step.unsupported("a Split at a Regex", "a String");
  const behavior = step.text("behavior");
  const invert = step.flag("invert", false);
  // Patterns of words match all of a text, so that removing what lies between them removes nothing.
  const removesRest = invert && behavior === "Removed" && isLast && preTokenizerOf(pattern) !== undefined;
  if (removesRest || (!invert && behavior === "Isolated")) return pattern;
  throw step.unsupported("a Split that isolates", `${behavior}${invert ? ", inverted" : ""}`);
}
