import type { Token } from "./engine.ts";

/** A `{{ … }}`, `{% … %}` or `{# … #}` of a source. */
export interface Tag {
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

const opening = new Set(["OpenStatement", "OpenExpression", "Comment"]);
const generation = /^\{%-?\s*(?:end)?generation\s*-?%\}$/;

/** The tags of a source in order; the last may be unfinished. */
export function tagsOf(source: string): Tag[] {
  const tags: Tag[] = [];
  let line = 1;
  let at = 0;
  for (const match of source.matchAll(/\{[%{#]/g)) {
    if (match.index < at) continue;
    line += lineEnds(source.slice(at, match.index));
    at = tagEnd(source, match.index);
    const text = source.slice(match.index, at);
    tags.push({ text, line });
    line += lineEnds(text);
  }
  return tags;
}

/** End of the tag that starts at `start`: strings inside may hold what would close it. */
function tagEnd(source: string, start: number): number {
  const closing = { "{": "}}", "%": "%}", "#": "#}" }[source[start + 1]!]!;
  for (let at = start + 2; at < source.length; at++) {
    const letter = source[at]!;
    if (source.startsWith(closing, at)) return at + 2;
    if (closing !== "#}" && (letter === '"' || letter === "'")) at = stringEnd(source, at);
  }
  return source.length;
}

function stringEnd(source: string, start: number): number {
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === "\\") at++;
    else if (source[at] === source[start]) return at;
  }
  return source.length;
}

function lineEnds(text: string): number {
  return text.split("\n").length - 1;
}

/** Words for the first tag that cannot be read by itself. */
export function placeOfWrongTag(tags: readonly Tag[], read: (text: string) => void): string {
  for (const tag of tags) {
    try {
      read(tag.text);
    } catch {
      return placeOf(tag);
    }
  }
  return "";
}

/** Words for the tag that holds a token. */
export function placeOfToken(source: string, tokens: readonly Token[], index: number): string {
  const before = tokens.slice(0, index + 1).filter((token) => opening.has(token.type)).length;
  // The engine takes these away before it makes tokens.
  const tags = tagsOf(source).filter(({ text }) => !generation.test(text));
  const tag = tags[Math.min(Math.max(before, 1), tags.length) - 1];
  return tag === undefined ? "" : placeOf(tag);
}

function placeOf({ text, line }: Tag): string {
  return `, line ${line}, at ${text.length <= 80 ? text : `${text.slice(0, 80)}…`}`;
}

/** How far a parser that fails comes: its errors carry no place. */
export function lastTokenRead(tokens: readonly Token[], parse: (tokens: readonly Token[]) => unknown): number {
  let index = -1;
  const watched = new Proxy(tokens, {
    get(target, key): unknown {
      if (typeof key === "string" && /^\d+$/.test(key)) index = Math.max(index, Number(key));
      return Reflect.get(target, key) as unknown;
    },
  });
  try {
    parse(watched);
  } catch {
    return index;
  }
  return index;
}
