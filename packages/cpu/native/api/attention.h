// Prototypes of attention and rotary embedding, for native tests; what they do stands beside their definitions.
#pragma once

#include "abi.h"

DANU_API int32_t danu_attention_forward(danu::Queue* queue, uint64_t o, uint64_t lse, uint64_t q, uint64_t k,
                                        uint64_t v, uint64_t documentStart, int64_t B, int64_t T, int64_t S, int64_t H,
                                        int64_t Hkv, int64_t D, int64_t slidingWindow, double scale, int32_t dtype);
DANU_API int32_t danu_attention_backward(danu::Queue* queue, uint64_t dQ, uint64_t dK, uint64_t dV, uint64_t dO,
                                         uint64_t q, uint64_t k, uint64_t v, uint64_t o, uint64_t lse,
                                         uint64_t documentStart, int64_t B, int64_t T, int64_t S, int64_t H,
                                         int64_t Hkv, int64_t D, int64_t slidingWindow, double scale, int32_t dtype);
DANU_API int32_t danu_rope(danu::Queue* q, uint64_t y, uint64_t x, uint64_t table, uint64_t positions, int64_t rows,
                           int64_t H, int64_t D, int64_t tablePositions, int32_t inverse, int32_t dtype);
