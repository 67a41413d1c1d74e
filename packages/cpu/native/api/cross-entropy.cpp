// C ABI of the last layer and the loss together, row chunk by row chunk: the logits of all rows never exist at once.
#include "../kernels/cross-entropy.h"

#include <algorithm>

#include "../kernels/gemm.h"
#include "danu_cpu.h"

using namespace danu;

namespace {

struct LinearCrossEntropy {
  float* loss;
  void* dx;
  float* dw;
  const void* x;
  const void* w;
  const int32_t* targets;
  const float* factors;
  int64_t N, C, V;
  int64_t ignoreIndex;
  float scale;
  DType dtype;
};

/// Rows of one chunk: at most 64 MiB of logits and half of the rows, but enough for efficient products, and all chunks
/// nearly alike.
int64_t rowsPerChunk(int64_t N, int64_t V) {
  constexpr int64_t logitsPerChunk = int64_t(16) << 20;
  constexpr int64_t fewest = 128;
  int64_t most = std::min(logitsPerChunk / std::max<int64_t>(V, 1), std::max(fewest, (N + 1) / 2));
  int64_t chunks = (N + std::max<int64_t>(most, 1) - 1) / std::max<int64_t>(most, 1);
  return (N + chunks - 1) / chunks;
}

/// Losses of `rows` rows from `first`; their logits become gradients if those are wanted.
template <class T>
void submitRows(Queue& q, const LinearCrossEntropy& task, float* logits, int64_t first, int64_t rows) {
  constexpr int64_t logitsPerTile = 32768;
  int64_t each = std::max<int64_t>(1, logitsPerTile / std::max<int64_t>(task.V, 1));
  bool needsGradient = task.dx || task.dw;
  submit(q, tileCount(rows, each), [=, queue = &q](int tile) {
    for (int64_t r = tile * each; r < std::min(rows, (tile + 1) * each); r++) {
      float* row = logits + r * task.V;
      int64_t target = task.targets[first + r];
      bool ignored = target == task.ignoreIndex;
      if (!ignored && (target < 0 || target >= task.V)) {
        fail(*queue, failureIndexOutOfRange, target, task.V);
        ignored = true;
      }
      if (ignored) {
        task.loss[first + r] = 0;
        if (needsGradient) std::memset(row, 0, size_t(task.V) * sizeof(T));
        continue;
      }
      float total;
      task.loss[first + r] = crossEntropyRow(row, task.V, target, total);
      if (!needsGradient) continue;
      float scale = task.factors ? task.scale * task.factors[first + r] : task.scale;
      crossEntropyGradientRow<T>(row, task.V, target, total, scale);
    }
  });
}

template <class T>
bool submitChunk(Queue& q, const LinearCrossEntropy& task, float* logits, int64_t first, int64_t rows) {
  const int64_t C = task.C;
  const int64_t V = task.V;
  // Gradients of type T lie at the start of each row of f32 logits.
  const int64_t gradientStride = V * int64_t(sizeof(float) / sizeof(T));
  const T* x = (const T*)task.x + first * C;
  Gemm forward{};
  forward.c = logits, forward.a = x, forward.b = task.w;
  forward.m = rows, forward.n = V, forward.k = C;
  forward.lda = C, forward.ldb = C, forward.ldc = V;
  forward.batch = 1, forward.alpha = 1, forward.in = task.dtype, forward.out = dtypeF32;
  forward.transposeB = true;
  if (!gemm(q, forward)) return false;
  submitRows<T>(q, task, logits, first, rows);
  if (task.dx) {
    Gemm toInput{};
    toInput.c = (T*)task.dx + first * C, toInput.a = logits, toInput.b = task.w;
    toInput.m = rows, toInput.n = C, toInput.k = V;
    toInput.lda = gradientStride, toInput.ldb = C, toInput.ldc = C;
    toInput.batch = 1, toInput.alpha = 1, toInput.in = toInput.out = task.dtype;
    if (!gemm(q, toInput)) return false;
  }
  if (task.dw) {
    Gemm toWeight{};
    toWeight.c = task.dw, toWeight.a = logits, toWeight.b = x;
    toWeight.m = V, toWeight.n = C, toWeight.k = rows;
    toWeight.lda = gradientStride, toWeight.ldb = C, toWeight.ldc = C;
    toWeight.batch = 1, toWeight.alpha = 1, toWeight.in = task.dtype, toWeight.out = dtypeF32;
    toWeight.transposeA = true;
    toWeight.accumulate = first > 0;
    if (!gemm(q, toWeight)) return false;
  }
  return true;
}

/// dw = 0, for a batch without rows.
void submitZero(Queue& q, float* y, int64_t n) {
  constexpr int64_t elementsPerTile = 65536;
  submit(q, tileCount(n, elementsPerTile), [=](int tile) {
    int64_t at = tile * elementsPerTile;
    std::fill_n(y + at, std::min(elementsPerTile, n - at), 0.0f);
  });
}

}  // namespace

/// Loss of every row of x · wᵀ against its target, and in the same pass the gradients of scale · Σ factor · loss.
/// Rows whose target is ignoreIndex have loss 0 and no gradient; so have rows whose target is outside [0, V) otherwise,
/// and that error is remembered by the queue.
/// @param loss f32 [N]: log Σ exp(logits) − logits[target]  @param dx [N, C] in dtype, or 0  @param dw f32 [V, C], or 0
/// @param x [N, C]  @param w [V, C], both f32 or bf16; logits are f32, their gradients of dtype  @param targets i32 [N]
/// @param factors f32 [N], or 0 for ones
DANU_API int32_t danu_linear_cross_entropy(
    Queue* q, uint64_t loss, uint64_t dx, uint64_t dw, uint64_t x, uint64_t w, uint64_t targets, uint64_t factors, int64_t N,
    int64_t C, int64_t V, int64_t ignoreIndex, double scale, int32_t dtype) {
  if (N < 0 || C < 0 || V < 0 || (dtype != dtypeF32 && dtype != dtypeBf16)) return danu_invalid_argument;
  LinearCrossEntropy task{(float*)loss, (void*)dx,   (float*)dw,  (const void*)x,
                          (const void*)w, (const int32_t*)targets, (const float*)factors, N, C, V, ignoreIndex, float(scale),
                          DType(dtype)};
  if (N == 0) {
    if (dw) submitZero(*q, task.dw, V * C);
    return danu_ok;
  }
  int64_t each = rowsPerChunk(N, V);
  float* logits = (float*)q->memory.allocate(size_t(each * V) * sizeof(float));
  if (!logits) return danu_out_of_memory;
  bool done = true;
  for (int64_t first = 0; first < N && done; first += each) {
    auto chunk = dtype == dtypeF32 ? submitChunk<float> : submitChunk<bf16>;
    done = chunk(*q, task, logits, first, std::min(each, N - first));
  }
  q->memory.free(logits);
  return done ? danu_ok : danu_out_of_memory;
}
