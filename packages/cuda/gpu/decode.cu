// Generation on the GPU: products of few rows, attention over a cache and whole tokens of danube-1.8b, with the kernels, shapes
// and order of the device; right against plain kernels, a row with the bits it has alone, and timed as launches of a graph, one
// after another or as programmatic dependents. Then layers as one chain, of which the bits of its steps one by one are asked.
//
//   decode [--small]     --small: the cases for compute-sanitizer
#include "../kernels/attention/attention-portable-decode.cu"
#include "../kernels/generation/chain.cu"
#include "../kernels/generation/few-rows.cu"
#include "common.cuh"

#include <functional>
#include <map>

using H = __nv_bfloat16;
using Linear = few_rows::Linear<H>; using Swiglu = few_rows::Swiglu<H>; using QueryKeyValue = few_rows::QueryKeyValue<H>; using Rows = few_rows::Rows<H>;
using attention_portable::Fresh; using attention_portable::Inputs; using attention_portable::Parts;
constexpr double COPY = 4277;     // GB/s of a plain copy
constexpr float EPS = 1e-5f;

struct Shape { dim3 grid; int threads, shared; };
template <class K, class... A> void launch(K kernel, Shape s, cudaStream_t stream, bool early, const A&... arguments) {
    static std::map<K, int> most;
    if (!most.count(kernel)) CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, 100));
    if (!most.count(kernel) || s.shared > most[kernel]) CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most[kernel] = s.shared));
    cudaLaunchConfig_t c{}; c.gridDim = s.grid; c.blockDim = s.threads; c.dynamicSmemBytes = s.shared; c.stream = stream;
    cudaLaunchAttribute a{}; a.id = cudaLaunchAttributeProgrammaticStreamSerialization; a.val.programmaticStreamSerializationAllowed = 1; c.attrs = &a; c.numAttrs = early;
    CHECK(cudaLaunchKernelEx(&c, kernel, arguments...));
}
/// Milliseconds of a graph of what `f` launches.
static float graph_ms(std::function<void(cudaStream_t)> f, int runs = 11) {
    cudaStream_t s; CHECK(cudaStreamCreate(&s)); CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal)); f(s);
    cudaGraph_t g; CHECK(cudaStreamEndCapture(s, &g)); cudaGraphExec_t e; CHECK(cudaGraphInstantiate(&e, g, 0));
    const float ms = median_ms([&](int) { CHECK(cudaGraphLaunch(e, 0)); }, runs);
    CHECK(cudaGraphExecDestroy(e)); CHECK(cudaGraphDestroy(g)); CHECK(cudaStreamDestroy(s)); return ms;
}
static void print_times(double bytes, std::function<float(bool early)> us) {
    for (bool early : {false, true}) { const float t = us(early); printf("  %s %6.2f us %5.0f GB/s %5.1f %%", early ? "early" : "one by one", t, bytes / t / 1e3, bytes / t / 10 / COPY); }
}

// ---- Products

