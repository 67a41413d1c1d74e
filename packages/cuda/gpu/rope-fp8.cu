// Gradients of rotary position embedding cast to e5m2 on a GPU: against plain loops, repeated, and timed, each variant beside the kernel.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/fp8/rope-fp8.cu"
#include "fp8.cuh"
#include "rope.cuh"

// Why a variant may be faster. With no copy at all, 2 bytes an element read, heads of 80 reach 55 % of a copy: a thread's five rounds
// wait for positions, table and gradients and then compute some nine instructions an element, in all blocks at about the same time.
template <int ROWS, int HEADS, int THREADS, int N, int AT_ONCE, int BLOCKS> __global__ void __launch_bounds__(THREADS, BLOCKS) variant(const Bf16* g, const float* table, const int* positions, int* fault, uint8_t* q, uint8_t* t,
                                                                                                                                    unsigned* amax, const float* scale, int rows, int H, int D, int P, int pitch, int stride) {
    rope_fp8::backward<ROWS, HEADS, THREADS, N, AT_ONCE>(g, table, positions, fault, q, t, amax, scale, rows, H, D, P, pitch, stride);
}
/// `multiple` of D that it takes.
struct Kernel { const char* name; decltype(&rope_fp8_backward) run; int rows, heads, threads, multiple; };
template <int ROWS, int HEADS, int THREADS, int N, int AT_ONCE, int BLOCKS> Kernel kernel(const char* name) { return {name, variant<ROWS, HEADS, THREADS, N, AT_ONCE, BLOCKS>, ROWS, HEADS, THREADS, 2 * N}; }
const Kernel KERNELS[] = {
    {"rope_fp8_backward", rope_fp8_backward, rope_fp8::ROWS, rope_fp8::HEADS, rope_fp8::THREADS, 8},
    // Eight channels and eight a thread, where D/2 is a multiple of 8: half the loads, indices and stores, 128 bytes a thread on their way.
    kernel<128, 4, 256, 8, 4, 3>("16 bytes at a time"),
    // Eight heads of 64 rows, of which a thread turns four, then four: half a byte of the table an element instead of one, and for heads
    // of 80 one round instead of five. Pieces of a transposed line are 64 bytes.
    kernel<64, 8, 320, 8, 4, 2>("16 bytes, 8 heads of 64 rows"),
    // The same of four heads, a quarter of the bytes a block: where one block waits or writes, four others do something else.
    kernel<64, 4, 160, 8, 4, 5>("16 bytes, 64 rows, 160 threads"),
    // As many threads a multiprocessor as the kernel has for heads of 80, in twice the blocks: rounds that are less in step.
    kernel<64, 4, 128, 4, 4, 8>("64 rows, 128 threads"),
};

struct Copies { bool q, t; int pitch = 0; };

void check(int rows, int H, int D, Copies copies, bool time) {
    constexpr int P = 16384; const int columns = H * D; const size_t n = (size_t)rows * columns; Buffer<Bf16> g(2 * n); Buffer<float> table((size_t)P * D), want(n); Buffer<int> positions(rows), fault(4); std::vector<int> at(rows);
    for (int i = 0; i < rows; i++) at[i] = (i * 7919ll) % P;
    positions.write(at); fault.write({0, 0, 0, 0}); fill(g, 1); angles<<<512, 256>>>(table, P, D); reference<<<2048, 256>>>(g, table, positions, want, rows, H, D, 1);
    Results<Fp8::e5m2> r(rows, columns, 1000, false, copies.q, copies.t, true, copies.pitch);
    for (const Kernel& k : KERNELS) if (D % k.multiple == 0) {
        const int shared = k.rows * ((k.heads * D + 127) / 128 * 128) + 64, blocks = (rows + k.rows - 1) / k.rows * ((H + k.heads - 1) / k.heads);
        int most; CHECK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
        if (shared > most) continue;
        allow_shared(k.run, shared);
        const auto run = [&](int i = 0) { k.run<<<blocks, k.threads, shared>>>(g + i % 2 * n, table, positions, fault, r.q(), r.t(), r.amax(), r.scale, rows, H, D, P, r.pitch, r.stride); };
        const bool ok = r.check(want, 1e-6f, run) && fault.read()[0] == 0;
        line(k.name, "[" + std::to_string(rows) + ", " + std::to_string(H) + ", " + std::to_string(D) + "]" + r.wanted(), ok, r.text, time ? n * (2. + copies.q + copies.t) : 0, run);
    }
}

int main(int count, char** names) {
    check(1, 2, 8, {true, true}, false); check(300, 5, 80, {true, true, 512}, false); check(130, 6, 120, {false, true}, false); check(129, 3, 192, {true, false}, false);
    check(70, 9, 96, {true, true}, false); check(200, 2, 16, {true, true}, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 32, 80, {true, true, 3840}, true); check(16384, 8, 80, {true, true, 3840}, true); check(16384, 32, 80, {true, false, 3840}, true); check(16384, 32, 80, {false, false}, true);
    check(16384, 24, 120, {true, true}, true); check(16384, 32, 128, {true, true}, true); check(16384, 16, 96, {true, true}, true); check(16384, 32, 64, {true, true}, true);
    return failures;
}
