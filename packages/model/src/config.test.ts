import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { goldenJson } from "../test/safetensors-files.ts";
import { ConfigError, fromHuggingFace, toHuggingFace, validateConfig } from "./config.ts";
import type { DecoderConfig } from "./config.ts";
import { preset, presetNames, presets } from "./presets.ts";

const danube1 = {
  architectures: ["MistralForCausalLM"], model_type: "mistral", hidden_size: 2560, intermediate_size: 6912,
  num_hidden_layers: 24, num_attention_heads: 32, num_key_value_heads: 8, vocab_size: 32_000,
  max_position_embeddings: 16_384, sliding_window: 4096, rope_scaling: null, rms_norm_eps: 1e-5,
  tie_word_embeddings: false, hidden_act: "silu", initializer_range: 0.02, bos_token_id: 1, eos_token_id: 2,
  pretraining_tp: 1, torch_dtype: "bfloat16", use_cache: true, transformers_version: "4.36.1",
};
const llama2 = {
  _name_or_path: "meta-llama/Llama-2-7b-hf", architectures: ["LlamaForCausalLM"], bos_token_id: 1, eos_token_id: 2,
  hidden_act: "silu", hidden_size: 4096, initializer_range: 0.02, intermediate_size: 11_008,
  max_position_embeddings: 4096, model_type: "llama", num_attention_heads: 32, num_hidden_layers: 32,
  num_key_value_heads: 32, pretraining_tp: 1, rms_norm_eps: 1e-5, rope_scaling: null, tie_word_embeddings: false,
  torch_dtype: "float16", transformers_version: "4.31.0.dev0", use_cache: true, vocab_size: 32_000,
};

