export {
  attention, attentionGradOp, attentionOp, type AttentionAttrs, type AttentionOptions,
} from "./attention.ts";
export { appendKeyValuesOp, attendNextOp, type CachedAttentionAttrs } from "./cached-attention.ts";
export { fp8QueryKeyValue, fp8QueryKeyValueGradOp, fp8QueryKeyValueOp, type QueryKeyValueWeights } from "./fp8-query-key-value.ts";
export { queryKeyValue, queryKeyValueOp } from "./query-key-value.ts";
export { rope, ropeOp, ropeTable, type RopeAttrs } from "./rope.ts";
export { joinCaches, KeyValueCache, type AttentionCache, type KeyValueCacheOptions } from "./key-value-cache.ts";
