import type { TemplateLimits } from "./budget.ts";
import { tooMuch } from "./budget.ts";
import { CallValues } from "./call-values.ts";
import type { RuntimeValue } from "./engine.ts";
import { templateError } from "./template-error.ts";
import { FunctionValue, integerValue, ListValue } from "./values.ts";

/** Python's `range` as a value to call, which refuses long lists before it makes them. */
export function range(limits: TemplateLimits): RuntimeValue {
  return new FunctionValue((values) => {
    const given = CallValues.of("range", values);
    const first = given.integer(0, "start");
    const second = given.integer(1, "stop");
    const step = given.integer(2, "step") ?? 1;
    if (first === undefined || step === 0) throw templateError("range: expected integers and a step other than 0");
    const [start, stop] = second === undefined ? [0, first] : [first, second];
    const length = Math.max(Math.ceil((stop - start) / step), 0);
    if (!(length <= limits.listLength)) throw tooMuch("listLength", limits);
    return new ListValue(Array.from({ length }, (_, i) => integerValue(start + i * step)));
  });
}
