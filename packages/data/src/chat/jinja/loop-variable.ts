import type { RuntimeValue } from "./engine.ts";
import { booleanValue, integerValue, MapValue, undefinedValue } from "./values.ts";

/** Jinja's `loop` in turn `i`. */
export function loopVariable(items: readonly RuntimeValue[], i: number): RuntimeValue {
  return new MapValue(
    new Map<string, RuntimeValue>([
      ["index", integerValue(i + 1)],
      ["index0", integerValue(i)],
      ["revindex", integerValue(items.length - i)],
      ["revindex0", integerValue(items.length - i - 1)],
      ["first", booleanValue(i === 0)],
      ["last", booleanValue(i === items.length - 1)],
      ["length", integerValue(items.length)],
      ["previtem", items[i - 1] ?? undefinedValue],
      ["nextitem", items[i + 1] ?? undefinedValue],
    ]),
  );
}
