import { DanuError } from "@danu/tensor";

/**
 * Shape and constants of a decoder of the Llama family: RMSNorm, rotary positions, grouped-query attention, SwiGLU,
 * no biases.
 */
export interface DecoderConfig {
  /** Width of the residual stream, C. */
  readonly hiddenSize: number;
  /** Width of the feed-forward layer. */
  readonly intermediateSize: number;
  readonly layers: number;
  /** Query heads, H. */
  readonly heads: number;
  /** Key and value heads; divides `heads`. */
  readonly keyValueHeads: number;
  /** Width of one head, D; even, since rotary positions turn pairs. */
  readonly headDim: number;
  /** Tokens in the vocabulary, V. */
  readonly vocabularySize: number;
  /** Longest sequence the model is meant for, in tokens. */
  readonly maxPositions: number;
  /** Keys a query sees, itself included; `null` for all before it. */
  readonly slidingWindow: number | null;
  /** Base of the rotary wavelengths. */
  readonly ropeTheta: number;
  /** Added under the root of RMSNorm. */
  readonly rmsNormEps: number;
  /** True if the output layer is the embedding. */
  readonly tieEmbeddings: boolean;
  /** Standard deviation of initial weights. */
  readonly initializerRange: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  /** Element type of the weights on disk. */
  readonly dtype: "f32" | "bf16" | "f16";
}

/** The fields of a Hugging Face `config.json`. */
export type HuggingFaceConfig = Readonly<Record<string, unknown>>;

/** Architectures that danu runs; they differ in their defaults and in the sliding window. */
export type ModelType = "llama" | "mistral";

/** A model configuration that is wrong or not supported. */
export class ConfigError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("config", message, data);
  }
}

interface Range {
  readonly huggingFace: string;
  readonly from: number;
  readonly to: number;
  /** Real numbers above `from` instead of integers from `from` on. */
  readonly real?: true;
}

const ranges = {
  hiddenSize: { huggingFace: "hidden_size", from: 1, to: 2 ** 20 },
  intermediateSize: { huggingFace: "intermediate_size", from: 1, to: 2 ** 22 },
  layers: { huggingFace: "num_hidden_layers", from: 1, to: 2 ** 12 },
  heads: { huggingFace: "num_attention_heads", from: 1, to: 2 ** 14 },
  keyValueHeads: { huggingFace: "num_key_value_heads", from: 1, to: 2 ** 14 },
  headDim: { huggingFace: "head_dim", from: 2, to: 2 ** 14 },
  vocabularySize: { huggingFace: "vocab_size", from: 1, to: 2 ** 24 },
  maxPositions: { huggingFace: "max_position_embeddings", from: 1, to: 2 ** 30 },
  slidingWindow: { huggingFace: "sliding_window", from: 1, to: 2 ** 30 },
  ropeTheta: { huggingFace: "rope_theta", from: 0, to: 1e12, real: true },
  rmsNormEps: { huggingFace: "rms_norm_eps", from: 0, to: 1, real: true },
  initializerRange: { huggingFace: "initializer_range", from: 0, to: 1, real: true },
} as const satisfies Partial<Record<keyof DecoderConfig, Range>>;
const ids = { bosId: "bos_token_id", eosId: "eos_token_id", padId: "pad_token_id" } as const;
const dtypeNames = { f32: "float32", bf16: "bfloat16", f16: "float16" } as const;
const rangeFields = Object.keys(ranges) as (keyof typeof ranges)[];
const idFields = Object.keys(ids) as (keyof typeof ids)[];
const nullable: readonly string[] = ["slidingWindow", "bosId", "eosId", "padId"];

/** What transformers takes for a field that `config.json` does not have, where the two architectures differ. */
const defaults = {
  llama: { architecture: "LlamaForCausalLM", maxPositions: 2048, keyValueHeads: null, slidingWindow: null },
  mistral: { architecture: "MistralForCausalLM", maxPositions: 131_072, keyValueHeads: 8, slidingWindow: 4096 },
} as const;

interface Values extends Readonly<Partial<Record<keyof DecoderConfig, unknown>>> {}
type NameOf = (field: keyof DecoderConfig) => string;

/**
 * Checks every field of a configuration and how they fit together; fields it does not know are dropped.
 * @throws ConfigError naming the first wrong field, what was expected and what came
 */
export function validateConfig(values: object): DecoderConfig {
  return check(values as Values, (field) => `model configuration: ${field}`);
}

