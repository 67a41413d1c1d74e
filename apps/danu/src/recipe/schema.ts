import { z } from "zod";

import { InputError } from "../cli/errors.ts";
import { suggestion } from "../cli/flags.ts";
import type { RecipeLayer } from "./recipe.ts";

const count = z.int().min(1);
const seed = z.int().min(0);
const share = z.number().min(0).lt(1);
const rate = z.number().min(0);
const text = z.string().min(1);

const model = z
  .strictObject({
    preset: text,
    hiddenSize: count,
    intermediateSize: count,
    layers: count,
    heads: count,
    keyValueHeads: count,
    headDim: count,
    vocabularySize: count,
    maxPositions: count,
    slidingWindow: count.nullable(),
    ropeTheta: z.number(),
    rmsNormEps: z.number(),
    tieEmbeddings: z.boolean(),
    initializerRange: z.number(),
    bosId: seed.nullable(),
    eosId: seed.nullable(),
    padId: seed.nullable(),
    dtype: z.enum(["f32", "bf16", "f16"]),
  })
  .partial();

const recipe = z
  .strictObject({
    model,
    dtype: z.enum(["f32", "bf16"]),
    tokenizer: text,
    data: z.array(z.strictObject({ paths: z.array(text).min(1), weight: z.number().positive().optional() })).min(1),
    tokensPerBatch: count,
    steps: count,
    sequenceLength: count,
    stages: z.array(z.strictObject({ tokens: count, sequenceLength: count })).min(1),
    microBatchTokens: count,
    learningRate: z
      .strictObject({
        kind: z.enum(["cosine", "linear", "constant", "warmup-stable-decay"]),
        peak: rate,
        floor: rate,
        warmup: seed,
        decay: seed,
      })
      .partial(),
    optimizer: z.strictObject({ beta1: share, beta2: share, eps: z.number().positive(), weightDecay: rate }).partial(),
    maxGradientNorm: z.number().positive(),
    seed,
    documentMask: z.boolean(),
    validation: z.strictObject({ every: count, tokens: count, fraction: share }).partial(),
    checkpoint: z.strictObject({ every: count, keep: count }).partial(),
    recompute: z.boolean(),
    sample: z.strictObject({ prompt: z.string(), maxTokens: count, temperature: rate }).partial(),
  })
  .partial();

/** Checks that a value is a pretraining recipe, whole or in part.
 *  @param source the file's name for messages
 *  @throws InputError naming the field, what was expected and what came */
export function checkRecipe(value: unknown, source: string): RecipeLayer {
  const result = recipe.safeParse(value);
  if (result.success) return result.data as RecipeLayer;
  const issue = result.error.issues[0]!;
  const field = issue.path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .replace(/^\./, "");
  const where = `${source}: ${field === "" ? "recipe" : field}`;
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const known = knownFields(issue.path);
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
function knownFields(path: readonly PropertyKey[]): string[] {
  let schema: unknown = recipe;
  for (const key of path) {
    schema = unwrap(schema);
    schema = typeof key === "number" ? (schema as z.ZodArray).element : (schema as z.ZodObject).shape[String(key)];
  }
  return Object.keys((unwrap(schema) as z.ZodObject).shape);
}

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodOptional ? schema.unwrap() : schema;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | null | undefined)?.[key], value);
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  const written = JSON.stringify(value);
  return written.length > 60 ? `${written.slice(0, 60)}…` : written;
}
