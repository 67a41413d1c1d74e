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
/// Blocks that stay and walk through tiles, the next of which is on its way while one is put together and written: the memory always has
/// something to read, 48 KB a multiprocessor in three blocks of 85 registers at most, and the largest magnitude is joined once a block.
template <Fp8 F, bool NORMED, int WIDTH> __device__ void walk(const Bf16* __restrict__ x, const float* __restrict__ rstd, const Bf16* __restrict__ w, uint8_t* __restrict__ q, uint8_t* __restrict__ t,
                                                              unsigned* amax, const float* scale, int rows, int columns, int pitch, int stride) {
    constexpr int PER_LINE = 128 / WIDTH, CHUNKS = WIDTH / 8, THREADS = 4 * WIDTH;
    const Columns lines{shared_memory()};
    const int group = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS, count = (rows + 127) / 128 * ((PER_LINE * columns + 127) / 128);
    const unsigned found = peek(amax); const float factor = scale ? *scale : 1.f;
    uint4 in[4], weights; float of_row[4], top = 0;
    const auto ask = [&](int index) {
        const TilePlace tile(rows, PER_LINE * columns, index); const int row = tile.row + group * 4, column = tile.column / PER_LINE + chunk * 8;
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            const bool inside = column < columns && row + i < rows;
            in[i] = load16(x + (size_t)(row + i) * columns + column, inside);
            if constexpr (NORMED) of_row[i] = inside ? rstd[row + i] : 0;
        }
        if constexpr (NORMED) weights = load16(w + column, column < columns);
    };
    ask(blockIdx.x);
    for (int index = blockIdx.x; index < count; index += gridDim.x) {
        const TilePlace tile(rows, PER_LINE * columns, index);
        const int column0 = tile.column / PER_LINE, row = tile.row + group * 4, column = column0 + chunk * 8;
        uint2 out[4];
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            const bool inside = column < columns && row + i < rows; float v[8]; unpack(in[i], v);
            if constexpr (NORMED) if (inside) { float weight[8]; unpack(weights, weight); normalise(v, of_row[i], weight); }
            top = largest(top, v); out[i] = cast<F>(v, factor);
            if (q && inside) *reinterpret_cast<uint2*>(q + (size_t)(row + i) * pitch + column) = out[i];
        }
        if (const int next = index + gridDim.x; next < count) ask(next);
        if (!t) continue;
        __syncthreads();                               // the tile before has been read
        lines.put(group, chunk, out);
        __syncthreads();
        lines.write<THREADS>(t, stride, tile.row, column0, rows, min(columns, column0 + WIDTH));
    }
    raise<THREADS>(amax, found, top, reinterpret_cast<float*>(lines.lines + WIDTH * Columns::ROWS));
}
template <Fp8 F, int WIDTH, int BLOCKS> __global__ void __launch_bounds__(4 * WIDTH, BLOCKS) walking(const Bf16* x, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int pitch, int stride) {
    walk<F, false, WIDTH>(x, nullptr, nullptr, q, t, amax, scale, rows, columns, pitch, stride);
}
template <int WIDTH, int BLOCKS> __global__ void __launch_bounds__(4 * WIDTH, BLOCKS) walking_normed(const Bf16* x, const float* rstd, const Bf16* w, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int pitch, int stride) {
    walk<Fp8::e4m3, true, WIDTH>(x, rstd, w, q, t, amax, scale, rows, columns, pitch, stride);
}
/// `resident`: blocks a multiprocessor that walk, 0 for a block a tile.
struct Kernel { const char* name; decltype(&quantise_e4m3) run; decltype(&quantise_normed_e4m3) normed; int width, resident; };
template <Fp8 F> const Kernel KERNELS[] = {{F == Fp8::e4m3 ? "quantise_e4m3" : "quantise_e5m2", F == Fp8::e4m3 ? quantise_e4m3 : quantise_e5m2, quantise_normed_e4m3, 128, 0},
                                           {"128 x 64, 4 blocks", narrow<F, 4>, narrow_normed<4>, 64, 0}, {"128 x 64, 5 blocks", narrow<F, 5>, narrow_normed<5>, 64, 0},
                                           {"128 x 64, 3 blocks that walk", walking<F, 64, 3>, walking_normed<64, 3>, 64, 3}};

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
        const int all = tiles(rows) * ((columns + k.width - 1) / k.width), blocks = k.resident ? std::min(all, k.resident * multiprocessors()) : all, threads = 4 * k.width, shared = k.width * Columns::ROWS + 64;
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
    // More tiles than blocks that walk.
    check<Fp8::e4m3>(1990, 2600, 30, {true, true}, false); check<Fp8::e4m3>(1990, 2600, 40, {false, true}, false, true);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check<Fp8::e4m3>(16384, 2560, 30, {true, false}, true); check<Fp8::e4m3>(16384, 2560, 30, {false, true}, true); check<Fp8::e5m2>(16384, 2560, 1000, {true, true}, true);
    check<Fp8::e5m2>(16384, 2560, 1000, {true, true, 3840}, true); check<Fp8::e4m3>(13824, 2560, 30, {true, true}, true); check<Fp8::e4m3>(16384, 13824, 30, {true, true}, true);
    check<Fp8::e4m3>(16384, 2560, 40, {false, true}, true, true);
    return failures;
}
