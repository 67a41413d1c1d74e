import { whiteEnd, whiteStart } from "../text/white-space.ts";
import { type Section, shortContent } from "./section.ts";

type OnEdit = (from: number, to: number, replacement: string) => void;

/** Calls `onEdit` for the stretches of `text` that a step changes, in order: for as small ones as it can if `aligned`,
 *  else for as few. */
export type Step = (text: string, onEdit: OnEdit, aligned: boolean) => void;

/** The step that a section describes. @throws TokenizerError `unsupported-model` for other kinds */
export function stepOf(section: Section): Step {
  switch (section.type) {
    case "Prepend":
      return prepend(shortContent(section, "prepend"));
    case "Replace":
      return replaceOf(section);
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return unicodeForm(section.type);
    case "Lowercase":
      return lowercase;
    case "Strip":
      return strip(section.flag("strip_left", true), section.flag("strip_right", true));
    case "StripAccents":
      return byPattern(/\p{M}+/gu, "");
    default:
      throw section.unsupported("Prepend, Replace, NF(K)C, NF(K)D, Lowercase or Strip", section.type);
  }
}

function prepend(content: string): Step {
  return (text, onEdit) => {
    if (text !== "") onEdit(0, 0, content);
  };
}

/** Patterns that are known. No others are tried: one of a file could take exponential time. */
const knownPatterns: ReadonlyMap<string, (content: string) => Step> = new Map([
  [" {2,}", (content) => byPattern(/ {2,}/g, content)],
  [String.raw`\s+`, (content) => byPattern(/\p{White_Space}+/gu, content)],
  [String.raw`\A `, (content) => byPattern(/^ /g, content)],
  ["(?<![ \u2581])[ \u2581]+\\z", replaceTrailingSpaces],
]);

function replaceOf(section: Section): Step {
  const content = shortContent(section, "content");
  const pattern = section.required("pattern");
  const regex = pattern.at("Regex")?.string;
  if (regex === undefined) {
    const literal = pattern.text("String");
    if (literal === "") throw section.unsupported("a Replace of something", "an empty pattern");
    return replaceLiteral(literal, content);
  }
  const known = knownPatterns.get(regex);
  // The original fills in groups at dollar signs.
  if (known !== undefined && !content.includes("$")) return known(content);
  throw section.unsupported("a Replace with a String", `the Regex "${regex}"`);
}

function replaceLiteral(literal: string, content: string): Step {
  return (text, onEdit) => {
    for (let at = text.indexOf(literal); at >= 0; at = text.indexOf(literal, at + literal.length)) {
      onEdit(at, at + literal.length, content);
    }
  };
}

function byPattern(pattern: RegExp, content: string): Step {
  return (text, onEdit) => {
    for (const { index, 0: match } of text.matchAll(pattern)) onEdit(index, index + match.length, content);
  };
}

function replaceTrailingSpaces(content: string): Step {
  return (text, onEdit) => {
    let end = text.length;
    while (end > 0 && (text[end - 1] === " " || text[end - 1] === "\u2581")) end--;
    if (end < text.length) onEdit(end, text.length, content);
  };
}

function strip(left: boolean, right: boolean): Step {
  return (text, onEdit) => {
    const start = left ? whiteEnd(text, 0) : 0;
    const end = right ? whiteStart(text, text.length, start) : text.length;
    if (start > 0) onEdit(0, start, "");
    if (end < text.length) onEdit(end, text.length, "");
  };
}

/** A character and what may combine with it: marks, the later letters of a Hangul syllable, voiced sound marks. */
const clusters =
  /[^\p{M}\u1160-\u11ff\u3131-\u318e\uff9e-\uffdc]?[\p{M}\u1160-\u11ff\u3131-\u318e\uff9e-\uffdc]*/gu;

function unicodeForm(form: "NFC" | "NFD" | "NFKC" | "NFKD"): Step {
  const mayChange = form === "NFC" ? /[\u0300-\uffff]/ : /[\u0080-\uffff]/;
  return (text, onEdit, aligned) => {
    if (!mayChange.test(text)) return;
    const normal = text.normalize(form);
    if (normal === text) return;
    if (!aligned || !editClusters(text, form, normal, onEdit)) onEdit(0, text.length, normal);
  };
}

/** @returns whether clusters one by one give what the whole gives */
function editClusters(text: string, form: string, normal: string, onEdit: OnEdit): boolean {
  const edits: [index: number, cluster: string, normal: string][] = [];
  let length = 0;
  for (const { index, 0: cluster } of text.matchAll(clusters)) {
    const changed = cluster.normalize(form);
    if (!normal.startsWith(changed, length)) return false;
    length += changed.length;
    if (changed !== cluster) edits.push([index, cluster, changed]);
  }
  if (length !== normal.length) return false;
  for (const [index, cluster, changed] of edits) onEdit(index, index + cluster.length, changed);
  return true;
}

/** Without regard to what is around: in the original a final sigma is like any other. */
const lowercase: Step = (text, onEdit, aligned) => {
  const lower = (part: string): string => part.replaceAll("\u03a3", "\u03c3").toLowerCase();
  if (!aligned) return onEdit(0, text.length, lower(text));
  for (const { index, 0: character } of text.matchAll(/\p{Changes_When_Lowercased}/gu)) {
    onEdit(index, index + character.length, lower(character));
  }
};