function check(values: Values, nameOf: NameOf): DecoderConfig {
  const config: Record<string, unknown> = {};
  for (const field of rangeFields) config[field] = checkNumber(values, field, ranges[field], nameOf);
  const lastId = { huggingFace: "", from: 0, to: (config["vocabularySize"] as number) - 1 };
  for (const field of idFields) config[field] = checkNumber(values, field, lastId, nameOf);
  const { tieEmbeddings, dtype } = values;
  if (typeof tieEmbeddings !== "boolean") throw wrong(nameOf("tieEmbeddings"), "true or false", tieEmbeddings);
  if (typeof dtype !== "string" || !Object.hasOwn(dtypeNames, dtype)) {
    throw wrong(nameOf("dtype"), Object.keys(dtypeNames).join(", "), dtype);
  }
  Object.assign(config, { tieEmbeddings, dtype });
  const { heads, keyValueHeads, headDim } = config as unknown as DecoderConfig;
  if (heads % keyValueHeads !== 0) {
    throw wrong(nameOf("keyValueHeads"), `a divisor of the ${heads} attention heads`, keyValueHeads);
  }
  if (headDim % 2 !== 0) throw wrong(nameOf("headDim"), "an even number", headDim);
  return config as unknown as DecoderConfig;
}

function checkNumber(values: Values, field: keyof DecoderConfig, range: Range, nameOf: NameOf): number | null {
  const { from, to, real } = range;
  const value = values[field];
  if (value === null && nullable.includes(field)) return null;
  if (typeof value === "number" && value <= to) {
    if (real ? value > from : Number.isSafeInteger(value) && value >= from) return value;
  }
  const kind = real ? `a number above ${from} and up to ${to}` : `an integer from ${from} to ${to}`;
  throw wrong(nameOf(field), nullable.includes(field) ? `${kind}, or null` : kind, value);
}

/**
 * Reads the configuration of a `mistral` or `llama` model; absent fields take the values that transformers gives them.
 * @param json the parsed `config.json`  @param source the file's name for messages
 * @throws ConfigError naming the field that is wrong, missing or not supported
 */
export function fromHuggingFace(json: unknown, source: string = "config.json"): DecoderConfig {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw wrong(source, "a JSON object", json);
  const fields = json as HuggingFaceConfig;
  const get = (name: string): unknown => (Object.hasOwn(fields, name) ? fields[name] : undefined);
  const modelType = readModelType(get, source);
  refuseUnsupported(get, modelType, source);
  const standard = defaults[modelType];
  const heads = get("num_attention_heads");
  const keyValueHeads = get("num_key_value_heads");
  const values: Values = {
    hiddenSize: get("hidden_size"),
    intermediateSize: get("intermediate_size"),
    layers: get("num_hidden_layers"),
    heads,
    keyValueHeads: (keyValueHeads === undefined ? standard.keyValueHeads : keyValueHeads) ?? heads,
    headDim: get("head_dim") ?? headDimOf(get("hidden_size"), heads),
    vocabularySize: get("vocab_size"),
    maxPositions: get("max_position_embeddings") ?? standard.maxPositions,
    slidingWindow: modelType === "llama" ? null : orDefault(get("sliding_window"), standard.slidingWindow),
    ropeTheta: readRopeTheta(get, source),
    rmsNormEps: get("rms_norm_eps") ?? 1e-6,
    tieEmbeddings: get("tie_word_embeddings") ?? false,
    initializerRange: get("initializer_range") ?? 0.02,
    bosId: orDefault(get("bos_token_id"), 1),
    eosId: orDefault(get("eos_token_id"), 2),
    padId: orDefault(get("pad_token_id"), null),
    dtype: readDType(get("dtype") ?? get("torch_dtype") ?? "float32", source),
  };
  return check(values, (field) => `${source}: ${huggingFaceName(field)}`);
}

type Get = (name: string) => unknown;

function readModelType(get: Get, source: string): ModelType {
  const modelType = get("model_type");
  if (typeof modelType === "string" && Object.hasOwn(defaults, modelType)) return modelType as ModelType;
  throw wrong(`${source}: model_type`, Object.keys(defaults).join(" or "), modelType);
}

