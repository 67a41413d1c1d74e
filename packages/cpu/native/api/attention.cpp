// C ABI of attention.
#include <cmath>

#include "../kernels/attention-backward.h"
#include "../kernels/attention-forward.h"
#include "attention.h"

using namespace danu;

namespace {

bool isValid(const AttentionShape& shape, double scale, int32_t dtype) {
  return shape.B >= 0 && shape.T >= 0 && shape.S >= shape.T && shape.S <= INT32_MAX && shape.keyValueHeads >= 1 &&
         shape.H >= 1 && shape.H % shape.keyValueHeads == 0 && shape.D >= 1 && shape.D <= maxHeadSize &&
         shape.slidingWindow >= 0 && scale >= 0 && std::isfinite(scale) && (dtype == dtypeF32 || dtype == dtypeBf16);
}

template <class T>
int32_t forward(Queue& queue, const AttentionShape& shape, const uint64_t (&addresses)[5]) {
  ForwardCall<T> call{};
  call.shape = shape;
  call.o = (T*)addresses[0];
  call.lse = (float*)addresses[1];
  call.q = (const T*)addresses[2];
  call.k = (const T*)addresses[3];
  call.v = (const T*)addresses[4];
  return attentionForward(queue, call) ? danu_ok : danu_out_of_memory;
}

template <class T>
int32_t backward(Queue& queue, const AttentionShape& shape, const uint64_t (&addresses)[9]) {
  BackwardCall<T> call{};
  call.shape = shape;
  call.dQ = (T*)addresses[0];
  call.dK = (T*)addresses[1];
  call.dV = (T*)addresses[2];
  call.dO = (const T*)addresses[3];
  call.q = (const T*)addresses[4];
  call.k = (const T*)addresses[5];
  call.v = (const T*)addresses[6];
  call.o = (const T*)addresses[7];
  call.lse = (const float*)addresses[8];
  return attentionBackward(queue, call) ? danu_ok : danu_out_of_memory;
}

}  // namespace

/// Causal attention with grouped queries: o = softmax(scale · q kᵀ) v over the keys that a query sees. Query t stands
/// at position p = S - T + t and sees the keys from max(p - slidingWindow + 1, documentStart[p]) to p. Forward scores
/// depend on no key outside that range; a NaN in a value or, backward, in any input may reach the rows of its tile.
/// @param o, q [B, T, H, D]  @param k, v [B, S, Hkv, D], all of dtype f32 or bf16; Hkv divides H, D is at most 256
/// @param lse f32 [B, H, T], natural logarithm of the sum of exponentials of scale · q kᵀ
/// @param documentStart i32 [B, S], or 0 for none  @param slidingWindow 0 for none  @param scale finite, not negative
DANU_API int32_t danu_attention_forward(Queue* queue, uint64_t o, uint64_t lse, uint64_t q, uint64_t k, uint64_t v,
                                        uint64_t documentStart, int64_t B, int64_t T, int64_t S, int64_t H, int64_t Hkv,
                                        int64_t D, int64_t slidingWindow, double scale, int32_t dtype) {
  AttentionShape shape{B, T, S, H, Hkv, D, slidingWindow, float(scale), (const int32_t*)documentStart};
  if (!isValid(shape, scale, dtype)) return danu_invalid_argument;
  if (B == 0 || T == 0) return danu_ok;
  const uint64_t addresses[] = {o, lse, q, k, v};
  if (dtype == dtypeBf16) return forward<bf16>(*queue, shape, addresses);
  return forward<float>(*queue, shape, addresses);
}

/// Gradients of `danu_attention_forward` from dO [B, T, H, D] and its inputs and outputs; every element is written.
/// @param dQ [B, T, H, D]  @param dK, dV [B, S, Hkv, D]
DANU_API int32_t danu_attention_backward(Queue* queue, uint64_t dQ, uint64_t dK, uint64_t dV, uint64_t dO, uint64_t q,
                                         uint64_t k, uint64_t v, uint64_t o, uint64_t lse, uint64_t documentStart,
                                         int64_t B, int64_t T, int64_t S, int64_t H, int64_t Hkv, int64_t D,
                                         int64_t slidingWindow, double scale, int32_t dtype) {
  AttentionShape shape{B, T, S, H, Hkv, D, slidingWindow, float(scale), (const int32_t*)documentStart};
  if (!isValid(shape, scale, dtype)) return danu_invalid_argument;
  if (B == 0 || S == 0) return danu_ok;
  const uint64_t addresses[] = {dQ, dK, dV, dO, q, k, v, o, lse};
  if (dtype == dtypeBf16) return backward<bf16>(*queue, shape, addresses);
  return backward<float>(*queue, shape, addresses);
}
