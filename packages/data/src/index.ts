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
export type { SplitStatistics } from "./inspect/inspect-dataset.ts";
export type { Finding, FindingCount, Outcome } from "./inspect/findings.ts";
export { inspectExamples } from "./inspect/inspect-examples.ts";
export type { ExamplesReport, InspectExamplesOptions, SequenceStatistics } from "./inspect/inspect-examples.ts";
export type { ShownExample, ShownSequence } from "./inspect/inspect-examples.ts";
export type { LengthBucket, LengthStatistics } from "./inspect/length-histogram.ts";
export { recogniseExamples, type ExampleKindName } from "./inspect/recognise-examples.ts";

export { ChatStatistics } from "./chat/chat-statistics.ts";
export { parseChatTemplate, type ChatTemplate } from "./chat/chat-template.ts";
export type { RenderOptions, SpecialTokens, TemplateOptions } from "./chat/chat-template.ts";
export type { ChatEncodeOptions, ChatEncoding, ChatRange, ChatTokenizer } from "./chat/chat-tokenizer.ts";
export { danubeTemplate } from "./chat/danube-template.ts";
export { encodeChat, type EncodeChatOptions, type EncodedChat } from "./chat/encode-chat.ts";
export type { TemplateLimits } from "./chat/jinja/budget.ts";
export { readMessages, type ChatMessage } from "./chat/messages.ts";
export { templateOf } from "./chat/template-config.ts";
export type { ChatCut, TruncateOptions } from "./chat/truncate-chat.ts";
export type { ChangedAnswers } from "./chat/turns.ts";

export type { Conversation, ExampleExtras, LabelledCompletion } from "./conversations/conversation.ts";
export type { Origin, Preference } from "./conversations/conversation.ts";
export type { DroppedPart, ExampleOptions } from "./conversations/example-options.ts";
export { formatNames, type FormatNames } from "./conversations/known-formats.ts";
export { readConversations } from "./conversations/read-conversations.ts";
export { readLabelled } from "./conversations/read-labelled.ts";
export { readPreferences } from "./conversations/read-preferences.ts";
export { isHeldOut, type SplitOptions } from "./conversations/split.ts";
export type { SystemMessages } from "./conversations/system-messages.ts";

export type { HubOptions } from "./hub/hub-options.ts";
export { resolveHubPath, type HubFiles } from "./hub/resolve-hub-path.ts";

export { bestFit } from "./packing/best-fit.ts";
export type { ExamplePosition, StepOrder, TrainingLength } from "./packing/example-order.ts";
export { packPairs, type PairBatch, type PairExample } from "./packing/pack-pairs.ts";
export { packRows, type TrainingExample } from "./packing/pack-rows.ts";
export { createPackedSampler, packedBatches } from "./packing/packed-sampler.ts";
export type { PackedPosition, PackedSampler, PackedSamplerOptions, PackedSettings } from "./packing/packed-sampler.ts";
export { createPairSampler, pairMicroBatches } from "./packing/pair-sampler.ts";
export type { PairPosition, PairSampler, PairSamplerOptions, PairSettings } from "./packing/pair-sampler.ts";

export type { TrainingEncoding, TrainingSequence } from "./training/encode-example.ts";
export { readTrainingChats, type TrainingChat } from "./training/read-training-chats.ts";
export { readTrainingPairs, type TrainingPair } from "./training/read-training-pairs.ts";
