export { Decoder, type DecoderInput, type DecoderOptions } from "./decoder/decoder.ts";
export { type BlockWeights, type DecoderWeights } from "./decoder/layers.ts";
export {
  huggingFaceNames, initialize, linearLayers, mapParameters, parameterShapes,
  type BlockParameters, type DecoderParameters, type LinearLayer,
} from "./decoder/parameters.ts";
export { GenerationError } from "./generate/errors.ts";
export { generate } from "./generate/generate.ts";
export type { GenerateOptions, GenerationEnd } from "./generate/continuation.ts";
export { generateBatch, type BatchPrompt, type BatchText } from "./generate/generate-batch.ts";
export { TextSession } from "./generate/text-session.ts";
export { sample, type SamplingOptions } from "./generate/sample.ts";
export {
  adapt, mergedWeight, project, type AdaptedBlock, type AdaptedParameters, type AdaptedWeight, type ProjectionWeight,
} from "./lora/adapted-weight.ts";
export {
  checkLora, defaultLora, initializeLora, LoraError, loraScale, loraTargets, mapLora,
  type LoraConfig, type LoraFactors, type LoraParameters, type LoraTarget,
} from "./lora/lora.ts";
export { Fp8Weights, inFp8, type Fp8Block, type Fp8Matrices, type Fp8MatrixName, type Fp8Parameters } from "./fp8/fp8.ts";
export { readAdapter, writeAdapter } from "./lora/adapter-folder.ts";
export { mergeLora } from "./lora/merge.ts";
export { loadParameters, parameterSources } from "./decoder/weights.ts";
export {
  ConfigError, fromHuggingFace, toHuggingFace, validateConfig, type DecoderConfig, type HuggingFaceConfig, type ModelType,
} from "./config.ts";
export { flopsPerToken, parameterCount, preset, presetNames, presets, type PresetName } from "./presets.ts";
export {
  openModelFolder, openWeights, readTokenizerFiles, writeModelFolder,
  type ModelFolder, type ModelFolderContents,
} from "./folder/index.ts";
export * from "./safetensors/index.ts";
export { Random } from "./random.ts";
