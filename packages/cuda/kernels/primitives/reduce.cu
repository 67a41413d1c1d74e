// Reductions of [outer, reduced, inner] along the middle axis: sum, maximum, and where the maximum is. In f32, or 64 bits for sums
// of integers. The order hangs on the shape alone: a line is cut into parts, a part belongs to some threads of one block, which
// take its elements in turns and then join their results two by two; several parts go to memory and are reduced once more.
// Must move: the bytes of the operand.
#include "number.cuh"

namespace reduce {
using namespace number;
constexpr int THREADS = 256;

/// The codes of the host.
enum Kind { SUM, MAX, ARGMAX };

/// How the work is cut. A block has `depth` threads, a power of two, for each of THREADS / depth lines.
struct Cut { int64_t outer, reduced, inner, part; int parts, depth; };

template <class T> struct Sum {
    using Result = std::conditional_t<IS_INTEGER<T>, int64_t, float>;
    using Output = T;
    static DEVICE Result none() { return 0; }
    static DEVICE Result of(T x, int64_t) { return value(x); }
    static DEVICE Result join(Result a, Result b) { return a + b; }
    static DEVICE T output(Result a) { return saturated<T>(a); }
};
template <class T> struct Max {
    using Result = Value<T>;
    using Output = T;
    static DEVICE Result none() { if constexpr (IS_INTEGER<T>) return LOWEST<T>; else return -INFINITY; }
    static DEVICE Result of(T x, int64_t) { return value(x); }
    static DEVICE Result join(Result a, Result b) { return a > b || a != a ? a : b; }
    static DEVICE T output(Result a) { return saturated<T>(a); }
};
/// The largest, and its place; no place yet is beyond all others.
template <class T> struct Argmax {
    struct Result { Value<T> top; int32_t place; };
    using Output = int32_t;
    static DEVICE Result none() { return {Max<T>::none(), INT32_MAX}; }
    static DEVICE Result of(T x, int64_t place) { return {value(x), (int32_t)place}; }
    static DEVICE Result join(Result a, Result b) {
        const bool odd_a = a.top != a.top, odd_b = b.top != b.top;
        if (odd_a != odd_b) return odd_a ? a : b;
        if (a.top > b.top || (a.place < b.place && !(b.top > a.top))) return a;
        return b;
    }
    static DEVICE int32_t output(Result a) { return a.place == INT32_MAX ? 0 : a.place; }
};

/// Elements of a line that a thread has on their way at once.
constexpr int AHEAD = 8;

template <class Fold, class Read> DEVICE typename Fold::Result run(int64_t from, int64_t to, int step, Read read) {
    auto total = Fold::none();
    for (int64_t r = from; r < to; r += AHEAD * step) {
        typename Fold::Result next[AHEAD];
        #pragma unroll
        for (int i = 0; i < AHEAD; i++) next[i] = r + i * step < to ? read(r + i * step) : Fold::none();
        #pragma unroll
        for (int i = 0; i < AHEAD; i++) total = Fold::join(total, next[i]);
    }
    return total;
}

/// Block (x, part) reduces one part of some lines: of elements x, or, where there are none, of the results of an earlier launch.
template <class T, class Fold> DEVICE void fold(void* y, const T* x, const void* results, const Cut& cut) {
    using Result = typename Fold::Result;
    __shared__ Result joined[THREADS];
    const int lines = THREADS / cut.depth;
    // Threads that are neighbours read neighbours: of one line where the reduced axis is the innermost, else of several.
    const int turn = cut.inner == 1 ? threadIdx.x % cut.depth : threadIdx.x / lines;
    const int own = cut.inner == 1 ? threadIdx.x / cut.depth : threadIdx.x % lines;
    const int64_t line = (int64_t)blockIdx.x * lines + own, outer = line / cut.inner, first = outer * cut.reduced * cut.inner + (line - outer * cut.inner);
    const int64_t from = blockIdx.y * cut.part, to = min(cut.reduced, from + cut.part);
    const bool inside = outer < cut.outer;
    Result total = Fold::none();
    if (inside && x) total = run<Fold>(from + turn, to, cut.depth, [&](int64_t r) { return Fold::of(x[first + r * cut.inner], r); });
    else if (inside) total = run<Fold>(from + turn, to, cut.depth, [&](int64_t r) { return ((const Result*)results)[first + r * cut.inner]; });
    for (int half = cut.depth / 2; half; half /= 2) {
        joined[own * cut.depth + turn] = total;
        __syncthreads();
        if (turn < half) total = Fold::join(total, joined[own * cut.depth + turn + half]);
        __syncthreads();
    }
    if (!inside || turn != 0) return;
    if (cut.parts == 1) ((typename Fold::Output*)y)[line] = Fold::output(total);
    else ((Result*)y)[(outer * cut.parts + blockIdx.y) * cut.inner + (line - outer * cut.inner)] = total;
}
template <class T> DEVICE void any(void* y, const T* x, const void* results, int kind, const Cut& cut) {
    switch (kind) {
        case SUM: return fold<T, Sum<T>>(y, x, results, cut);
        case MAX: return fold<T, Max<T>>(y, x, results, cut);
        case ARGMAX: return fold<T, Argmax<T>>(y, x, results, cut);
    }
}
}  // namespace reduce
using reduce::Bf16, reduce::F16, reduce::E4m3, reduce::E5m2;

/// Blocks of 256 threads, ⌈outer · inner / (256 / depth)⌉ × parts of them, where parts = ⌈reduced / part⌉, at least 1.
/// @param y [outer, inner], i32 for `argmax`; of several parts their results [outer, parts, inner] of 8 bytes at most
/// @param x [outer, reduced, inner], or null: then `results` of an earlier launch, of the same shape
extern "C" __global__ void __launch_bounds__(reduce::THREADS, 4) reduce_f32(void* y, const float* x, const void* results, int kind, reduce::Cut cut) { reduce::any(y, x, results, kind, cut); }
extern "C" __global__ void __launch_bounds__(reduce::THREADS, 4) reduce_bf16(void* y, const Bf16* x, const void* results, int kind, reduce::Cut cut) { reduce::any(y, x, results, kind, cut); }
extern "C" __global__ void __launch_bounds__(reduce::THREADS, 4) reduce_f16(void* y, const F16* x, const void* results, int kind, reduce::Cut cut) { reduce::any(y, x, results, kind, cut); }
extern "C" __global__ void __launch_bounds__(reduce::THREADS, 4) reduce_f8e4m3(void* y, const E4m3* x, const void* results, int kind, reduce::Cut cut) { reduce::any(y, x, results, kind, cut); }
extern "C" __global__ void __launch_bounds__(reduce::THREADS, 4) reduce_f8e5m2(void* y, const E5m2* x, const void* results, int kind, reduce::Cut cut) { reduce::any(y, x, results, kind, cut); }
extern "C" __global__ void __launch_bounds__(reduce::THREADS, 4) reduce_i32(void* y, const int32_t* x, const void* results, int kind, reduce::Cut cut) { reduce::any(y, x, results, kind, cut); }
extern "C" __global__ void __launch_bounds__(reduce::THREADS, 4) reduce_u8(void* y, const uint8_t* x, const void* results, int kind, reduce::Cut cut) { reduce::any(y, x, results, kind, cut); }
