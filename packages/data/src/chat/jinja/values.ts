import { Environment, type RuntimeValue } from "./engine.ts";

export interface StringRuntimeValue extends RuntimeValue {
  readonly value: string;
}
export interface ListRuntimeValue extends RuntimeValue {
  readonly value: readonly RuntimeValue[];
}
export interface MapRuntimeValue extends RuntimeValue {
  readonly value: ReadonlyMap<string, RuntimeValue>;
}
type NativeFunction = (values: readonly RuntimeValue[]) => RuntimeValue;

// The engine exports no constructors of its values; one value of each kind has them.
const samples = new Environment();
const sample = (name: string, value: unknown): unknown => samples.set(name, value).constructor;

export const StringValue = sample("string", "") as new (value: string) => StringRuntimeValue;
const IntegerValue = sample("integer", 1) as new (value: number) => RuntimeValue;
export const ListValue = sample("list", []) as new (value: readonly RuntimeValue[]) => ListRuntimeValue;
export const MapValue = sample("map", {}) as new (value: ReadonlyMap<string, RuntimeValue>) => MapRuntimeValue;
export const FunctionValue = sample("function", () => null) as new (value: NativeFunction) => RuntimeValue;

// Making a value takes the engine most of a microsecond, and nothing changes these.
const yes = samples.set("yes", true);
const no = samples.set("no", false);
const small = Array.from({ length: 256 }, (_, value) => new IntegerValue(value));

export const undefinedValue: RuntimeValue = samples.set("undefined", undefined);

export function booleanValue(value: boolean): RuntimeValue {
  return value ? yes : no;
}

export function integerValue(value: number): RuntimeValue {
  return small[value] ?? new IntegerValue(value);
}

export function isString(value: RuntimeValue): value is StringRuntimeValue {
  return value.type === "StringValue";
}

/** Whether a value is a list or a tuple. */
export function isList(value: RuntimeValue): value is ListRuntimeValue {
  return value.type === "ArrayValue" || value.type === "TupleValue";
}

/** Whether a value is a mapping or a namespace, or the keyword arguments of a call. */
export function isMap(value: RuntimeValue): value is MapRuntimeValue {
  return value.value instanceof Map;
}

export function isUndefined(value: RuntimeValue): boolean {
  return value.type === "UndefinedValue";
}

/** What kind of value it is, in a template author's words. */
export function kindOf(value: RuntimeValue): string {
  return kinds[value.type] ?? value.type;
}

const kinds: Readonly<Record<string, string>> = {
  ArrayValue: "a list",
  BooleanValue: "a boolean",
  FloatValue: "a number",
  FunctionValue: "a function",
  IntegerValue: "an integer",
  NamespaceValue: "a namespace",
  NullValue: "none",
  ObjectValue: "a mapping",
  StringValue: "a string",
  TupleValue: "a tuple",
  UndefinedValue: "an undefined value",
};

const numeric: ReadonlySet<string> = new Set(["IntegerValue", "FloatValue", "BooleanValue"]);

/** Python's `==`, where `1 == "1"` and `none == undefined` are false. @param spend told of the work, in steps */
export function equals(left: RuntimeValue, right: RuntimeValue, spend: (steps: number) => void): boolean {
  if (left === right) return true;
  if (numeric.has(left.type) && numeric.has(right.type)) return Number(left.value) === Number(right.value);
  if (left.type !== right.type) return false;
  if (isString(left)) {
    spend(left.value.length / 256);
    return left.value === right.value;
  }
  if (isList(left)) {
    const others = (right as ListRuntimeValue).value;
    spend(left.value.length);
    return left.value.length === others.length && left.value.every((item, i) => equals(item, others[i]!, spend));
  }
  if (left.type === "ObjectValue") {
    const entries = [...(left as MapRuntimeValue).value];
    const others = (right as MapRuntimeValue).value;
    spend(entries.length);
    return (
      entries.length === others.size &&
      entries.every(([key, item]) => {
        const other = others.get(key);
        return other !== undefined && equals(item, other, spend);
      })
    );
  }
  return left.type === "NullValue" || left.type === "UndefinedValue";
}
