import { z } from "zod";

import { InputError } from "../cli/errors.ts";
import { suggestion } from "../cli/flags.ts";

/** Checks that a value is a recipe of a schema.
 *  @param source the file's name for messages
 *  @throws InputError naming the field, what was expected and what came */
export function checkAgainst<S extends z.ZodObject>(schema: S, value: unknown, source: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const field = issue.path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");
  const where = `${source}: ${field === "" ? "recipe" : field}`;
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = knownFields(schema, issue.path);
    throw new InputError(`${where}: expected fields of ${known.join(", ")}, got "${key}"${suggestion(key, known)}`);
  }
  throw new InputError(`${where}: expected ${expectation(issue)}, got ${describe(at(value, issue.path))}`);
}

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type") return typeNames[issue.expected] ?? issue.expected;
  if (issue.code === "invalid_value") return `one of ${issue.values.join(", ")}`;
  if (issue.code === "too_small") {
    if (issue.origin === "array") return "at least one element";
    if (issue.origin === "string") return "a text that is not empty";
    return `a number ${issue.inclusive === false ? "above" : "of at least"} ${issue.minimum}`;
  }
  if (issue.code === "too_big") return `a number ${issue.inclusive === false ? "below" : "up to"} ${issue.maximum}`;
  return issue.message;
}

const typeNames: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  object: "an object",
};

/** Fields of the part of the recipe that a path leads to. */
function knownFields(schema: z.ZodObject, path: readonly PropertyKey[]): string[] {
  let part: unknown = schema;
  for (const key of path) {
    part = unwrap(part);
    part = typeof key === "number" ? (part as z.ZodArray).element : (part as z.ZodObject).shape[String(key)];
  }
  return Object.keys((unwrap(part) as z.ZodObject).shape);
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodNullable ? unwrap(schema.unwrap()) : schema;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | null | undefined)?.[key], value);
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  const written = JSON.stringify(value);
  return written.length > 60 ? `${written.slice(0, 60)}…` : written;
}
