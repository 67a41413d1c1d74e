// What a chain is told, and how its blocks pass results to each other.
#pragma once
#include "few-rows-layers.cuh"
#include "few-rows.cuh"

namespace chain {
using few_rows::PAIRS; using few_rows::STEP; using few_rows::WARPS; using few_rows::row_bytes;
/// Threads that multiply, attend, and bring weights.
constexpr int MULTIPLY = few_rows::THREADS, ATTEND = 128, BRING = 128, THREADS = MULTIPLY + ATTEND + BRING;
enum Kind { LINEAR, SWIGLU, QUERY_KEY_VALUE, ATTENTION };

/// A step. Of `from`, the step whose y is x, or −1 where x is in memory before the launch, only words are read.
///
/// LINEAR: y [n] = a · x + beside. x [K], a [n, K], its rows `extra` elements apart, beside [n] or null; a step that has written
/// `beside` was of the same kind and n.
/// SWIGLU: y [n] = silu(a · v) · (b · v), v the normed x. x and norm [K], a and b [n, K], `scale` is the norm's eps; n even.
/// QUERY_KEY_VALUE: y = q [n, D], y2 = k and y3 = v [G, D] of the normed x; a, b and c their weights [·, K], beside the table f32
/// [extra, D], positions [1].
/// ATTENTION: y = o [n, D] and y2 = lse f32 [n] of the q, k and v of step `from`, over the last `extra` of the positions; a and b are the
/// keys and values [K, G, D] of those before, of which c [1] are in use, and which the new ones are written to. `parts` of the keys of a
/// head; n / G at most 16.
///
/// K of products and D are multiples of 8, K at most 8192; what is read in pieces starts at multiples of 16 bytes.
struct Step {
    const void *x, *norm; void *y, *y2, *y3; const void *a, *b, *c, *beside, *positions;
    int kind, from, n, G, D, K, extra, parts; float scale;
};
constexpr int MOST = 120;
/// Areas of words, of which steps take one after another.
constexpr int AREAS = 4, AREA_WORDS = 1 << 17;
/// `exchange`: 256 bytes and 4 MiB, zero at first; `slots` of the ring; the largest K of a product.
struct Steps { uint64_t* exchange; int* fault; int count, slots, most_k; Step step[MOST]; };

/// What a launch has in the exchange: its number, by which its tags differ from those of the launch before, and blocks that are done.
struct Exchange {
    uint64_t* base; uint32_t number;
    DEVICE explicit Exchange(uint64_t* base) : base(base), number(*reinterpret_cast<const volatile uint32_t*>(base)) {}
    DEVICE uint64_t* words(int step) const { return base + 32 + (size_t)(step % AREAS) * AREA_WORDS; }
    DEVICE uint32_t tag(int step) const { return number * 128 + step + 1; }
    /// By one thread of each block, when it is done with all steps.
    DEVICE void leave() const {
        uint32_t* at = reinterpret_cast<uint32_t*>(base);
        if (atomicAdd(at + 1, 1u) == gridDim.x - 1) { at[1] = 0; at[0] = number + 1; }
    }
};

/// Calls f with the layer of a product.
template <class E, class F> DEVICE void with_layer(const Step& s, int* fault, F f) {
    const auto in = [](const void* p) { return static_cast<const E*>(p); }; const auto out = [](void* p) { return static_cast<E*>(p); };
    if (s.kind == LINEAR) f(few_rows::Linear<E>{s.y, in(s.a), s.beside, s.n, s.extra, 0});
    else if (s.kind == SWIGLU) f(few_rows::Swiglu<E>{out(s.y), in(s.a), in(s.b), s.n, s.K});
    else f(few_rows::QueryKeyValue<E>{out(s.y), out(s.y2), out(s.y3), in(s.a), in(s.b), in(s.c), static_cast<const float*>(s.beside), static_cast<const int*>(s.positions), fault, s.n, s.G, s.D, s.extra, s.K});
}
}  // namespace chain
