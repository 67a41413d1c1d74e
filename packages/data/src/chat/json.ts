const deepest = 64;
const mostValues = 100_000;

/** Why a value is no JSON of reasonable size, or `undefined` if it is. */
export function problemOfJson(value: unknown): string | undefined {
  let values = 0;
  const problemOf = (item: unknown, depth: number): string | undefined => {
    if (depth > deepest) return `is nested deeper than ${deepest} levels`;
    if (++values > mostValues) return `has more than ${mostValues} values`;
    if (item === null || typeof item === "string" || typeof item === "boolean") return undefined;
    if (typeof item === "number") return Number.isFinite(item) ? undefined : `holds ${item}`;
    if (Array.isArray(item)) return firstProblem(item, depth);
    return isPlainObject(item) ? firstProblem(Object.values(item), depth) : `holds ${describe(item)}`;
  };
  const firstProblem = (items: readonly unknown[], depth: number): string | undefined => {
    for (const item of items) {
      const problem = problemOf(item, depth + 1);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
  return problemOf(value, 0);
}

/** Whether a value is an object as JSON makes them. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A value's kind in words, for messages about what came instead of something else. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === "object") return "an object";
  return typeof value === "function" ? "a function" : String(value);
}
