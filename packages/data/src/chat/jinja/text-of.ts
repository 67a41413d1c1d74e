import type { Budget } from "./budget.ts";
import type { RuntimeValue } from "./engine.ts";
import { templateError } from "./template-error.ts";
import { isList, isMap, isString, kindOf } from "./values.ts";

/** Python's `str` of a value that is no container: `True`, `None`, and nothing for what is undefined.
 *  @throws DataError `template-failed` for lists and mappings, whose Python spelling no chat template means */
export function textOf(value: RuntimeValue): string {
  switch (value.type) {
    case "StringValue":
      return value.value as string;
    case "BooleanValue":
      return value.value === true ? "True" : "False";
    case "NullValue":
      return "None";
    case "UndefinedValue":
      return "";
    case "IntegerValue":
    case "FloatValue":
      return value.toString();
    default:
      throw templateError(`expected text to print, got ${kindOf(value)}: write \`| tojson\` after it`);
  }
}

/** What is within a value. */
export interface DeepSize {
  /** Lists, mappings and values within. */
  readonly values: number;
  /** Code units of all strings, before escapes. */
  readonly characters: number;
  /** Deepest nesting. */
  readonly depth: number;
}

const deepest = 100;

/** Measures a value through and through: shared parts count as often as they are met.
 *  @throws DataError `template-limit`, `template-failed` if it is nested too deep, as a namespace in itself is */
export function deepSize(value: RuntimeValue, budget: Budget): DeepSize {
  let values = 0;
  let characters = 0;
  let depth = 0;
  const visit = (item: RuntimeValue, level: number): void => {
    budget.spend(1);
    if (level > deepest) throw templateError(`expected values nested at most ${deepest} deep, got deeper ones`);
    values++;
    depth = Math.max(depth, level);
    if (isString(item)) characters += item.value.length;
    else if (isList(item)) for (const part of item.value) visit(part, level + 1);
    else if (isMap(item)) {
      for (const [key, part] of item.value) {
        characters += key.length;
        visit(part, level + 1);
      }
    }
  };
  visit(value, 0);
  budget.make(characters);
  return { values, characters, depth };
}
