// The casts to fp8 on a GPU: against plain loops, repeated, and timed, each variant beside its kernel.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/fp8/quantise.cu"
#include "fp8.cuh"

// Why a variant may be faster. 16,384 × 2,560 are ten rounds of two blocks a multiprocessor, each of which reads, then computes, then
// writes; of normed rows, which compute twice as much, they reach 69 % of a copy, where 13,824 columns of plain ones reach 91.
/// Half as wide: four blocks of 256 threads, so that three read or write while one computes, and the last round is shorter. 64 KB are on
/// their way to a multiprocessor as before; with BLOCKS = 5, of 51 registers at most, 80 KB.
template <Fp8 F, int BLOCKS> __global__ void __launch_bounds__(256, BLOCKS) narrow(const Bf16* x, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int pitch, int stride) {
    quantise<F, false, 64>(x, nullptr, nullptr, q, t, amax, scale, rows, columns, pitch, stride);
}
template <int BLOCKS> __global__ void __launch_bounds__(256, BLOCKS) narrow_normed(const Bf16* x, const float* rstd, const Bf16* w, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int pitch, int stride) {
    quantise<Fp8::e4m3, true, 64>(x, rstd, w, q, t, amax, scale, rows, columns, pitch, stride);
}
struct Kernel { const char* name; decltype(&quantise_e4m3) run; decltype(&quantise_normed_e4m3) normed; int width; };
template <Fp8 F> const Kernel KERNELS[] = {{F == Fp8::e4m3 ? "quantise_e4m3" : "quantise_e5m2", F == Fp8::e4m3 ? quantise_e4m3 : quantise_e5m2, quantise_normed_e4m3, 128},
                                           {"128 x 64, 4 blocks", narrow<F, 4>, narrow_normed<4>, 64}, {"128 x 64, 5 blocks", narrow<F, 5>, narrow_normed<5>, 64}};

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
    for (const Kernel& k : KERNELS<F>) {
        const int blocks = tiles(rows) * ((columns + k.width - 1) / k.width), threads = 4 * k.width, shared = k.width * Columns::ROWS + 64;
        const auto run = [&](int i = 0) {
            if (normed) k.normed<<<blocks, threads, shared>>>(x + i % 2 * n, rstd, w, r.q(), r.t(), r.amax(), r.scale, rows, columns, r.pitch, r.stride);
            else k.run<<<blocks, threads, shared>>>(x + i % 2 * n, r.q(), r.t(), r.amax(), r.scale, rows, columns, r.pitch, r.stride);
        };
        const bool ok = r.check(want, 1e-6f, run);
        line((normed && k.width == 128 ? "quantise_normed_e4m3" : k.name + std::string(normed ? ", normed" : "")).c_str(), shape_of(rows, columns) + r.wanted(), ok, r.text, time ? n * (2. + wanted.q + wanted.t) : 0, run);
    }
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