constexpr auto of_device(const Linear&) { return few_rows_linear_bf16; }
constexpr auto of_device(const Swiglu&) { return few_rows_swiglu_bf16; }
constexpr auto of_device(const QueryKeyValue&) { return few_rows_query_key_value_bf16; }
template <class Layer> void multiply(Rows in, const Layer& layer, int pairs, cudaStream_t s, bool early) {
    static const int count = multiprocessors(); in.slots = few_rows::DEEP;
    launch(of_device(layer), {dim3(std::min(count, pairs)), few_rows::THREADS, few_rows::shared_bytes(in.slots, in.M, in.K, in.norm != nullptr)}, s, early, in, layer);
}
__global__ void plain_product(double* y, const H* x, const H* norm, const H* w, int M, int N, int K) {
    const int n = blockIdx.x * blockDim.x + threadIdx.x, m = blockIdx.y; if (n >= N) return;
    double sum = 0, squares = 0;
    for (int k = 0; k < K; k++) { const double v = float(x[(size_t)m * K + k]); squares += v * v; }
    const double f = norm ? 1 / sqrt(squares / K + EPS) : 1;
    for (int k = 0; k < K; k++) { const double v = float(x[(size_t)m * K + k]); sum += (norm ? double(float(H(float(v * f * float(norm[k]))))) : v) * float(w[(size_t)n * K + k]); }
    y[(size_t)m * N + n] = sum;
}
struct Pool {
    Buffer<H> w, x{16 * 8192}, norm{8192}, residual{16 * 32000}, y{16 * 32000}, k{16 * 4096}, v{16 * 4096}; Buffer<float> table{4096 * 128}; Buffer<int> positions{16}, fault{4};
    explicit Pool(bool small) : w(small ? 1 << 22 : 420'000'000) {
        fill(w, 1, 0.02f); fill(x, 3); fill(norm, 4); fill(residual, 5); fault.write({0, 0, 0, 0});
        std::vector<float> t(table.size); for (int p = 0; p < 4096; p++) for (int i = 0; i < 64; i++) { t[p * 128 + i] = cosf(p * 0.1f * i); t[p * 128 + 64 + i] = sinf(p * 0.1f * i); } table.write(t);
        std::vector<int> at(16); for (int i = 0; i < 16; i++) at[i] = 31 * i; positions.write(at);
    }
};
enum class Kind { linear, residual, swiglu, query_key_value };
/// A kernel for rows from `first` on, with weights from `at` on; its results are in y, and k and v.
static void enqueue(Kind kind, Pool& p, size_t at, int first, int M, int N, int K, cudaStream_t s, bool early) {
    const Rows in{p.x + (size_t)first * K, kind >= Kind::swiglu ? p.norm.data : nullptr, EPS, M, K, K, 0}; const H* w = p.w + at;
    const auto run = [&](const auto& layer) { multiply(in, layer, (N + 1) / 2, s, early); };
    if (kind <= Kind::residual) { const size_t to = (size_t)first * N; run(Linear{p.y + to, w, kind == Kind::residual ? p.residual + to : nullptr, N, K, 0}); }
    else if (kind == Kind::swiglu) run(Swiglu{p.y + (size_t)first * (N / 2), w, w + (size_t)(N / 2) * K, N / 2, K});
    else {
        const int D = 80, G = N / D / 6, heads = 4 * G;       // four query heads for a key-value head
        run(QueryKeyValue{p.y + (size_t)first * heads * D, p.k + (size_t)first * G * D, p.v + (size_t)first * G * D, w, w + (size_t)heads * D * K, w + (size_t)(heads + G) * D * K, p.table, p.positions + first, p.fault, heads, G, D, 4096 * 128 / D, K});
    }
}
static void product(Kind kind, const char* name, Pool& pool, int M, int N, int K, bool time) {
    const auto bits = [&](auto f) {
        for (auto* b : {&pool.y, &pool.k, &pool.v}) b->poison();
        f(); return std::array{fingerprint(pool.y), fingerprint(pool.k), fingerprint(pool.v)};
    };
    const auto alone = bits([&] { for (int m = 0; m < M; m++) enqueue(kind, pool, 0, m, 1, N, K, 0, false); });
    const auto together = [&] { return bits([&] { enqueue(kind, pool, 0, 0, M, N, K, 0, false); }); };
    const bool same = together() == alone && together() == alone; const auto y = pool.y.read(), keys = pool.k.read(), values = pool.v.read();
    Buffer<double> sums((size_t)M * N); plain_product<<<dim3((N + 127) / 128, M), 128>>>(sums, pool.x, kind >= Kind::swiglu ? pool.norm.data : nullptr, pool.w, M, N, K);
    const auto s = sums.read(); const auto residual = pool.residual.read(0, (size_t)M * N); std::vector<float> want, got; const auto table = pool.table.read(); const auto positions = pool.positions.read();
    const int D = 80, G = N / D / 6, heads = 4 * G;
    for (int m = 0; m < M; m++) for (int n = 0; n < (kind == Kind::swiglu ? N / 2 : N); n++) {
        const double v = s[(size_t)m * N + n];
        if (kind <= Kind::residual) { want.push_back(v + (kind == Kind::residual ? number(residual[(size_t)m * N + n]) : 0)); got.push_back(number(y[(size_t)m * N + n])); }
        else if (kind == Kind::swiglu) { want.push_back(v / (1 + exp(-v)) * s[(size_t)m * N + n + N / 2]); got.push_back(number(y[(size_t)m * (N / 2) + n])); }
        else {
            const int h = n / D, d = n % D, i = d % (D / 2); const double other = s[(size_t)m * N + h * D + (d + D / 2) % D]; const float* angle = &table[(size_t)positions[m] * D];
            want.push_back(h >= heads + G ? v : v * angle[i] + (d < D / 2 ? -other : other) * angle[i + D / 2]);
            got.push_back(number(h < heads ? y[((size_t)m * heads + h) * D + d] : h < heads + G ? keys[((size_t)m * G + h - heads) * D + d] : values[((size_t)m * G + h - heads - G) * D + d]));
        }
    }
    const double off = difference(got, want);
    printf("%-18s %2d x %5d x %4d  difference %.1e%s %s", name, M, N, K, off, same ? "" : " BITS DIFFER", verdict(off < 1e-5 && same));
    if (time) {
        const size_t size = (size_t)N * K; const int sets = std::max<size_t>(1, std::min<size_t>(24, pool.w.size / size));
        print_times(size * 2., [&](bool early) { return 1000 / float(sets) * graph_ms([&](cudaStream_t stream) { for (int i = 0; i < sets; i++) enqueue(kind, pool, i * size, 0, M, N, K, stream, early); }); });
    }
    printf("\n"); fflush(stdout);
}

