import type { Budget } from "./budget.ts";
import type { RuntimeValue } from "./engine.ts";
import { payForSearch } from "./string-methods.ts";
import { templateError } from "./template-error.ts";
import { textOf } from "./text-of.ts";
import { booleanValue, equals, integerValue, isList, isString, kindOf, StringValue } from "./values.ts";

/** Operators that the engine has without bounds or unlike Python; pays for the others.
 *  @returns the value, or `undefined` where the engine shall make it
 *  @throws DataError `template-failed`, `template-limit` */
export function binaryOperation(
  operator: string,
  left: RuntimeValue,
  right: RuntimeValue,
  budget: Budget,
): RuntimeValue | undefined {
  const spend = (steps: number): void => budget.spend(steps);
  switch (operator) {
    case "==":
      return booleanValue(equals(left, right, spend));
    case "!=":
      return booleanValue(!equals(left, right, spend));
    case "~":
      return new StringValue(textOf(left) + textOf(right));
    case "+":
      return added(left, right, budget);
    case "%":
      return remainder(left, right);
    case "in":
    case "not in":
      if (isString(left) && isString(right)) payForSearch(right.value, left.value, budget);
      if (isList(right)) budget.spend(right.value.length * (1 + (isString(left) ? left.value.length / 256 : 0)));
      return undefined;
    default:
      return undefined;
  }
}

/** Python's, which has the sign of the divisor. */
function remainder(left: RuntimeValue, right: RuntimeValue): RuntimeValue | undefined {
  if (left.type !== "IntegerValue" || right.type !== "IntegerValue") return undefined;
  const divisor = right.value as number;
  if (divisor === 0) throw templateError("%: expected a divisor other than 0, got 0");
  return integerValue((((left.value as number) % divisor) + divisor) % divisor);
}

function added(left: RuntimeValue, right: RuntimeValue, budget: Budget): RuntimeValue | undefined {
  if (isString(left) && isString(right)) return new StringValue(left.value + right.value);
  if (isString(left) || isString(right)) {
    const values = `${kindOf(left)} and ${kindOf(right)}`;
    throw templateError(`+: expected two strings, got ${values}: write ~ to join them as text`);
  }
  if (isList(left) && isList(right)) budget.list(left.value.length + right.value.length);
  return undefined;
}
