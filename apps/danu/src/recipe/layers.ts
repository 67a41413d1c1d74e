import { InputError } from "../cli/errors.ts";

/** Part of a recipe: what a file or the flags say, laid over the defaults. Objects may be given in part. */
export type Layer<R> = {
  readonly [K in keyof R]?: R[K] extends readonly unknown[] | string | number | boolean ? R[K] : Partly<R[K]>;
};

type Partly<T> = T extends object ? { readonly [K in keyof T]?: T[K] } : T;

/** Lays recipes over one another, the last on top: objects field by field, lists as a whole. */
export function layerRecipes<L extends object>(...layers: readonly L[]): L {
  const merged: Record<string, unknown> = {};
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer)) {
      if (value === undefined) continue;
      const below = merged[key];
      merged[key] = isPlain(value) && isPlain(below) ? { ...below, ...value } : value;
    }
  }
  return merged as L;
}

/** Refuses to go on with a run under another recipe than the one it has.
 *  @param asked what the user gives now  @param stored the resolved recipe of the run
 *  @throws InputError naming the first field that differs */
export function requireSameFields(asked: object, stored: object): void {
  const compare = (a: unknown, b: unknown, path: string): void => {
    if (isPlain(a) && isPlain(b)) {
      for (const [key, value] of Object.entries(a)) compare(value, b[key], path === "" ? key : `${path}.${key}`);
    } else if (JSON.stringify(a) !== JSON.stringify(b)) {
      const message = `expected ${JSON.stringify(b)} as when the run began, got ${JSON.stringify(a)}`;
      throw new InputError(`--resume: ${path}: ${message}; leave it out, or start another run`);
    }
  };
  compare(asked, stored, "");
}

/** The value of a field that has no default. @throws InputError when there is none */
export function required<T>(value: T | undefined, field: string, flag: string, source: string): T {
  if (value !== undefined) return value;
  throw new InputError(`${source}: ${field}: expected a value, got nothing; give it there or with ${flag}`);
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** An object without the fields that are undefined. */
export function dropUndefined<T extends object>(value: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as Partial<Defined<T>>;
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
