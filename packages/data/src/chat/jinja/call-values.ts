import type { RuntimeValue } from "./engine.ts";
import { templateError } from "./template-error.ts";
import { isMap, isString, kindOf } from "./values.ts";

/** The arguments of a call, by place or by name. */
export class CallValues {
  readonly positional: readonly RuntimeValue[];
  readonly named: ReadonlyMap<string, RuntimeValue>;
  readonly #callee: string;

  constructor(
    callee: string,
    positional: readonly RuntimeValue[],
    named: ReadonlyMap<string, RuntimeValue> = new Map(),
  ) {
    this.#callee = callee;
    this.positional = positional;
    this.named = named;
  }

  /** The arguments as the engine gives them to a function: the named ones as a last value. */
  static of(callee: string, values: readonly RuntimeValue[]): CallValues {
    const last = values.at(-1);
    if (last?.type !== "KeywordArgumentsValue" || !isMap(last)) return new CallValues(callee, values);
    return new CallValues(callee, values.slice(0, -1), last.value);
  }

  /** A text, or `undefined` where none was given or it is `none`. @throws DataError `template-failed` */
  text(index: number, name: string): string | undefined {
    const value = this.#find(index, name);
    if (value === undefined) return undefined;
    if (!isString(value)) throw this.#wrong(name, "a string", value);
    return value.value;
  }

  /** An integer, or `undefined` where none was given or it is `none`. @throws DataError `template-failed` */
  integer(index: number, name: string): number | undefined {
    const value = this.#find(index, name);
    if (value === undefined) return undefined;
    if (value.type !== "IntegerValue") throw this.#wrong(name, "an integer", value);
    return value.value as number;
  }

  #find(index: number, name: string): RuntimeValue | undefined {
    const value = this.positional[index] ?? this.named.get(name);
    return value?.type === "NullValue" ? undefined : value;
  }

  #wrong(name: string, expected: string, value: RuntimeValue): Error {
    return templateError(`${this.#callee}: expected ${expected} for ${name}, got ${kindOf(value)}`);
  }
}
