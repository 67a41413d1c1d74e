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
/// 64 rows of four heads come to shared memory all at once, and whole lines of them, where a thread has 80 bytes of a head at a time
/// and the rest later; the angles of its first channels come meanwhile. D a multiple of 16. For heads of 80 three blocks of 70 KB have
/// 120 KB on their way, and a round of 320 threads is all there is.
template <int THREADS, int BLOCKS> __global__ void __launch_bounds__(THREADS, BLOCKS) staged(const Bf16* g, const float* table, const int* positions, int* fault, uint8_t* q, uint8_t* t,
                                                                                             unsigned* amax, const float* scale, int rows, int H, int D, int P, int pitch, int stride) {
    using namespace rope_fp8; constexpr int ROWS = 64, N = 8;
    const int groups = (H + HEADS - 1) / HEADS, head0 = blockIdx.x % groups * HEADS, row0 = blockIdx.x / groups * ROWS;
    const int half = D / 2, chunks = half / N, heads = min(HEADS, H - head0), pieces = heads * D / 8, line = HEADS * D + half;     // rows that share no banks
    const Tile tile{shared_memory(), Tile::pitch_of(D)};
    Bf16* lines = reinterpret_cast<Bf16*>(tile.bytes + ROWS * tile.pitch);
    for (int unit = threadIdx.x; unit < ROWS * pieces; unit += THREADS) {
        const int in = unit / pieces, at = unit % pieces * 8, row = row0 + in;
        cp_async(lines + in * line + at, row < rows ? g + ((size_t)row * H + head0) * D + at : g, row < rows ? 16 : 0);
    }
    cp_async_commit();
    const unsigned found = peek(amax); const float factor = scale ? *scale : 1.f; float top = 0;
    const auto angles_of = [&](int unit) {
        Angles<N> angles; const int row = row0 + unit / chunks;
        if (unit < ROWS * chunks && row < rows) angles.read(table, positions[row], unit % chunks * N, fault, D, P);
        return angles;
    };
    Angles<N> angles = angles_of(threadIdx.x);
    cp_async_wait<0>();
    __syncthreads();
    #pragma unroll 1
    for (int unit = threadIdx.x; unit < ROWS * chunks; unit += THREADS) {
        const int in = unit / chunks, channel = unit % chunks * N;
        #pragma unroll
        for (int h = 0; h < HEADS; h++) if (h < heads) {
            const Bf16* head = lines + in * line + h * D + channel; const int byte = h * D + channel; Bytes<N> low, high;
            turn_back(load<N>(head, true), load<N>(head + half, true), angles, factor, top, low, high);
            tile.at<Bytes<N>>(in, byte) = low; tile.at<Bytes<N>>(in, byte + half) = high;
        }
        angles = angles_of(unit + THREADS);
    }
    raise<THREADS>(amax, found, top, reinterpret_cast<float*>(lines + ROWS * line));
    if (q) tile.write<ROWS, THREADS>(q + (size_t)row0 * pitch + head0 * D, pitch, rows - row0, heads * D);
    if (t) tile.write_transposed<ROWS, THREADS>(t + (size_t)head0 * D * stride + row0, stride, rows - row0, heads * D);
}
/// `multiple` of D that it takes; `staged`: rows of bf16 are in shared memory as well.
struct Kernel { const char* name; decltype(&rope_fp8_backward) run; int rows, heads, threads, multiple; bool staged; };
template <int ROWS, int HEADS, int THREADS, int N, int AT_ONCE, int BLOCKS> Kernel kernel(const char* name) { return {name, variant<ROWS, HEADS, THREADS, N, AT_ONCE, BLOCKS>, ROWS, HEADS, THREADS, 2 * N, false}; }
const Kernel KERNELS[] = {
    {"rope_fp8_backward", rope_fp8_backward, rope_fp8::ROWS, rope_fp8::HEADS, rope_fp8::THREADS, 8, false},
    // Eight channels and eight a thread, where D/2 is a multiple of 8: half the loads, indices and stores, 128 bytes a thread on their way.
    kernel<128, 4, 256, 8, 4, 3>("16 bytes at a time"),
    // Eight heads of 64 rows, of which a thread turns four, then four: half a byte of the table an element instead of one, and for heads
    // of 80 one round instead of five. Pieces of a transposed line are 64 bytes.
    kernel<64, 8, 320, 8, 4, 2>("16 bytes, 8 heads of 64 rows"),
    // The same of four heads, a quarter of the bytes a block: where one block waits or writes, four others do something else.
    kernel<64, 4, 160, 8, 4, 5>("16 bytes, 64 rows, 160 threads"),
    // As many threads a multiprocessor as the kernel has for heads of 80, in twice the blocks: rounds that are less in step.
    kernel<64, 4, 128, 4, 4, 8>("64 rows, 128 threads"),
    {"64 rows staged, 320 threads", staged<320, 3>, 64, rope_fp8::HEADS, 320, 16, true},
};

struct Copies { bool q, t; int pitch = 0; };

void check(int rows, int H, int D, Copies copies, bool time) {
    constexpr int P = 16384; const int columns = H * D; const size_t n = (size_t)rows * columns; Buffer<Bf16> g(2 * n); Buffer<float> table((size_t)P * D), want(n); Buffer<int> positions(rows), fault(4); std::vector<int> at(rows);
    for (int i = 0; i < rows; i++) at[i] = (i * 7919ll) % P;
    positions.write(at); fault.write({0, 0, 0, 0}); fill(g, 1); angles<<<512, 256>>>(table, P, D); reference<<<2048, 256>>>(g, table, positions, want, rows, H, D, 1);
    Results<Fp8::e5m2> r(rows, columns, 1000, false, copies.q, copies.t, true, copies.pitch);
    for (const Kernel& k : KERNELS) if (D % k.multiple == 0) {
        const int shared = k.rows * ((k.heads * D + 127) / 128 * 128 + (k.staged ? 2 * (k.heads * D + D / 2) : 0)) + 64, blocks = (rows + k.rows - 1) / k.rows * ((H + k.heads - 1) / k.heads);
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
