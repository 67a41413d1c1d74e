// Generation on the GPU: products of few rows, attention over a cache and whole steps; right against plain kernels,
// repeated bit by bit, and timed by variant as launches of a graph, one after another or as programmatic dependents.
//
//   decode [--small]     --small: the cases for compute-sanitizer
#include "common.cuh"
#include "candidates/decode.cu"

#include <functional>

using H = __nv_bfloat16; using E4 = __nv_fp8_e4m3; using decode::Result; using decode::Product;
constexpr double READ = 4449;     // GB/s of a plain read

/// Launches with the attribute that lets a kernel start before the one in front of it is done.
template <class K, class A> void launch(K kernel, dim3 grid, int threads, size_t shared, cudaStream_t stream, bool early, const A& arguments) {
    cudaLaunchConfig_t c{}; c.gridDim = grid; c.blockDim = threads; c.dynamicSmemBytes = shared; c.stream = stream;
    cudaLaunchAttribute a{}; a.id = cudaLaunchAttributeProgrammaticStreamSerialization; a.val.programmaticStreamSerializationAllowed = 1; c.attrs = &a; c.numAttrs = early;
    CHECK(cudaLaunchKernelEx(&c, kernel, arguments));
}
/// Milliseconds of a graph of what `f` launches.
static float graph_ms(std::function<void(cudaStream_t)> f, int runs = 11) {
    cudaStream_t s; CHECK(cudaStreamCreate(&s)); CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal)); f(s);
    cudaGraph_t g; CHECK(cudaStreamEndCapture(s, &g)); cudaGraphExec_t e; CHECK(cudaGraphInstantiate(&e, g, 0));
    const float ms = median_ms([&](int) { CHECK(cudaGraphLaunch(e, 0)); }, runs);
    CHECK(cudaGraphExecDestroy(e)); CHECK(cudaGraphDestroy(g)); CHECK(cudaStreamDestroy(s)); return ms;
}

// ---- Products

template <class K, int BLOCKS> __global__ void __launch_bounds__(decode::THREADS, BLOCKS) product(const __grid_constant__ Product p) { K::run(p); }
template <class W> __global__ void plain_product(Product p, double* sums) {    // [batch, N]
    const int n = blockIdx.x * blockDim.x + threadIdx.x, b = blockIdx.y; if (n >= p.N) return;
    double sum = 0, squares = 0;
    for (int k = 0; k < p.K; k++) {
        const double x = float(p.x[(size_t)b * p.K + k]);
        squares += x * x; sum += (double)float(static_cast<const W*>(p.w)[(size_t)n * p.K + k]) * x * (p.norm ? float(p.norm[k]) : 1);
    }
    sums[(size_t)b * p.N + n] = sum * (p.norm ? 1 / sqrt(squares / p.K + p.eps) : 1) * (p.scale ? *p.scale : 1);
}
struct Pool { Buffer<H> bf16{420'000'000}; Buffer<E4> fp8{420'000'000}; Buffer<H> x{8 * 16384}, norm{16384}, residual{8 * 32000}; Buffer<float> y{8 * 32000}, scale{1}; Pool(bool small) { if (small) { fill_normal<<<64, 256>>>(bf16.data, 1 << 20, 1ull, 1.f); fill_normal<<<64, 256>>>(fp8.data, 1 << 20, 1ull, 1.f); } else { fill(bf16, 1); fill(fp8, 2); } fill(x, 3); fill(norm, 4); fill(residual, 5); scale.write({0.02f}); } };
template <class W> const W* weights(const Pool& p) { if constexpr (sizeof(W) == 2) return p.bf16; else return p.fp8; }

