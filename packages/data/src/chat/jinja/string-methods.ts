import type { Budget } from "./budget.ts";
import { CallValues } from "./call-values.ts";
import type { RuntimeValue } from "./engine.ts";
import { countOf, type Ends, splitWords, strip } from "./python-text.ts";
import { templateError } from "./template-error.ts";
import { booleanValue, FunctionValue, isList, isString, ListValue, StringValue, undefinedValue } from "./values.ts";

type Method = (text: string, values: CallValues, budget: Budget) => RuntimeValue;

/** Python's string methods; the engine has some of these without bounds, or without their arguments. */
const methods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ["capitalize", (text) => new StringValue(capitalized(text))],
  ["endswith", (text, values, budget) => affixed(values, budget, (affix) => text.endsWith(affix))],
  ["lower", (text) => new StringValue(text.toLowerCase())],
  ["lstrip", stripped("left")],
  ["replace", (text, values, budget) => new StringValue(replaced(text, values, budget))],
  ["rstrip", stripped("right")],
  ["split", split],
  ["startswith", (text, values, budget) => affixed(values, budget, (affix) => text.startsWith(affix))],
  ["strip", stripped("both")],
  ["title", (text, _values, budget) => new StringValue(titled(text, /\p{L}+/gu, budget))],
  ["upper", (text) => new StringValue(text.toUpperCase())],
]);

/** A method of a text as a value to call, or an undefined value. */
export function stringMethod(text: string, name: string, budget: Budget): RuntimeValue {
  const method = methods.get(name);
  if (method === undefined) return undefinedValue;
  return new FunctionValue((values) => {
    budget.make(text.length);
    return method(text, CallValues.of(name, values), budget);
  });
}

/** Each word with a capital first and small letters after it. @param words what a word is */
export function titled(text: string, words: RegExp, budget: Budget): string {
  budget.spend(text.length / 2);
  return text.replace(words, capitalized);
}

export function capitalized(text: string): string {
  const first = String.fromCodePoint(text.codePointAt(0) ?? 0).length;
  return text.slice(0, first).toUpperCase() + text.slice(first).toLowerCase();
}

function affixed(values: CallValues, budget: Budget, has: (affix: string) => boolean): RuntimeValue {
  const given = values.positional[0];
  const affixes = given !== undefined && isList(given) ? given.value : [given];
  const isFound = affixes.some((affix) => {
    if (affix === undefined || !isString(affix)) {
      throw templateError("startswith, endswith: expected a string or several");
    }
    budget.read(affix.value.length + 256);
    return has(affix.value);
  });
  return booleanValue(isFound);
}

function stripped(ends: Ends): Method {
  return (text, values) => new StringValue(strip(text, ends, values.text(0, "chars")));
}

function split(text: string, values: CallValues, budget: Budget): RuntimeValue {
  const separator = values.text(0, "sep");
  const given = values.integer(1, "maxsplit") ?? -1;
  const limit = given < 0 ? Infinity : given;
  if (separator === "") throw templateError("split: expected a separator, got an empty string");
  // One part too many is enough to be refused.
  const bound = Math.min(limit, budget.limits.listLength + 1);
  const parts = separator === undefined ? splitWords(text, bound) : splitAt(text, separator, bound, budget);
  budget.list(parts.length);
  return new ListValue(parts.map((part) => new StringValue(part)));
}

function splitAt(text: string, separator: string, limit: number, budget: Budget): string[] {
  payForSearch(text, separator, budget);
  const parts: string[] = [];
  let start = 0;
  while (parts.length < limit) {
    const at = text.indexOf(separator, start);
    if (at < 0) break;
    parts.push(text.slice(start, at));
    start = at + separator.length;
  }
  return [...parts, text.slice(start)];
}

/** Python's `str.replace`. @throws DataError `template-limit` before a text beyond the limits is made */
export function replaced(text: string, values: CallValues, budget: Budget): string {
  const from = values.text(0, "old");
  const to = values.text(1, "new");
  if (from === undefined || to === undefined) throw templateError("replace: expected two strings, got fewer");
  const given = values.integer(2, "count") ?? -1;
  // Between characters is where the empty string is found.
  if (from === "") budget.list(text.length);
  const parts = from === "" ? ["", ...text, ""] : undefined;
  payForSearch(text, from, budget);
  const found = parts === undefined ? countOf(text, from) : parts.length - 1;
  const count = given < 0 ? found : Math.min(given, found);
  budget.make(text.length + count * (to.length - from.length));
  if (parts !== undefined) return parts.slice(0, count).join(to) + (count > 0 ? to : "") + parts.slice(count).join("");
  if (count === found) return text.split(from).join(to);
  let left = count;
  return text.replaceAll(from, () => (left-- > 0 ? to : from));
}

/** A search compares, at worst, the whole pattern at every few hundred places. */
export function payForSearch(text: string, pattern: string, budget: Budget): void {
  budget.make(text.length);
  budget.spend((text.length * pattern.length) / 4096);
}
