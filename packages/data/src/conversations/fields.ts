import { describe, isPlainObject } from "../chat/json.ts";

/** A row of a data set. */
export type Fields = Readonly<Record<string, unknown>>;

/** Why a row cannot be used, in one sentence. */
export class RowProblem extends Error {}

/** Whether a row has all of these fields, with something in them. */
export function has(row: Fields, ...names: readonly string[]): boolean {
  return names.every((name) => Object.hasOwn(row, name) && (row[name] ?? null) !== null);
}

/** The text in a field. @throws RowProblem */
export function textIn(row: Fields, name: string): string {
  const value = Object.hasOwn(row, name) ? row[name] : undefined;
  if (typeof value === "string") return value;
  throw new RowProblem(`field "${name}": expected text, got ${describe(value)}`);
}

/** The text in a field, empty where there is none. @throws RowProblem for anything else in it */
export function optionalText(row: Fields, name: string): string {
  return has(row, name) ? textIn(row, name) : "";
}

/** The functions in the field `tools`, a list or JSON of one. @throws RowProblem */
export function toolsIn(row: Fields): { readonly tools?: readonly unknown[] } {
  if (!has(row, "tools") || row["tools"] === "") return {};
  const tools = typeof row["tools"] === "string" ? parsedJson(row["tools"]) : row["tools"];
  if (!Array.isArray(tools))
    throw new RowProblem(`field "tools": expected a list or JSON of one, got ${describe(tools)}`);
  return tools.length === 0 ? {} : { tools };
}

/** JSON in a text; the text itself if it is none. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Score of the chosen less that of the rejected, under the names that data sets use. */
export function marginIn(row: Fields): { readonly margin?: number } {
  const holders = [row, row["metadata"]].filter(isPlainObject);
  for (const holder of holders) {
    for (const [chosen, rejected] of scoreNames) {
      const better = holder[chosen];
      const worse = holder[rejected];
      if (isScore(better) && isScore(worse)) return { margin: better - worse };
    }
  }
  return isScore(row["margin"]) ? { margin: row["margin"] } : {};
}

const scoreNames = [
  ["score_chosen", "score_rejected"],
  ["chosen_score", "rejected_score"],
  ["chosen_rating", "rejected_rating"],
] as const;

function isScore(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** Names of a row's fields, for messages. */
export function namesOf(row: Fields): string {
  const names = Object.keys(row).map((name) => (name.length > 40 ? `${name.slice(0, 40)}…` : name));
  if (names.length === 0) return "no fields";
  return `the fields ${names.slice(0, 12).join(", ")}${names.length > 12 ? ", …" : ""}`;
}