// ---- Attention

/// One query of each head over the first `keys` positions; the cache has the new position.
__global__ void plain_attend(float* out, const H* q, const H* k, const H* v, int keys, int heads, int G, int D) {
    const int h = blockIdx.x, g = h / (heads / G), d = threadIdx.x; extern __shared__ float score[];
    for (int j = d; j < keys; j += blockDim.x) { float x = 0; for (int i = 0; i < D; i++) x += float(q[h * D + i]) * float(k[((size_t)j * G + g) * D + i]); score[j] = x / sqrtf(D); }
    __syncthreads();
    float top = -INFINITY, sum = 0, value = 0;
    for (int j = 0; j < keys; j++) top = fmaxf(top, score[j]);
    for (int j = 0; j < keys; j++) { const float e = expf(score[j] - top); sum += e; if (d < D) value += e * float(v[((size_t)j * G + g) * D + d]); }
    if (d < D) out[h * D + d] = value / sum;
}
/// Caches of the layers of a text, shared out in parts as the device does it.
struct Caches {
    static constexpr int D = 80, HEADS = 32, G = 8;
    int layers, room, position, parts; Buffer<H> k, v, out{HEADS * D}; Buffer<float> part_o, part_lse, lse{HEADS}; Buffer<int> stored{1}, done{256}, fault{4};
    Caches(int layers, int room, int position) : layers(layers), room(room), position(position), parts(parts_of(room)), k((size_t)layers * room * G * D), v(k.size), part_o(parts * HEADS * D), part_lse(parts * HEADS) {
        fill(k, 1); fill(v, 2); stored.write({position}); done.write(std::vector<int>(256, 0)); fault.write({0, 0, 0, 0}); part_o.poison(); part_lse.poison(); out.poison();
    }
    static int parts_of(int room) { const int tiles = (room + 15) / 16, most = (int)ceil(std::min(128. / G, tiles / 8.)), each = (tiles + most - 1) / most; return (tiles + each - 1) / each; }
    void attend(int layer, const H* q, const H* fresh_k, const H* fresh_v, cudaStream_t s, bool early) {
        H *keys = k + (size_t)layer * room * G * D, *values = v + (size_t)layer * room * G * D;
        const Inputs<H> in{q, keys, values, nullptr, 1, room, room, HEADS, G, D, room, 1 / sqrtf(D)}; const Fresh<H> fresh{fresh_k, fresh_v, keys, values, stored, fault};
        launch(attention_portable_decode_bf16_80, {dim3(G, 1, parts), 128, (int)sizeof(attention_portable::Decode<H, 80>::Shared)}, s, early, in, fresh, Parts{part_o, part_lse, done}, out.data, lse.data);
    }
};
static void attention(Pool& pool, int room, int position, bool time) {
    fill(pool.k, 6); fill(pool.v, 7);                  // products before may have left poison
    Caches c(time ? 24 : 1, room, position); c.attend(0, pool.x, pool.k, pool.v, 0, false); CHECK(cudaDeviceSynchronize());
    Buffer<float> want(c.out.size); CHECK(cudaFuncSetAttribute(plain_attend, cudaFuncAttributeMaxDynamicSharedMemorySize, 131072)); plain_attend<<<Caches::HEADS, 96, (position + 1) * 4>>>(want, pool.x, c.k, c.v, position + 1, Caches::HEADS, Caches::G, Caches::D); CHECK(cudaDeviceSynchronize());
    const double off = difference(c.out.read(), want.read()); const auto once = fingerprint(c.out), keys = fingerprint(c.k);
    bool same = true; for (int i = 0; i < 5; i++) { c.out.poison(); c.part_o.poison(); c.attend(0, pool.x, pool.k, pool.v, 0, false); same &= fingerprint(c.out) == once; }
    same &= fingerprint(c.k) == keys;
    printf("attention, room %4d, position %4d, %2d parts  difference %.1e%s %s", room, position, c.parts, off, same ? "" : " REPEAT DIFFERS", verdict(off < 2e-5 && same));
    if (time) print_times((position + 1) * 320. * Caches::G, [&](bool early) { return 1000.f / c.layers * graph_ms([&](cudaStream_t s) { for (int i = 0; i < c.layers; i++) c.attend(i, pool.x, pool.k, pool.v, s, early); }); });
    printf("\n"); fflush(stdout);
}

