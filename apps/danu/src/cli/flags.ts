import { parseArgs } from "node:util";

import { UsageError } from "./errors.ts";

interface FlagBase {
  /** What it does, for the help text. */
  readonly help: string;
  readonly required?: boolean;
  /** May be given more than once, or followed by several values. */
  readonly multiple?: boolean;
}

/** One flag of a command, as `--learning-rate` for the key `learningRate`. */
export type Flag = FlagBase &
  (
    | { readonly type: "boolean" }
    /** @param value name of the value in the help text */
    | { readonly type: "text"; readonly value: string; readonly default?: string }
    | { readonly type: "choice"; readonly choices: readonly string[]; readonly default?: string }
    | {
        readonly type: "integer" | "number";
        readonly value: string;
        readonly default?: number;
        /** Least and greatest value, inclusive. */
        readonly min?: number;
        readonly max?: number;
      }
  );

/** Flags of a command by the key that their values have. */
export type FlagTable = Readonly<Record<string, Flag>>;

type Scalar<F extends Flag> = F["type"] extends "boolean"
  ? boolean
  : F extends { readonly choices: readonly (infer C)[] }
  ? C
  : F["type"] extends "text"
  ? string
  : number;
type Value<F extends Flag> = F extends { readonly multiple: true }
  ? readonly Scalar<F>[]
  : F["type"] extends "boolean"
  ? boolean
  : F extends { readonly required: true } | { readonly default: string | number }
  ? Scalar<F>
  : Scalar<F> | undefined;

/** Values of the flags of a table. */
export type FlagValues<T extends FlagTable> = { readonly [K in keyof T]: Value<T[K]> };

/** A command line taken apart. */
export interface ParsedArguments {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
}

/** Reads the arguments of a command.
 *  @throws UsageError naming the flag, what was expected and what came */
export function parseFlags(args: readonly string[], table: FlagTable): ParsedArguments {
  const keyOf = new Map(Object.keys(table).map((key) => [flagName(key), key]));
  const options = Object.fromEntries(
    [...keyOf].map(([name, key]) => [
      name,
      { type: table[key]!.type === "boolean" ? ("boolean" as const) : ("string" as const), multiple: true },
    ]),
  );
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const given = new Map<string, unknown[]>();
  const positionals: string[] = [];
  // Values after the first of a flag that takes several are positionals to parseArgs.
  let open: string | null = null;
  for (const token of tokens) {
    if (token.kind === "option") {
      const key = keyOf.get(token.name);
      if (key === undefined) throw unknownFlag(token.rawName, [...keyOf.keys()]);
      const value = readValue(table[key]!, token.name, token.value, token.inlineValue === true, keyOf);
      given.set(key, [...(given.get(key) ?? []), value]);
      open = table[key]!.multiple === true ? key : null;
    } else if (token.kind === "positional") {
      if (open === null) positionals.push(token.value);
      else given.get(open)!.push(readValue(table[open]!, flagName(open), token.value, true, keyOf));
    } else open = null;
  }
  return { flags: fill(table, given), positionals };
}

/** `learningRate` as it is typed: `learning-rate`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function fill(table: FlagTable, given: ReadonlyMap<string, readonly unknown[]>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(table).map(([key, flag]) => {
      const values = given.get(key) ?? [];
      if (values.length === 0 && flag.required === true)
        throw new UsageError(`expected --${flagName(key)}${valueHint(flag)}`);
      if (flag.multiple === true) return [key, values];
      if (values.length > 1)
        throw new UsageError(`expected --${flagName(key)} once, it was given ${values.length} times`);
      return [key, values[0] ?? (flag.type === "boolean" ? false : flag.default)];
    }),
  );
}

function readValue(
  flag: Flag,
  name: string,
  value: string | undefined,
  inline: boolean,
  known: ReadonlyMap<string, string>,
): unknown {
  if (flag.type === "boolean") {
    if (inline) throw new UsageError(`expected --${name} without a value, got ${quote(value ?? "")}`);
    return true;
  }
  const isFlag = !inline && value !== undefined && value.startsWith("--") && known.has(value.slice(2).split("=")[0]!);
  if (value === undefined || isFlag) throw new UsageError(`expected a value after --${name}:${valueHint(flag)}`);
  if (flag.type === "text") return value;
  if (flag.type === "choice") {
    if (flag.choices.includes(value)) return value;
    throw new UsageError(
      `--${name}: expected one of ${flag.choices.join(", ")}, got ${quote(value)}${suggestion(value, flag.choices)}`,
    );
  }
  return readNumber(flag, name, value);
}

function readNumber(flag: Extract<Flag, { type: "integer" | "number" }>, name: string, text: string): number {
  const { type, min = -Infinity, max = Infinity } = flag;
  const plain = /^[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
  const value = plain ? Number(text.replaceAll("_", "")) : NaN;
  const fits = type === "integer" ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (fits && value >= min && value <= max) return value;
  const kind = type === "integer" ? "a whole number" : "a number";
  const range = max !== Infinity ? ` from ${min} to ${max}` : min !== -Infinity ? ` of at least ${min}` : "";
  throw new UsageError(`--${name}: expected ${kind}${range}, got ${quote(text)}`);
}

/** The error for a word that is none of those known. */
function unknownFlag(typed: string, names: readonly string[]): UsageError {
  const best = nearest(typed.replace(/^-+/, ""), names);
  return new UsageError(`there is no flag ${typed}${best === null ? "" : `; did you mean --${best}?`}`);
}

/** `; did you mean …?`, or nothing where no word is near. */
export function suggestion(typed: string, words: readonly string[]): string {
  const best = nearest(typed, words);
  return best === null ? "" : `; did you mean ${best}?`;
}

function nearest(typed: string, words: readonly string[]): string | null {
  const scored = words.map((word) => ({ word, distance: word.startsWith(typed) ? 0 : editDistance(typed, word) }));
  const best = scored.sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= (typed.length < 4 ? 1 : Math.max(2, Math.floor(typed.length / 3)))
    ? best.word
    : null;
}

/** Levenshtein distance: insertions, deletions and substitutions of characters. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

/** How a flag's value is shown after it. */
export function valueHint(flag: Flag): string {
  if (flag.type === "boolean") return "";
  return ` ${flag.type === "choice" ? flag.choices.join("|") : flag.value}${flag.multiple === true ? " …" : ""}`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
