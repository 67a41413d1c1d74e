export { DataError, type DataErrorCode } from "./data-error.ts";
export { keyOf } from "./keyed-hash.ts";
export type { EncodedTexts, TextBatchEncoder, TokenEncoder } from "./token-encoder.ts";

export type { BadRow, BadRowOptions } from "./readers/bad-rows.ts";
export { listFiles, type SourceFile, type SourceFormat } from "./readers/list-files.ts";
export type { InflationLimits } from "./readers/read-bytes.ts";
export { readDocuments, type ReadOptions, type TextDocument } from "./readers/read-documents.ts";
export type { InvalidText } from "./readers/utf8.ts";

export { hashFile } from "./shards/hash-file.ts";
export type { ShardHeader } from "./shards/header.ts";
export type { Manifest, ShardEntry, SplitEntry } from "./shards/manifest.ts";
export { openDataset, type Dataset, type OpenOptions } from "./shards/open-dataset.ts";
export { prepareDataset, type PrepareOptions, type PrepareProgress } from "./shards/prepare-dataset.ts";
export { Shard } from "./shards/shard.ts";
export { TokenStream } from "./shards/token-stream.ts";

export { ignoredTarget, type Batch, type Window } from "./sampler/batch.ts";
export { mixture, type MixedSample } from "./sampler/mixture.ts";
export { permute } from "./sampler/permutation.ts";
export { createSampler } from "./sampler/sampler.ts";
export type { BatchSlice, Sampler, SamplerOptions, SamplerState, WeightedStream } from "./sampler/sampler.ts";
export { planStages, type PlannedStage, type SequenceStage } from "./sampler/schedule.ts";
export { sequentialBatches, type SequentialOptions } from "./sampler/sequential.ts";

export { inspectDataset } from "./inspect/inspect-dataset.ts";
export type { DatasetReport, InspectedToken, InspectOptions } from "./inspect/inspect-dataset.ts";
export type { LengthBucket, SplitStatistics } from "./inspect/inspect-dataset.ts";
