import type { Budget } from "./budget.ts";
import type { CallValues } from "./call-values.ts";
import type { RuntimeValue } from "./engine.ts";
import { codePoints, countOf, strip } from "./python-text.ts";
import { capitalized, replaced, titled } from "./string-methods.ts";
import { templateError } from "./template-error.ts";
import { deepSize, textOf } from "./text-of.ts";
import { integerValue, isList, isMap, isString, isUndefined, kindOf, StringValue } from "./values.ts";

type Filter<Result> = (operand: RuntimeValue, values: CallValues, budget: Budget) => Result;

/** Filters done here, because the engine has them without bounds or unlike Python. */
const own: ReadonlyMap<string, Filter<RuntimeValue | undefined>> = new Map<string, Filter<RuntimeValue | undefined>>([
  ["trim", (operand, values) => new StringValue(strip(textOf(operand), "both", values.text(0, "chars")))],
  ["string", (operand) => new StringValue(textOf(operand))],
  ["replace", (operand, values, budget) => new StringValue(replaced(textOf(operand), values, budget))],
  ["join", (operand, values, budget) => new StringValue(join(operand, values, budget))],
  ["capitalize", (operand) => new StringValue(capitalized(textOf(operand)))],
  ["title", (operand, _values, budget) => new StringValue(titled(textOf(operand), /[^-\s({[<]+/g, budget))],
  ["length", (operand) => (isString(operand) ? integerValue(codePoints(operand.value)) : undefined)],
]);

/** Work of the engine's other filters, in steps, beyond reading the operand once. */
const costs: ReadonlyMap<string, Filter<number>> = new Map<string, Filter<number>>([
  ["sort", sortingCost],
  ["dictsort", sortingCost],
  ["map", searchingCost],
  ["selectattr", searchingCost],
  ["rejectattr", searchingCost],
]);

/** Applies a filter here, or pays for it and leaves it to the engine.
 *  @param values the filter's arguments  @returns the result, or `undefined` where the engine shall make it
 *  @throws DataError `template-limit` before anything beyond the limits is made */
export function applyFilter(
  name: string,
  operand: RuntimeValue,
  values: CallValues,
  budget: Budget,
): RuntimeValue | undefined {
  if (isString(operand)) budget.make(operand.value.length);
  else if (isList(operand)) budget.list(operand.value.length);
  else if (isMap(operand)) budget.spend(operand.value.size);
  const result = own.get(name)?.(operand, values, budget);
  if (result !== undefined) return result;
  if (name === "tojson") payForJson(operand, values, budget);
  if (name === "indent" && isString(operand)) payForIndent(operand.value, values, budget);
  budget.spend(costs.get(name)?.(operand, values, budget) ?? 0);
  return undefined;
}

function join(operand: RuntimeValue, values: CallValues, budget: Budget): string {
  const separator = values.text(0, "d") ?? "";
  if (values.text(1, "attribute") !== undefined) {
    throw templateError("join: expected no attribute, got one: write map(attribute=…) before it");
  }
  if (isUndefined(operand)) return "";
  if (!isString(operand) && !isList(operand)) throw templateError(`join: expected a list, got ${kindOf(operand)}`);
  if (isString(operand)) budget.list(operand.value.length);
  const parts = isString(operand) ? [...operand.value] : operand.value.map(textOf);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  budget.make(length + parts.length * separator.length);
  return parts.join(separator);
}

function payForJson(operand: RuntimeValue, values: CallValues, budget: Budget): void {
  const size = deepSize(operand, budget);
  const indent = Math.max(values.integer(Infinity, "indent") ?? 0, 0);
  const separators = values.named.get("separators");
  const parts = separators !== undefined && isList(separators) ? separators.value : [];
  const between = parts.reduce((sum, part) => sum + (isString(part) ? part.value.length : 0), 8);
  budget.make(size.characters + size.values * (between + indent * (size.depth + 1)));
}

function payForIndent(text: string, values: CallValues, budget: Budget): void {
  const width = values.integer(0, "width") ?? 4;
  if (width < 0) throw templateError(`indent: expected a width of 0 or more, got ${width}`);
  budget.make(text.length + (countOf(text, "\n") + 1) * width);
}

/** Comparisons, each as long as the longest string. */
function sortingCost(operand: RuntimeValue, _values: CallValues, budget: Budget): number {
  const items = isList(operand) ? operand.value.length : isMap(operand) ? operand.value.size : 0;
  if (items < 2) return 0;
  const { characters } = deepSize(operand, budget);
  return items * Math.log2(items) * (1 + characters / 64);
}

/** A look-up, as long as the arguments, and a test for each element. */
function searchingCost(operand: RuntimeValue, values: CallValues, budget: Budget): number {
  const items = isList(operand) ? operand.value.length : 0;
  const given = [...values.positional, ...values.named.values()];
  const lookUp = given.reduce((sum, value) => sum + (isString(value) ? value.value.length / 8 : 1), 1);
  return items * lookUp + deepSize(operand, budget).characters / 64;
}
