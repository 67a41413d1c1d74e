import { dirname, resolve } from "node:path";

import { formatNames } from "@danu/data";

import { readJson } from "../cli/read-file.ts";
import type { FlagValues } from "../cli/flags.ts";
import { dropUndefined } from "./layers.ts";
import type { DpoLayer, TuningLayer } from "./tuning.ts";

/** Flags that stand for fields of every recipe of fine-tuning. */
export const tuningFlags = {
  model: { type: "text", value: "DIR", help: "model folder to start from" },
  data: {
    type: "text", value: "FILE", multiple: true,
    help: "files or folders of .jsonl, .json, .parquet, or hf:owner/name; the format is recognised",
  },
  tokenizer: { type: "text", value: "PATH", help: "by default the model folder's" },
  chatTemplate: {
    type: "text", value: "FILE", help: "chat template, Jinja (default the tokenizer's, or Danube's where it has none)",
  },
  validationData: { type: "text", value: "FILE", multiple: true, help: "held-out examples of their own" },
  validationFraction: { type: "number", value: "X", min: 0, max: 0.9, help: "share held out else (default 0.05)" },
  format: { type: "text", value: "NAME", help: "format of every row, instead of recognising it" },
  languages: { type: "text", value: "NAME", multiple: true, help: "of Open Assistant trees, as en (default all)" },
  systemMessages: {
    type: "choice", choices: ["keep", "drop", "prepend"],
    help: "what becomes of system messages (default keep, or prepend to the question where the template has none)",
  },
  skipBadRows: { type: "boolean", help: "pass over malformed rows and keep them in quarantine.jsonl" },
  epochs: { type: "number", value: "N", min: 0.0001, help: "passes over the examples (default 1)" },
  steps: { type: "integer", value: "N", min: 1, help: "optimizer steps, in place of epochs" },
  sequenceLength: {
    type: "integer", value: "T", min: 2, help: "most tokens of an example (default that of the model, at most 2048)",
  },
  microBatchTokens: {
    type: "integer", value: "N", min: 1, help: "tokens through the model at once; less takes less memory (default 2048)",
  },
  learningRate: { type: "number", value: "X", min: 0, help: "peak learning rate (default by model size)" },
  schedule: {
    type: "choice", choices: ["cosine", "linear", "constant", "warmup-stable-decay"],
    help: "how it moves (default cosine)",
  },
  warmup: { type: "integer", value: "N", min: 0, help: "steps up to the peak (default a twentieth, at most 100)" },
  weightDecay: { type: "number", value: "X", min: 0, help: "decoupled decay of the matrices (default 0)" },
  seed: { type: "integer", value: "N", min: 0, help: "of order, held-out share, adapter and noise (default 1)" },
  validateEvery: { type: "integer", value: "N", min: 1, help: "steps between validations (default 100)" },
  checkpointEvery: { type: "integer", value: "N", min: 1, help: "steps between checkpoints (default 500)" },
  recompute: { type: "boolean", help: "compute activations twice to save memory" },
  loraRank: { type: "integer", value: "R", min: 1, help: "width of the adapter (default 4 where there is one)" },
  loraAlpha: { type: "number", value: "X", min: 0.000_001, help: "its update is scaled by alpha / rank (default 16)" },
  loraDropout: { type: "number", value: "X", min: 0, max: 0.99, help: "share of its inputs left out (default 0)" },
  loraTargets: {
    type: "choice", choices: ["query", "key", "value", "output", "gate", "up", "down"], multiple: true,
    help: "layers it changes (default all)",
  },
  rslora: { type: "boolean", help: "scale it by alpha / √rank instead" },
  dora: { type: "boolean", help: "learn the length of every row apart from its direction" },
} as const;

/** Reads a recipe file; its paths are relative to the file. @throws InputError */
export async function tuningFromFile<L extends TuningLayer>(
  file: string, check: (value: unknown, source: string) => L,
): Promise<L> {
  return located(check(await readJson(file), file), (path) => resolve(dirname(file), path));
}

/** The recipe fields that flags set. */
export function tuningFromFlags(flags: FlagValues<typeof tuningFlags>): Omit<TuningLayer, "dtype"> {
  const lora = dropUndefined({
    rank: flags.loraRank,
    alpha: flags.loraAlpha,
    dropout: flags.loraDropout,
    targets: flags.loraTargets.length === 0 ? undefined : flags.loraTargets,
    rankStabilized: flags.rslora ? true : undefined,
    dora: flags.dora ? true : undefined,
  });
  const layer: Omit<TuningLayer, "dtype"> = dropUndefined({
    model: flags.model,
    tokenizer: flags.tokenizer,
    chatTemplate: flags.chatTemplate,
    data: dropUndefined({
      paths: flags.data.length === 0 ? undefined : flags.data,
      format: flags.format,
      languages: flags.languages.length === 0 ? undefined : flags.languages,
      systemMessages: flags.systemMessages,
      badRows: flags.skipBadRows ? ("skip" as const) : undefined,
    }),
    // One takes the place of the other, whatever the recipe file says.
    epochs: flags.epochs ?? (flags.steps === undefined ? undefined : null),
    steps: flags.steps ?? (flags.epochs === undefined ? undefined : null),
    sequenceLength: flags.sequenceLength,
    microBatchTokens: flags.microBatchTokens,
    learningRate: dropUndefined({ kind: flags.schedule, peak: flags.learningRate, warmup: flags.warmup }),
    optimizer: dropUndefined({ weightDecay: flags.weightDecay }),
    seed: flags.seed,
    validation: dropUndefined({
      every: flags.validateEvery,
      fraction: flags.validationFraction,
      paths: flags.validationData.length === 0 ? undefined : flags.validationData,
    }),
    checkpoint: dropUndefined({ every: flags.checkpointEvery }),
    recompute: flags.recompute ? true : undefined,
    lora: Object.keys(lora).length === 0 ? undefined : lora,
  });
  return located(layer, (path) => resolve(path));
}

/** A layer whose paths are absolute; those of the hub stay. */
function located<L extends Omit<TuningLayer, "dtype"> & Pick<DpoLayer, "reference">>(layer: L, absolute: (path: string) => string): L {
  const from = (path: string): string => (path.startsWith("hf:") ? path : absolute(path));
  const all = (paths: readonly string[] | undefined): readonly string[] | undefined => paths?.map(from);
  const { model, tokenizer, chatTemplate, data, validation, reference } = layer;
  return {
    ...layer,
    ...dropUndefined({
      model: model === undefined ? undefined : absolute(model),
      tokenizer: tokenizer === undefined ? undefined : absolute(tokenizer),
      chatTemplate: typeof chatTemplate === "string" ? absolute(chatTemplate) : undefined,
      data: data === undefined ? undefined : dropUndefined({ ...data, paths: all(data.paths) }),
      validation: validation === undefined ? undefined : dropUndefined({ ...validation, paths: all(validation.paths) }),
      reference: typeof reference?.model === "string" ? { ...reference, model: absolute(reference.model) } : undefined,
    }),
  };
}

/** Names of formats, for the help of a command. */
export function formatHelp(reader: keyof typeof formatNames): string {
  return formatNames[reader].join(", ");
}