describe("fromHuggingFace", () => {
  it("reads the published Danube configurations as the presets", () => {
    expect(fromHuggingFace(danube1)).toEqual(presets["danube-1.8b"]);
    const chat = { ...danube1, rope_theta: 10_000.0, attention_dropout: 0.0, pad_token_id: 0 };
    expect(fromHuggingFace(chat)).toEqual(preset("danube-1.8b", { padId: 0 }));
    const danube2 = { ...chat, sliding_window: null, max_position_embeddings: 8192 };
    expect(fromHuggingFace(danube2)).toEqual(presets["danube2-1.8b"]);
    const danube3 = {
      ...chat, architectures: ["LlamaForCausalLM"], model_type: "llama", hidden_size: 3840, intermediate_size: 10_240,
      head_dim: 120, max_position_embeddings: 8192, rope_theta: 100_000, initializer_range: 0.01,
      attention_bias: false, mlp_bias: false, sliding_window: undefined,
    };
    expect(fromHuggingFace(danube3)).toEqual(presets["danube3-4b"]);
    const small = {
      ...danube3, hidden_size: 1536, intermediate_size: 4096, num_hidden_layers: 16, num_attention_heads: 16,
      initializer_range: 0.02, sliding_window: null, head_dim: undefined,
    };
    expect(fromHuggingFace(small)).toEqual(presets["danube3-500m"]);
  });

  it("reads Llama 2, TinyLlama and Mistral 7B", () => {
    expect(fromHuggingFace(llama2)).toMatchObject({
      headDim: 128, keyValueHeads: 32, slidingWindow: null, ropeTheta: 10_000, dtype: "f16", padId: null,
    });
    const tiny = {
      ...llama2, hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 22, num_key_value_heads: 4,
    };
    expect(fromHuggingFace(tiny)).toMatchObject({ headDim: 64, heads: 32, keyValueHeads: 4 });
    const mistral = { ...danube1, hidden_size: 4096, intermediate_size: 14_336, num_hidden_layers: 32, head_dim: 128 };
    expect(fromHuggingFace(mistral)).toMatchObject({ headDim: 128, slidingWindow: 4096 });
    expect(fromHuggingFace({ ...mistral, sliding_window: null, rope_theta: 1e6 })).toMatchObject({
      slidingWindow: null, ropeTheta: 1e6,
    });
  });

  it("reads what transformers 5 writes", () => {
    expect(fromHuggingFace(goldenJson("mistral-sharded/config.json"))).toMatchObject({
      headDim: 10, slidingWindow: 16, ropeTheta: 100_000, dtype: "bf16", padId: 0, tieEmbeddings: false,
    });
    expect(fromHuggingFace(goldenJson("llama-tied/config.json"))).toMatchObject({
      headDim: 4, slidingWindow: null, ropeTheta: 10_000, dtype: "f32", padId: null, tieEmbeddings: true,
      rmsNormEps: 1e-6, initializerRange: 0.01,
    });
  });

  it("takes transformers' defaults for absent fields", () => {
    const sizes = {
      hidden_size: 64, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 16, vocab_size: 32,
    };
    const common = {
      headDim: 4, ropeTheta: 10_000, rmsNormEps: 1e-6, tieEmbeddings: false, initializerRange: 0.02, bosId: 1,
      eosId: 2, padId: null, dtype: "f32",
    };
    expect(fromHuggingFace({ model_type: "llama", ...sizes })).toMatchObject({
      ...common, keyValueHeads: 16, maxPositions: 2048, slidingWindow: null,
    });
    expect(fromHuggingFace({ model_type: "mistral", ...sizes })).toMatchObject({
      ...common, keyValueHeads: 8, maxPositions: 131_072, slidingWindow: 4096,
    });
    const nulls = { num_key_value_heads: null, sliding_window: null, head_dim: null, bos_token_id: null };
    expect(fromHuggingFace({ model_type: "mistral", ...sizes, ...nulls })).toMatchObject({
      keyValueHeads: 16, slidingWindow: null, headDim: 4, bosId: null,
    });
  });

  it.each<[object, string]>([
    [{ model_type: "gpt2" }, 'config.json: model_type: expected llama or mistral, got "gpt2"'],
    [{ model_type: undefined }, "config.json: model_type: expected llama or mistral, got nothing"],
    [{ model_type: "toString" }, 'model_type: expected llama or mistral, got "toString"'],
    [{ hidden_size: undefined }, "config.json: hidden_size: expected an integer from 1 to 1048576, got nothing"],
    [{ hidden_size: "2560" }, 'hidden_size: expected an integer from 1 to 1048576, got "2560"'],
    [{ hidden_size: 2560.5 }, "hidden_size: expected an integer from 1 to 1048576, got 2560.5"],
    [{ num_hidden_layers: 0 }, "num_hidden_layers: expected an integer from 1 to 4096, got 0"],
    [{ num_hidden_layers: 1e15 }, "num_hidden_layers: expected an integer from 1 to 4096, got 1000000000000000"],
    [{ vocab_size: -1 }, "vocab_size: expected an integer from 1 to 16777216, got -1"],
    [{ num_key_value_heads: 5 }, "num_key_value_heads: expected a divisor of the 32 attention heads, got 5"],
    [{ num_attention_heads: 24 }, "head_dim: expected an integer from 2 to 16384, got 106.66"],
    [{ head_dim: 81 }, "head_dim: expected an even number, got 81"],
    [{ sliding_window: 0 }, "sliding_window: expected an integer from 1 to 1073741824, or null, got 0"],
    [{ rms_norm_eps: 0 }, "rms_norm_eps: expected a number above 0 and up to 1, got 0"],
    [{ rms_norm_eps: Infinity }, "rms_norm_eps: expected a number above 0 and up to 1, got Infinity"],
    [{ rope_theta: -1 }, "rope_theta: expected a number above 0 and up to 1000000000000, got -1"],
    [
      { rope_theta: 1e4, rope_parameters: { rope_theta: 1e5 } },
      "rope_theta: expected 100000, as in rope_parameters, got 10000",
    ],
    [
      { rope_scaling: { type: "linear", factor: 2 } },
      'rope_scaling: expected type default (scaled rotary positions are not supported), got "linear"',
    ],
    [
      { rope_parameters: { rope_type: "llama3", rope_theta: 1e5 } },
      'rope_parameters: expected type default (scaled rotary positions are not supported), got "llama3"',
    ],
    [
      { rope_parameters: { full_attention: { rope_theta: 1 } } },
      "rope_parameters.full_attention: expected one base for all layers, got an object",
    ],
    [{ rope_parameters: [] }, "rope_parameters: expected an object or null, got an array"],
    [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor: expected 1 (less is not supported), got 0.5"],
    [{ rope_parameters: { partial_rotary_factor: 0.5 } }, "rope_parameters.partial_rotary_factor: expected 1"],
    [{ attention_bias: true }, "attention_bias: expected false (biases are not supported), got true"],
    [{ mlp_bias: true }, "mlp_bias: expected false (biases are not supported), got true"],
    [{ hidden_act: "gelu" }, 'hidden_act: expected silu, got "gelu"'],
    [
      { quantization_config: { bits: 4 } },
      "quantization_config: expected none (quantised weights are not supported), got an object",
    ],
    [{ torch_dtype: "float64" }, 'torch_dtype: expected float32, bfloat16, float16, got "float64"'],
    [{ tie_word_embeddings: "no" }, 'tie_word_embeddings: expected true or false, got "no"'],
    [{ pad_token_id: 32_000 }, "pad_token_id: expected an integer from 0 to 31999, or null, got 32000"],
    [{ eos_token_id: [2, 3] }, "eos_token_id: expected an integer from 0 to 31999, or null, got an array"],
  ])("refuses %j", (change, message) => {
    expect(() => fromHuggingFace({ ...danube1, ...change })).toThrow(message);
    expect(() => fromHuggingFace({ ...danube1, ...change })).toThrow(ConfigError);
  });

  it("refuses a window that llama would ignore, and what is no object", () => {
    expect(() => fromHuggingFace({ ...llama2, sliding_window: 4096 })).toThrow(
      /sliding_window: expected null for model_type llama/
    );
    for (const json of [null, [], "x", 1, undefined]) expect(() => fromHuggingFace(json)).toThrow(ConfigError);
  });

  it("gives only a valid configuration or a ConfigError, whatever the fields hold", () => {
    const keys = fc.constantFrom(
      ...Object.keys(danube1),
      "head_dim",
      "rope_theta",
      "rope_parameters",
      "dtype",
      "__proto__"
    );
    const changes = fc.array(fc.tuple(keys, fc.oneof(fc.jsonValue(), fc.integer(), fc.anything())), { maxLength: 4 });
    fc.assert(
      fc.property(changes, (entries) => {
        try {
          validateConfig(fromHuggingFace({ ...danube1, ...Object.fromEntries(entries) }));
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
        }
      }),
      { numRuns: 3000 }
    );
  });
});

const config: fc.Arbitrary<DecoderConfig> = fc
  .record({
    hiddenSize: fc.integer({ min: 1, max: 2 ** 20 }),
    intermediateSize: fc.integer({ min: 1, max: 2 ** 22 }),
    layers: fc.integer({ min: 1, max: 4096 }),
    keyValueHeads: fc.integer({ min: 1, max: 64 }),
    group: fc.integer({ min: 1, max: 64 }),
    pairs: fc.integer({ min: 1, max: 8192 }),
    vocabularySize: fc.integer({ min: 1, max: 2 ** 24 }),
    maxPositions: fc.integer({ min: 1, max: 2 ** 30 }),
    slidingWindow: fc.option(fc.integer({ min: 1, max: 2 ** 30 })),
    ropeTheta: fc.double({ min: 1e-6, max: 1e12, noNaN: true }),
    rmsNormEps: fc.double({ min: 1e-12, max: 1, noNaN: true }),
    initializerRange: fc.double({ min: 1e-12, max: 1, noNaN: true }),
    tieEmbeddings: fc.boolean(),
    ids: fc.array(fc.option(fc.nat()), { minLength: 3, maxLength: 3 }),
    dtype: fc.constantFrom("f32", "bf16", "f16"),
  })
  .map(({ group, pairs, ids, ...rest }) => {
    const [bosId, eosId, padId] = ids.map((id) => (id === null ? null : id % rest.vocabularySize)) as [
      number,
      number,
      number
    ];
    return { ...rest, heads: rest.keyValueHeads * group, headDim: 2 * pairs, bosId, eosId, padId } as DecoderConfig;
  });

describe("toHuggingFace", () => {
  it("is undone by fromHuggingFace, through JSON, under both architectures", () => {
    fc.assert(
      fc.property(config, (value) => {
        const through = (json: unknown): unknown => fromHuggingFace(JSON.parse(JSON.stringify(json)));
        expect(through(toHuggingFace(value))).toEqual(value);
        expect(through(toHuggingFace(value, "mistral"))).toEqual(value);
        if (value.slidingWindow === null) expect(through(toHuggingFace(value, "llama"))).toEqual(value);
        else expect(() => toHuggingFace(value, "llama")).toThrow(/slidingWindow: expected null for model_type llama/);
      }),
      { numRuns: 300 }
    );
  });

  it("writes the fields of the published file", () => {
    const { pretraining_tp: _, transformers_version: __, rope_scaling: ___, ...published } = danube1;
    expect(toHuggingFace(preset("danube-1.8b"))).toMatchObject(published);
    expect(toHuggingFace(preset("danube3-4b"))).toMatchObject({
      model_type: "llama", attention_bias: false, head_dim: 120,
    });
  });

  it("refuses a configuration that is wrong, by its own names", () => {
    const wrong = { ...presets.nano, headDim: 31 };
    expect(() => toHuggingFace(wrong)).toThrow("model configuration: headDim: expected an even number, got 31");
    expect(() => validateConfig({})).toThrow(
      "model configuration: hiddenSize: expected an integer from 1 to 1048576, got nothing"
    );
    for (const name of presetNames) expect(validateConfig(presets[name])).toEqual(presets[name]);
  });
});