/** Refuses what would silently give other numbers. */
function refuseUnsupported(get: Get, modelType: ModelType, source: string): void {
  for (const name of ["attention_bias", "mlp_bias"]) {
    if (get(name) ?? false) throw wrong(`${source}: ${name}`, "false (biases are not supported)", get(name));
  }
  const activation = get("hidden_act") ?? "silu";
  if (activation !== "silu") throw wrong(`${source}: hidden_act`, "silu", activation);
  const window = get("sliding_window") ?? null;
  if (modelType === "llama" && window !== null) {
    throw wrong(`${source}: sliding_window`, "null for model_type llama, which ignores it (mistral does not)", window);
  }
  const quantization = get("quantization_config") ?? null;
  if (quantization !== null) {
    throw wrong(`${source}: quantization_config`, "none (quantised weights are not supported)", quantization);
  }
  for (const name of ["rope_scaling", "rope_parameters"]) checkRope(get(name) ?? null, `${source}: ${name}`);
  const partial = get("partial_rotary_factor") ?? 1;
  if (partial !== 1) throw wrong(`${source}: partial_rotary_factor`, "1 (less is not supported)", partial);
}

function checkRope(rope: unknown, name: string): void {
  if (rope === null) return;
  if (typeof rope !== "object" || Array.isArray(rope)) throw wrong(name, "an object or null", rope);
  const { rope_type: ropeType, type, partial_rotary_factor: partial, ...rest } = rope as Record<string, unknown>;
  const kind = ropeType ?? type ?? "default";
  if (kind !== "default") throw wrong(name, "type default (scaled rotary positions are not supported)", kind);
  if ((partial ?? 1) !== 1) throw wrong(`${name}.partial_rotary_factor`, "1 (less is not supported)", partial);
  for (const [key, value] of Object.entries(rest)) {
    if (typeof value === "object" && value !== null) throw wrong(`${name}.${key}`, "one base for all layers", value);
  }
}

/** transformers 5 keeps the base in `rope_parameters` (or its older name), earlier ones beside the other fields. */
function readRopeTheta(get: Get, source: string): unknown {
  const rope = (get("rope_parameters") ?? get("rope_scaling")) as Record<string, unknown> | null | undefined;
  const nested = rope?.["rope_theta"] ?? undefined;
  const flat = get("rope_theta") ?? undefined;
  if (nested !== undefined && flat !== undefined && nested !== flat) {
    throw wrong(`${source}: rope_theta`, `${show(nested)}, as in rope_parameters`, flat);
  }
  return nested ?? flat ?? 10_000;
}

function readDType(name: unknown, source: string): string {
  for (const [dtype, known] of Object.entries(dtypeNames)) if (known === name) return dtype;
  throw wrong(`${source}: torch_dtype`, Object.values(dtypeNames).join(", "), name);
}

function headDimOf(hiddenSize: unknown, heads: unknown): unknown {
  return typeof hiddenSize === "number" && typeof heads === "number" ? hiddenSize / heads : undefined;
}

function orDefault(value: unknown, standard: unknown): unknown {
  return value === undefined ? standard : value;
}

function huggingFaceName(field: keyof DecoderConfig): string {
  const names: Readonly<Record<string, string>> = { ...ids, tieEmbeddings: "tie_word_embeddings" };
  return field in ranges ? ranges[field as keyof typeof ranges].huggingFace : (names[field] ?? field);
}

/**
 * The `config.json` of a configuration, in the form that all versions of transformers and llama.cpp's converter read.
 * @param modelType by default `mistral` with a sliding window, else `llama`; without a window both mean the same
 * @throws ConfigError if the configuration is wrong, or has a sliding window that `llama` would ignore
 */
export function toHuggingFace(config: DecoderConfig, modelType?: ModelType): HuggingFaceConfig {
  const checked = validateConfig(config);
  const type = modelType ?? (checked.slidingWindow === null ? "llama" : "mistral");
  if (type === "llama" && checked.slidingWindow !== null) {
    throw wrong("model configuration: slidingWindow", "null for model_type llama", checked.slidingWindow);
  }
  const fields: Record<string, unknown> = { architectures: [defaults[type].architecture], model_type: type };
  for (const field of rangeFields) fields[ranges[field].huggingFace] = checked[field];
  for (const field of idFields) fields[ids[field]] = checked[field];
  if (type === "llama") {
    delete fields["sliding_window"];
    Object.assign(fields, { attention_bias: false, mlp_bias: false });
  }
  return {
    ...fields,
    attention_dropout: 0,
    hidden_act: "silu",
    tie_word_embeddings: checked.tieEmbeddings,
    torch_dtype: dtypeNames[checked.dtype],
    use_cache: true,
  };
}

function wrong(name: string, expected: string, got: unknown): ConfigError {
  return new ConfigError(`${name}: expected ${expected}, got ${show(got)}`, { field: name, expected, got });
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : String(value);
}