// ---- A token of danube-1.8b: 24 layers and the head, without the embedding, the last norm and the choice, 10 µs together

/// The layers, at `C` channels and `F` of the feed-forward part, with the heads of danube-1.8b.
struct Layers {
    Pool& pool; int C, F, count, room, position; Caches caches; Buffer<H> x, h, q{2560}, k{640}, v{640}, hidden; Buffer<int> at{1}; size_t size;
    Layers(Pool& pool, int C, int F, int count, int room, int position) : pool(pool), C(C), F(F), count(count), room(room), position(position), caches(count, room, position), x(C), h(C), hidden(F), size((size_t)C * (3840 + 2560 + 3 * F)) { at.write({position}); fill(x, 1, 0.1f); }
    /// Weights of a layer: query, key, value, output, gate, up, down.
    const H* weights(int l) const { return pool.w + l * size % (pool.w.size - size) / 16 * 16; }
    struct Of { const H *query, *output, *gate, *down; };
    Of of(int l) const { const H *query = weights(l), *output = query + (size_t)3840 * C, *gate = output + (size_t)2560 * C; return {query, output, gate, gate + 2 * (size_t)F * C}; }
    QueryKeyValue heads(const H* query) const { return {q, k, v, query, query + (size_t)2560 * C, query + (size_t)3200 * C, pool.table, at, pool.fault, 32, 8, 80, 4096 * 128 / 80, C}; }
    /// Five launches a layer.
    void one_by_one(cudaStream_t s, bool early) {
        const auto linear = [&](H* y, const H* in, const H* w, const H* residual, int N, int K) { multiply(Rows{in, nullptr, EPS, 1, K, K, 0}, Linear{y, w, residual, N, K, 0}, N / 2, s, early); };
        for (int l = 0; l < count; l++) {
            const Of w = of(l);
            multiply(Rows{x, pool.norm, EPS, 1, C, C, 0}, heads(w.query), 1920, s, early && l > 0);
            caches.attend(l, q, k, v, s, early); linear(h, caches.out, w.output, x, C, 2560);
            multiply(Rows{h, pool.norm, EPS, 1, C, C, 0}, Swiglu{hidden, w.gate, w.gate + (size_t)F * C, F, C}, F, s, early);
            linear(x, hidden, w.down, h, C, F);
        }
    }
    void note(chain::Steps& steps) const {
        const auto step = [&](const chain::Step& s) { steps.step[steps.count] = s; if (s.kind != chain::ATTENTION) steps.most_k = std::max(steps.most_k, s.K); return steps.count++; };
        for (int l = 0, last = -1; l < count; l++) {
            const Of w = of(l); const QueryKeyValue of_heads = heads(w.query); H *keys = caches.k + (size_t)l * room * 640, *values = caches.v + (size_t)l * room * 640;
            last = step({x.data, pool.norm.data, q.data, k.data, v.data, w.query, of_heads.key, of_heads.value, pool.table.data, at.data, chain::QUERY_KEY_VALUE, last, 32, 8, 80, C, of_heads.P, 0, EPS});
            last = step({q.data, nullptr, caches.out.data, caches.lse.data, nullptr, keys, values, caches.stored.data, nullptr, nullptr, chain::ATTENTION, last, 32, 8, 80, room, room, caches.parts, 1 / sqrtf(80)});
            last = step({caches.out.data, nullptr, h.data, nullptr, nullptr, w.output, nullptr, nullptr, x.data, nullptr, chain::LINEAR, last, C, 0, 0, 2560, 2560, 0, 0});
            last = step({h.data, pool.norm.data, hidden.data, nullptr, nullptr, w.gate, w.gate + (size_t)F * C, nullptr, nullptr, nullptr, chain::SWIGLU, last, F, 0, 0, C, 0, 0, EPS});
            last = step({hidden.data, nullptr, x.data, nullptr, nullptr, w.down, nullptr, nullptr, h.data, nullptr, chain::LINEAR, last, C, 0, 0, F, F, 0, 0});
        }
    }
    auto prints() const { return std::array{fingerprint(x), fingerprint(h), fingerprint(q), fingerprint(k), fingerprint(v), fingerprint(caches.out), fingerprint(hidden), fingerprint(caches.k), fingerprint(caches.v)}; }
};
/// The layers in one launch.
struct Chain {
    std::unique_ptr<chain::Steps> steps = std::make_unique<chain::Steps>(); Buffer<uint64_t> exchange{32 + chain::AREAS * chain::AREA_WORDS};
    explicit Chain(const Layers& layers) {
        *steps = {}; CHECK(cudaMemset(exchange, 0, exchange.size * 8)); steps->exchange = exchange; steps->fault = layers.pool.fault; layers.note(*steps);
        steps->slots = std::min<int>(chain::Ring::MOST_SLOTS, (232448 - chain::shared_bytes<H, 80>(0, steps->most_k)) / chain::Ring::SLOT_BYTES);
    }
    void launch(cudaStream_t stream) {
        const int shared = chain::shared_bytes<H, 80>(steps->slots, steps->most_k); CHECK(cudaFuncSetAttribute(chain_bf16_80, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
        cudaLaunchConfig_t c{}; c.gridDim = dim3(multiprocessors()); c.blockDim = chain::THREADS; c.dynamicSmemBytes = shared; c.stream = stream;
        cudaLaunchAttribute a{}; a.id = cudaLaunchAttributeCooperative; a.val.cooperative = 1; c.attrs = &a; c.numAttrs = 1;
        CHECK(cudaLaunchKernelEx(&c, chain_bf16_80, *steps));
    }
};
static void chained(Layers& layers) {
    layers.one_by_one(0, false); CHECK(cudaDeviceSynchronize()); const auto want = layers.prints(); bool same = !want[0].nans; Chain chain(layers);
    for (int i = 0; i < 5; i++) {
        fill(layers.x, 1, 0.1f); for (auto* b : {&layers.h, &layers.q, &layers.k, &layers.v, &layers.hidden, &layers.caches.out}) b->poison();
        chain.launch(0); CHECK(cudaDeviceSynchronize()); same &= layers.prints() == want;
    }
    printf("%2d layers in a chain, room %4d, position %4d, %2d parts, %2d slots  %s\n", layers.count, layers.room, layers.position, layers.caches.parts, chain.steps->slots, verdict(same)); fflush(stdout);
}
static void token(Pool& pool, int room, int position) {
    constexpr int V = 32000; Layers layers(pool, 2560, 6912, 24, room, position); Buffer<H> logits(V); chained(layers); Chain chain(layers);
    const double bytes = 2. * layers.size * layers.count + 2. * V * 2560 + (position + 1) * 320. * Caches::G * layers.count;
    const auto time = [&](const char* name, auto f) {
        const float ms = graph_ms([&](cudaStream_t s) { f(s); multiply(Rows{layers.x, nullptr, EPS, 1, 2560, 2560, 0}, Linear{logits, pool.w, nullptr, V, 2560, 0}, V / 2, s, false); });
        printf("token, position %4d, %-10s  %.3f ms  %5.0f tokens/s  %5.0f GB/s %5.1f %%\n", position, name, ms, 1000 / ms, bytes / ms / 1e6, bytes / ms / 1e4 / COPY); fflush(stdout);
    };
    time("one by one", [&](cudaStream_t s) { layers.one_by_one(s, false); }); time("early", [&](cudaStream_t s) { layers.one_by_one(s, true); }); time("a chain", [&](cudaStream_t s) { chain.launch(s); });
}

int main(int count, char** words) {
    const bool small = count > 1 && !strcmp(words[1], "--small"); Pool pool(small);
    product(Kind::residual, "linear + residual", pool, 1, 101, 264, false); product(Kind::linear, "linear", pool, 16, 64, 1032, false); product(Kind::swiglu, "swiglu", pool, 9, 102, 1000, false); product(Kind::query_key_value, "query, key, value", pool, 5, 960, 520, false);
    for (auto [room, position] : {std::array<int, 2>{300, 299}, {256, 0}, {1000, 517}}) { attention(pool, room, position, false); Layers layers(pool, 264, 520, 2, room, position); chained(layers); }
    if (small) return failures;
    for (int M : {1, 8, 16}) {
        product(Kind::query_key_value, "query, key, value", pool, M, 3840, 2560, true); product(Kind::residual, "output", pool, M, 2560, 2560, true); product(Kind::swiglu, "swiglu", pool, M, 13824, 2560, true);
        if (M < 16) product(Kind::residual, "down", pool, M, 2560, 6912, true);
        product(Kind::linear, "head", pool, M, 32000, 2560, true);
    }
    for (auto [room, position] : {std::array<int, 2>{256, 255}, {1024, 511}, {4096, 4095}}) attention(pool, room, position, true);
    for (auto [room, position] : {std::array<int, 2>{256, 100}, {1024, 511}, {4096, 4095}}) token(pool, room, position);
    return failures;
}