/// As many blocks as the GPU holds at a time, or as there is work for; few, so that they take turns, where nothing is timed.
static int grid(int blocks, int held, bool time = true) { static const int count = multiprocessors(); return std::min(blocks, time ? count * held : 3); }
template <class K, class W, Result RESULT, int BLOCKS> void run(const char* name, Pool& pool, int N, int K_, int batch, bool time) {
    const size_t size = (size_t)N * K_; const int sets = std::max<size_t>(1, std::min<size_t>(24, pool.bf16.size / size)), shared = batch * decode::row_bytes(K_), out = RESULT == Result::swiglu ? N / 2 : N;
    CHECK(cudaFuncSetAttribute(product<K, BLOCKS>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    Product p{pool.y, weights<W>(pool), sizeof(W) == 1 ? pool.scale.data : nullptr, pool.x, pool.norm, 1e-5f, RESULT == Result::bf16 ? pool.residual.data : nullptr, N, K_, batch};
    pool.y.poison(); launch(product<K, BLOCKS>, grid(decode::blocks<K::BLOCK_ROWS>(N), BLOCKS, time), decode::THREADS, shared, 0, false, p); CHECK(cudaDeviceSynchronize());
    const auto once = fingerprint(pool.y); std::vector<float> got((size_t)batch * out);
    if (RESULT == Result::f32) got = pool.y.read(0, got.size()); else { std::vector<H> raw(got.size()); CHECK(cudaMemcpy(raw.data(), pool.y, raw.size() * 2, cudaMemcpyDeviceToHost)); for (size_t i = 0; i < raw.size(); i++) got[i] = number(raw[i]); }
    Buffer<double> sums((size_t)batch * N); plain_product<W><<<dim3((N + 127) / 128, batch), 128>>>(p, sums); const auto s = sums.read(); const auto residual = pool.residual.read(0, (size_t)batch * out); std::vector<float> want(got.size());
    for (int b = 0; b < batch; b++) for (int n = 0; n < out; n++) { const double v = s[(size_t)b * N + n]; want[(size_t)b * out + n] = RESULT == Result::swiglu ? v / (1 + exp(-v)) * s[(size_t)b * N + n + out] : v + (p.residual ? number(residual[(size_t)b * out + n]) : 0); }
    const double off = difference(got, want);
    pool.y.poison(); launch(product<K, BLOCKS>, grid(decode::blocks<K::BLOCK_ROWS>(N), BLOCKS, time), decode::THREADS, shared, 0, false, p); const bool same = fingerprint(pool.y) == once;
    printf("%-34s %5d x %4d batch %d  difference %.1e%s %s", name, N, K_, batch, off, same ? "" : " REPEAT DIFFERS", verdict(off < 1e-5 && same));
    if (time) for (bool early : {false, true}) {
        const float us = 1000 / float(sets) * graph_ms([&](cudaStream_t stream) { for (int i = 0; i < sets; i++) { p.w = weights<W>(pool) + i * size; launch(product<K, BLOCKS>, grid(decode::blocks<K::BLOCK_ROWS>(N), BLOCKS, time), decode::THREADS, shared, stream, early, p); } });
        printf("  %s %6.2f us %5.0f GB/s %5.1f %%", early ? "early" : "one by one", us, size * sizeof(W) / us / 1e3, size * sizeof(W) / us / 10 / READ);
    }
    printf("\n"); fflush(stdout);
}
template <class W, Result R, int ROWS, int DEPTH> using V = decode::Vector<W, R, ROWS, DEPTH>;
template <class W, Result R, int DEPTH> using T = decode::Tensor<W, R, DEPTH>;
constexpr auto plain = Result::bf16, f32 = Result::f32, swiglu = Result::swiglu;
#define RUN(N, K, BATCH, TIME, BLOCKS, W, RESULT, ...) run<__VA_ARGS__, W, RESULT, BLOCKS>(#__VA_ARGS__ " x " #BLOCKS, pool, N, K, BATCH, TIME)

// ---- Attention

using decode_attention::Arguments;
template <int KEYS> __global__ void __launch_bounds__(KEYS * 2, 512 / KEYS) attend(const __grid_constant__ Arguments a) { decode_attention::run<KEYS>(a); }
/// A warp a q head: scores first, then values; the cache has the new position already.
__global__ void plain_attend(Arguments a, float* out) {
    using namespace decode_attention;
    const int h = blockIdx.x, b = blockIdx.y, d = threadIdx.x, kv = h / (a.heads / a.kv_heads), p = a.positions[b], first = max(0, p + 1 - a.window);
    extern __shared__ float score[]; const Bf16* token = a.qkv + (size_t)b * (a.heads + 2 * a.kv_heads) * D; const size_t cache = ((size_t)b * a.kv_heads + kv) * a.capacity;
    for (int j = first + d; j <= p; j += blockDim.x) { float x = 0; for (int i = 0; i < D; i++) x += float(__float2bfloat16(rotated(token + h * D, a.table + (size_t)p * D, i))) * float(a.k_cache[(cache + j % a.capacity) * D + i]); score[j - first] = x * a.scale; }
    __syncthreads();
    float top = -1e30f, sum = 0, value = 0;
    for (int j = first; j <= p; j++) top = fmaxf(top, score[j - first]);
    for (int j = first; j <= p; j++) { const float e = expf(score[j - first] - top); sum += e; if (d < D) value += e * float(a.v_cache[(cache + j % a.capacity) * D + d]); }
    if (d < D) out[((size_t)b * a.heads + h) * D + d] = value / sum;
}
struct Context {
    int batch, heads, kv_heads, capacity, window, layers; Buffer<H> k, v, qkv, out; Buffer<float> table, partial; Buffer<unsigned> tickets; Buffer<int> positions; int last;
    Context(int b, int h, int g, int c, int w, int l, std::vector<int> p) : batch(b), heads(h), kv_heads(g), capacity(c), window(w), layers(l), k((size_t)l * b * g * c * 80), v(k.size), qkv(b * (h + 2 * g) * 80), out(b * h * 80),
        table((*std::max_element(p.begin(), p.end()) + 1) * 80), partial((size_t)b * g * (c / 64 + 2) * 8 * 82), tickets(b * g), positions(b), last(*std::max_element(p.begin(), p.end())) {
        fill(k, 1); fill(v, 2); fill(qkv, 3); tickets.write(std::vector<unsigned>(b * g, 0)); positions.write(p); partial.poison(); out.poison();
        std::vector<float> t(table.size); for (int i = 0; i <= last; i++) for (int d = 0; d < 40; d++) { const float angle = i * powf(10000, -d / 40.f); t[i * 80 + d] = cosf(angle); t[i * 80 + 40 + d] = sinf(angle); } table.write(t);
    }
    Arguments arguments(int layer) const { const size_t at = (size_t)layer * batch * kv_heads * capacity * 80; return {out, partial, tickets, k + at, v + at, qkv, table, positions, heads, kv_heads, capacity, window, 1 / sqrtf(80)}; }
    template <int KEYS> dim3 grid() const { return dim3((std::min(window, last + 1) + KEYS - 1) / KEYS, kv_heads, batch); }
};
template <int KEYS> void attention(int batch, int heads, int kv_heads, int capacity, int window, std::vector<int> positions, bool time) {
    using Tile = decode_attention::Tile<KEYS>; const int shared = sizeof(typename Tile::Shared), layers = time ? (batch == 1 ? 24 : 6) : 1;
    Context c(batch, heads, kv_heads, capacity, window, layers, positions);
    CHECK(cudaFuncSetAttribute(attend<KEYS>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared)); CHECK(cudaFuncSetAttribute(plain_attend, cudaFuncAttributeMaxDynamicSharedMemorySize, 131072));
    launch(attend<KEYS>, c.grid<KEYS>(), Tile::THREADS, shared, 0, false, c.arguments(0)); CHECK(cudaDeviceSynchronize());
    Buffer<float> want(c.out.size); plain_attend<<<dim3(heads, batch), 96, std::min(window, c.last + 1) * 4>>>(c.arguments(0), want); CHECK(cudaDeviceSynchronize());
    const double off = difference(c.out.read(), want.read()); const auto once = fingerprint(c.out), keys = fingerprint(c.k);
    bool same = true;
    for (int i = 0; i < 5; i++) { c.out.poison(); c.partial.poison(); launch(attend<KEYS>, c.grid<KEYS>(), Tile::THREADS, shared, 0, false, c.arguments(0)); same &= fingerprint(c.out) == once; }
    same &= fingerprint(c.k) == keys;
    printf("attention %3d keys, batch %d, position %d  difference %.1e%s %s", KEYS, batch, c.last, off, same ? "" : " REPEAT DIFFERS", verdict(off < 2e-5 && same));
    double bytes = 0; for (int p : positions) bytes += std::min(window, p + 1) * 320.0 * kv_heads;
    if (time) for (bool early : {false, true}) {
        const float us = 1000.f / layers * graph_ms([&](cudaStream_t s) { for (int i = 0; i < layers; i++) launch(attend<KEYS>, c.grid<KEYS>(), Tile::THREADS, shared, s, early, c.arguments(i)); });
        printf("  %s %6.2f us %5.0f GB/s %5.1f %%", early ? "early" : "one by one", us, bytes / us / 1e3, bytes / us / 10 / READ);
    }
    printf("\n"); fflush(stdout);
}

// ---- A whole step of Danube: 24 layers and the head

template <class W, bool VECTOR> void step(Pool& pool, int batch, int position) {
    constexpr int C = 2560, F = 6912, QKV = 3840, LAYERS = 24; Context c(batch, 32, 8, 4096, 4096, LAYERS, std::vector<int>(batch, position));
    Buffer<H> x(batch * C), hidden(batch * F); Buffer<float> logits((size_t)batch * 32000); fill(x, 1); const int attention_shared = sizeof(decode_attention::Tile<128>::Shared);
    CHECK(cudaFuncSetAttribute(attend<128>, cudaFuncAttributeMaxDynamicSharedMemorySize, attention_shared));
    constexpr int DEPTH = sizeof(W) == 2 ? 10 : 5, BLOCKS = VECTOR ? 3 : 2;
    using Plain = std::conditional_t<VECTOR, V<W, plain, sizeof(W) == 2 ? 1 : 2, 5>, T<W, plain, DEPTH>>; using Gated = std::conditional_t<VECTOR, V<W, swiglu, 2, 5>, T<W, swiglu, DEPTH>>; using Logits = std::conditional_t<VECTOR, V<H, f32, 1, 5>, T<H, f32, 10>>;
    for (void (*k)(const Product) : {(void (*)(const Product))product<Plain, BLOCKS>, (void (*)(const Product))product<Gated, BLOCKS>, (void (*)(const Product))product<Logits, BLOCKS>}) CHECK(cudaFuncSetAttribute(k, cudaFuncAttributeMaxDynamicSharedMemorySize, batch * decode::row_bytes(F)));
    const size_t layer = (size_t)C * (QKV + C + 3 * F), room = pool.bf16.size - 32000 * C;
    const float* scale = sizeof(W) == 1 ? pool.scale.data : nullptr;
    const auto place = [&](int l) { return l * layer % (room - layer) / 16 * 16; };
    for (int mode = 0; mode < 4; mode++) {
        const bool early = mode > 0; const size_t most = mode < 2 ? 0 : (size_t)4 << (20 + mode - 2);    // bytes asked for ahead: 4 and 8 MiB
        const float ms = graph_ms([&](cudaStream_t s) {
            const auto ahead = [&](size_t at, int N, int K) { return decode::Ahead{weights<W>(pool) + at, (uint32_t)std::min<size_t>(most, (size_t)N * K * sizeof(W))}; };
            const auto run = [&](auto kernel, int rows, void* y, size_t at, const H* in, const H* norm, const H* residual, int N, int K, decode::Ahead next) { launch(kernel, grid((N + rows - 1) / rows, BLOCKS), decode::THREADS, batch * decode::row_bytes(K), s, early, Product{y, weights<W>(pool) + at, scale, in, norm, 1e-5f, residual, N, K, batch, next}); };
            for (int l = 0; l < LAYERS; l++) {
                const size_t at = place(l), out = at + (size_t)QKV * C, gate = out + (size_t)C * C, down = gate + 2 * (size_t)F * C;
                run(product<Plain, BLOCKS>, Plain::BLOCK_ROWS, c.qkv, at, x, pool.norm, nullptr, QKV, C, ahead(out, C, C));
                auto arguments = c.arguments(l); arguments.ahead = ahead(gate, F, C);
                launch(attend<128>, c.grid<128>(), 256, attention_shared, s, early, arguments);
                run(product<Plain, BLOCKS>, Plain::BLOCK_ROWS, x, out, c.out, nullptr, x, C, C, ahead(gate + (size_t)F * C, F, C));
                run(product<Gated, BLOCKS>, Gated::BLOCK_ROWS, hidden, gate, x, pool.norm, nullptr, 2 * F, C, ahead(down, C, F));
                run(product<Plain, BLOCKS>, Plain::BLOCK_ROWS, x, down, hidden, nullptr, x, C, F, l + 1 < LAYERS ? ahead(place(l + 1), QKV, C) : decode::Ahead{pool.bf16 + room, (uint32_t)most});
            }
            launch(product<Logits, BLOCKS>, grid(decode::blocks<Logits::BLOCK_ROWS>(32000), BLOCKS), decode::THREADS, batch * decode::row_bytes(C), s, early, Product{logits, pool.bf16 + room, nullptr, x, pool.norm, 1e-5f, nullptr, 32000, C, batch});
        }, 7);
        const double bytes = (double)layer * LAYERS * sizeof(W) + 32000.0 * C * 2 + (position + 1) * 320.0 * 8 * LAYERS * batch;
        printf("step, %s weights, %s, batch %d, position %4d, %s, %2zu MiB ahead  %.3f ms  %5.0f tokens/s  %5.0f GB/s %5.1f %%\n", sizeof(W) == 2 ? "bf16" : "fp8", VECTOR ? "vector" : "tensor", batch, position, early ? "early" : "one by one", most >> 20, ms, batch * 1000 / ms, bytes / ms / 1e6, bytes / ms / 1e4 / READ); fflush(stdout);
    }
}

template <int DUMMY = 0> void bf16(Pool& pool, int N, int K) {
    RUN(N, K, 1, true, 3, H, plain, V<H, plain, 1, 5>); RUN(N, K, 1, true, 4, H, plain, V<H, plain, 1, 5>); RUN(N, K, 1, true, 3, H, plain, V<H, plain, 1, 10>); RUN(N, K, 1, true, 3, H, plain, V<H, plain, 2, 5>);
    for (int batch : {1, 8}) { RUN(N, K, batch, true, 2, H, plain, T<H, plain, 5>); RUN(N, K, batch, true, 2, H, plain, T<H, plain, 10>); }
}
template <int DUMMY = 0> void fp8(Pool& pool, int N, int K) {
    RUN(N, K, 1, true, 4, E4, plain, V<E4, plain, 1, 5>); RUN(N, K, 1, true, 3, E4, plain, V<E4, plain, 2, 5>); RUN(N, K, 1, true, 4, E4, plain, V<E4, plain, 2, 3>);
    for (int batch : {1, 8}) { RUN(N, K, batch, true, 2, E4, plain, T<E4, plain, 5>); RUN(N, K, batch, true, 3, E4, plain, T<E4, plain, 3>); }
}
int main(int count, char** words) {
    const bool small = count > 1 && !strcmp(words[1], "--small"); Pool pool(small);
    RUN(100, 264, 1, false, 2, H, plain, V<H, plain, 2, 10>); RUN(102, 1000, 1, false, 2, H, swiglu, V<H, swiglu, 2, 10>); RUN(37, 432, 1, false, 3, E4, plain, V<E4, plain, 2, 5>); RUN(96, 432, 1, false, 3, E4, swiglu, V<E4, swiglu, 2, 5>);
    RUN(100, 264, 8, false, 2, H, plain, T<H, plain, 10>); RUN(102, 1000, 3, false, 2, H, swiglu, T<H, swiglu, 10>); RUN(101, 520, 8, false, 2, H, f32, T<H, f32, 10>); RUN(37, 432, 5, false, 2, E4, plain, T<E4, plain, 5>); RUN(96, 208, 8, false, 2, E4, swiglu, T<E4, swiglu, 5>);
    attention<128>(2, 8, 2, 300, 300, {700, 149}, false); attention<64>(3, 8, 2, 260, 200, {200, 0, 333}, false); attention<256>(1, 3, 3, 520, 500, {1029}, false); attention<128>(1, 8, 1, 400, 1000, {270}, false);
    if (small) return failures;
    for (auto s : {std::array<int, 2>{3840, 2560}, {2560, 2560}, {6912, 2560}, {13824, 2560}, {2560, 6912}, {32000, 2560}}) { bf16(pool, s[0], s[1]); fp8(pool, s[0], s[1]); }
    RUN(13824, 2560, 1, true, 3, H, swiglu, V<H, swiglu, 2, 5>); RUN(13824, 2560, 1, true, 3, E4, swiglu, V<E4, swiglu, 2, 5>); RUN(13824, 2560, 8, true, 2, H, swiglu, T<H, swiglu, 10>); RUN(13824, 2560, 8, true, 2, E4, swiglu, T<E4, swiglu, 5>); RUN(32000, 2560, 8, true, 2, H, f32, T<H, f32, 10>);
    for (int batch : {1, 8}) for (int position : {511, 4095}) { const std::vector<int> p(batch, position); attention<64>(batch, 32, 8, 4096, 4096, p, true); attention<128>(batch, 32, 8, 4096, 4096, p, true); attention<256>(batch, 32, 8, 4096, 4096, p, true); }
    for (int position : {511, 4095}) { step<H, true>(pool, 1, position); step<H, false>(pool, 1, position); step<E4, true>(pool, 1, position); step<E4, false>(pool, 1, position); step<H, false>(pool, 8, position); step<E4, false>(pool, 8, position); }
    return failures;
}
