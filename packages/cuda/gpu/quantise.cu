// The casts to fp8 on a GPU: against plain loops, repeated, and timed.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/fp8/quantise.cu"
#include "fp8.cuh"

/// want = x, or x · rstd · w.
__global__ void reference(const Bf16* x, const float* rstd, const Bf16* w, float* want, int rows, int columns) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (size_t)rows * columns; i += (size_t)gridDim.x * blockDim.x)
        want[i] = rstd ? (double)__bfloat162float(x[i]) * rstd[i / columns] * __bfloat162float(w[i % columns]) : __bfloat162float(x[i]);
}
struct Copies { bool q, t; int pitch = 0; };

template <Fp8 F> void check(int rows, int columns, float scale, Copies wanted, bool time, bool normed = false) {
    const size_t n = (size_t)rows * columns; Buffer<Bf16> x(2 * n), w(columns); Buffer<float> want(n), rstd(rows);
    fill(x, 1); fill(w, 2); fill(rstd, 3); reference<<<2048, 256>>>(x, normed ? rstd.data : nullptr, w, want, rows, columns);
    Results<F> r(rows, columns, scale, false, wanted.q, wanted.t, true, wanted.pitch);
    const auto run = [&](int i = 0) {
        const Bf16* from = x + i % 2 * n; const int blocks = tiles(rows) * ((columns + QUANTISE_WIDTH - 1) / QUANTISE_WIDTH);
        if (normed) quantise_normed_e4m3<<<blocks, QUANTISE_THREADS, QUANTISE_SHARED>>>(from, rstd, w, r.q(), r.t(), r.amax(), r.scale, rows, columns, r.pitch, r.stride);
        else (F == Fp8::e4m3 ? quantise_e4m3 : quantise_e5m2)<<<blocks, QUANTISE_THREADS, QUANTISE_SHARED>>>(from, r.q(), r.t(), r.amax(), r.scale, rows, columns, r.pitch, r.stride);
    };
    const bool ok = r.check(want, 1e-6f, run);
    line(normed ? "quantise_normed_e4m3" : F == Fp8::e4m3 ? "quantise_e4m3" : "quantise_e5m2", shape_of(rows, columns) + r.wanted(), ok, r.text, time ? n * (2. + wanted.q + wanted.t) : 0, run);
}

int main(int count, char** names) {
    check<Fp8::e4m3>(1, 8, 1, {true, true}, false); check<Fp8::e4m3>(300, 264, 300, {true, true, 400}, false);
    check<Fp8::e5m2>(257, 400, 3e4f, {true, true}, false); check<Fp8::e5m2>(130, 128, 1, {false, true}, false);
    check<Fp8::e4m3>(300, 264, 40, {true, true}, false, true); check<Fp8::e4m3>(135, 136, 40, {false, true}, false, true);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check<Fp8::e4m3>(16384, 2560, 30, {true, false}, true); check<Fp8::e4m3>(16384, 2560, 30, {false, true}, true); check<Fp8::e5m2>(16384, 2560, 1000, {true, true}, true);
    check<Fp8::e5m2>(16384, 2560, 1000, {true, true, 3840}, true); check<Fp8::e4m3>(13824, 2560, 30, {true, true}, true); check<Fp8::e4m3>(16384, 13824, 30, {true, true}, true);
    check<Fp8::e4m3>(16384, 2560, 40, {false, true}, true, true);
    return failures;
}
