// Generation on the GPU: products of few rows, attention over a cache and whole tokens of danube-1.8b, with the kernels, shapes
// and order of the device; right against plain kernels, a row with the bits it has alone, and timed as launches of a graph, one
// after another or as programmatic dependents. Beside the device's form of a product, by a ring in shared memory, are those of
// candidates/few-rows-registers.cuh, of which the same bits are asked.
//
//   decode [--small]     --small: the cases for compute-sanitizer
#include "../kernels/attention/attention-portable-decode.cu"
#include "../kernels/generation/chain.cu"
#include "../kernels/generation/few-rows.cu"
#include "candidates/few-rows-registers.cuh"
#include "common.cuh"

#include <functional>
#include <map>

using H = __nv_bfloat16;
using Linear = few_rows::Linear<H>; using Swiglu = few_rows::Swiglu<H>; using QueryKeyValue = few_rows::QueryKeyValue<H>; using Rows = few_rows::Rows<H>;
using few_rows::Ahead; using few_rows::in_registers; using few_rows::Refill; using attention_portable::Fresh; using attention_portable::Inputs; using attention_portable::Parts;
constexpr double COPY = 4277;     // GB/s of a plain copy
constexpr float EPS = 1e-5f;

struct Shape { dim3 grid; int threads, shared; };
/// Percent of L1 that kernels are given as shared memory from here on.
static int carveout = 100;
template <class K, class... A> void launch(K kernel, Shape s, cudaStream_t stream, bool early, const A&... arguments) {
    static std::map<K, int> most, percent;
    if (s.shared > most[kernel]) CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most[kernel] = s.shared));
    if (carveout != percent[kernel]) CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, percent[kernel] = carveout));
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

/// How weights come to a multiprocessor.
enum class Form { ring, together, in_turn };
/// Weights on their way to registers pass L1, of which the device leaves 28 KiB: those forms are timed with half of it as well.
struct Way { const char* name; Form form; int carveout; };
constexpr Way WAYS[] = {{"ring", Form::ring, 100}, {"together", Form::together, 100}, {"together, half L1", Form::together, 50}, {"in turn", Form::in_turn, 100}, {"in turn, half L1", Form::in_turn, 50}};
constexpr auto of_device(const Linear&) { return few_rows_linear_bf16; }
constexpr auto of_device(const Swiglu&) { return few_rows_swiglu_bf16; }
constexpr auto of_device(const QueryKeyValue&) { return few_rows_query_key_value_bf16; }
/// @param ahead asked for by the forms of registers
template <class Layer> void multiply(Form form, Rows in, const Layer& layer, int pairs, Ahead ahead, cudaStream_t s, bool early) {
    static const int count = multiprocessors(); const bool ring = form == Form::ring;
    in.slots = ring ? few_rows::DEEP : 0;
    const Shape shape{dim3(std::min(ring ? count : 2 * count, pairs)), few_rows::THREADS, few_rows::shared_bytes(in.slots, in.M, in.K, in.norm != nullptr)};
    if (ring) launch(of_device(layer), shape, s, early, in, layer);
    else launch(form == Form::together ? in_registers<Refill::together, H, Layer> : in_registers<Refill::in_turn, H, Layer>, shape, s, early, in, layer, ahead);
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
static void enqueue(Form form, Kind kind, Pool& p, size_t at, int first, int M, int N, int K, cudaStream_t s, bool early) {
    const Rows in{p.x + (size_t)first * K, kind >= Kind::swiglu ? p.norm.data : nullptr, EPS, M, K, K, 0}; const H* w = p.w + at;
    const auto run = [&](const auto& layer) { multiply(form, in, layer, (N + 1) / 2, Ahead{}, s, early); };
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
    const auto alone = [&](Form form) { return bits([&] { for (int m = 0; m < M; m++) enqueue(form, kind, pool, 0, m, 1, N, K, 0, false); }); };
    const auto together = [&](Form form) { return bits([&] { enqueue(form, kind, pool, 0, 0, M, N, K, 0, false); }); };
    bool same = true; const auto want_bits = together(Form::ring); const auto y = pool.y.read(), keys = pool.k.read(), values = pool.v.read();
    for (Form form : {Form::ring, Form::together, Form::in_turn}) same &= alone(form) == want_bits && together(form) == want_bits;
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
    if (time) for (const Way& way : WAYS) {
        printf("\n  %-18s", way.name); carveout = way.carveout; const size_t size = (size_t)N * K; const int sets = std::max<size_t>(1, std::min<size_t>(24, pool.w.size / size));
        print_times(size * 2., [&](bool early) { return 1000 / float(sets) * graph_ms([&](cudaStream_t stream) { for (int i = 0; i < sets; i++) enqueue(way.form, kind, pool, i * size, 0, M, N, K, stream, early); }); });
    }
    printf("\n"); carveout = 100; fflush(stdout);
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
    static int parts_of(int room) { const int tiles = (room + 15) / 16, most = (int)ceil(std::min(256. / G, tiles / 8.)), each = (tiles + most - 1) / most; return (tiles + each - 1) / each; }
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

static void token(Pool& pool, int room, int position, const Way& way, size_t most_ahead) {
    carveout = way.carveout; constexpr int C = 2560, F = 6912, QKV = 3840, V = 32000, LAYERS = 24; Caches c(LAYERS, room, position);
    Buffer<H> x(C), h(C), hidden(F), logits(V); fill(x, 1); Buffer<int> at(1); at.write({position});
    const size_t layer = (size_t)C * (QKV + C + 3 * F), room_of_layers = pool.w.size - (size_t)V * C;
    const H* head = pool.w + room_of_layers; const auto weights_of = [&](int l) { return pool.w + l * layer % (room_of_layers - layer) / 16 * 16; };
    const auto ahead = [&](const H* weights, int lines, int K) { return Ahead{weights, (uint32_t)std::min(most_ahead, (size_t)lines * K * 2)}; };
    for (bool early : {false, true}) {
        const float ms = graph_ms([&](cudaStream_t s) {
            const auto linear = [&](H* y, const H* in, const H* w, const H* residual, int N, int K, Ahead next, bool starts_early) {
                multiply(way.form, Rows{in, nullptr, EPS, 1, K, K, 0}, Linear{y, w, residual, N, K, 0}, N / 2, next, s, starts_early);
            };
            const Rows normed{x, pool.norm, EPS, 1, C, C, 0}, normed_h{h, pool.norm, EPS, 1, C, C, 0};
            for (int l = 0; l < LAYERS; l++) {
                const H *qkv = weights_of(l), *out = qkv + (size_t)QKV * C, *gate = out + (size_t)C * C, *down = gate + 2 * (size_t)F * C;
                const QueryKeyValue heads{pool.y, pool.k, pool.v, qkv, qkv + (size_t)C * C, qkv + (size_t)(C + 640) * C, pool.table, at, pool.fault, 32, 8, 80, 4096 * 128 / 80, C};
                multiply(way.form, normed, heads, QKV / 2, ahead(out, C, C), s, early && l > 0);
                c.attend(l, pool.y, pool.k, pool.v, s, early);
                linear(h, c.out, out, x, C, C, ahead(gate, F, C), early);
                multiply(way.form, normed_h, Swiglu{hidden, gate, gate + (size_t)F * C, F, C}, F, ahead(down, C, F), s, early);
                linear(x, hidden, down, h, C, F, l + 1 < LAYERS ? ahead(weights_of(l + 1), QKV, C) : ahead(head, V, C), early);
            }
            linear(logits, x, head, nullptr, V, C, Ahead{}, false);       // a norm is in front of it
        }, 7);
        const double bytes = 2. * layer * LAYERS + 2. * V * C + (position + 1) * 320. * Caches::G * LAYERS;
        printf("token, position %4d, %-18s %zu MiB ahead, %-10s  %.3f ms  %5.0f tokens/s  %5.0f GB/s %5.1f %%\n", position, way.name, most_ahead >> 20, early ? "early" : "one by one", ms, 1000 / ms, bytes / ms / 1e6, bytes / ms / 1e4 / COPY); fflush(stdout);
    }
}


// ---- The same token with its layers in one launch

/// Notes the steps of a chain, and launches them.
struct Chain {
    std::unique_ptr<chain::Steps> steps = std::make_unique<chain::Steps>(); Buffer<uint64_t> exchange{32 + chain::AREAS * chain::AREA_WORDS};
    int slots;
    Chain(int* fault, int slots) : slots(slots) { *steps = {}; CHECK(cudaMemset(exchange, 0, exchange.size * 8)); steps->exchange = exchange; steps->fault = fault; steps->slots = slots; }
    int step(const chain::Step& s) { steps->step[steps->count] = s; if (s.kind != chain::ATTENTION) steps->most_k = std::max(steps->most_k, s.K); return steps->count++; }
    void launch(cudaStream_t stream) {
        const int shared = chain::shared_bytes<H, 80>(slots, steps->most_k); CHECK(cudaFuncSetAttribute(chain_bf16_80, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
        cudaLaunchConfig_t c{}; c.gridDim = dim3(multiprocessors()); c.blockDim = chain::THREADS; c.dynamicSmemBytes = shared; c.stream = stream;
        cudaLaunchAttribute a{}; a.id = cudaLaunchAttributeCooperative; a.val.cooperative = 1; c.attrs = &a; c.numAttrs = 1;
        CHECK(cudaLaunchKernelEx(&c, chain_bf16_80, *steps));
    }
    static int most_slots(int most_k) { return std::min<int>(chain::Ring::MOST_SLOTS, (232448 - chain::shared_bytes<H, 80>(0, most_k)) / chain::Ring::SLOT_BYTES); }
};
/// @param time the token is that of danube-1.8b, and timed; else of a small model, whose steps have the bits of the kernels one by one
static void chained_token(Pool& pool, int room, int position, bool time, int most_parts = 256, int fewer_slots = 0) {
    carveout = 100; const int C = time ? 2560 : 264, F = time ? 6912 : 520, V = time ? 32000 : 64, LAYERS = time ? 24 : 2, QKV = 3840; Caches c(LAYERS, room, position); c.parts = std::min(c.parts, most_parts);
    Buffer<H> x(C), h(C), q(2560), k(640), v(640), hidden(F), logits(V); Buffer<int> at(1); at.write({position});
    const size_t layer = (size_t)C * (QKV + 2560 + 3 * F), room_of_layers = pool.w.size - (size_t)V * C;
    const H* head = pool.w + room_of_layers; const auto weights_of = [&](int l) { return pool.w + l * layer % (room_of_layers - layer) / 16 * 16; };
    Chain chain(pool.fault, Chain::most_slots(std::max(F, 2560)) - fewer_slots); int last = -1;
    const auto plain = [&] {
        const auto linear = [&](H* y, const H* in, const H* w, const H* residual, int N, int K) { multiply(Form::ring, Rows{in, nullptr, EPS, 1, K, K, 0}, Linear{y, w, residual, N, K, 0}, N / 2, Ahead{}, 0, false); };
        for (int l = 0; l < LAYERS; l++) {
            const H *qkv = weights_of(l), *out = qkv + (size_t)QKV * C, *gate = out + (size_t)C * 2560, *down = gate + 2 * (size_t)F * C;
            multiply(Form::ring, Rows{x, pool.norm, EPS, 1, C, C, 0}, QueryKeyValue{q, k, v, qkv, qkv + (size_t)C * 2560, qkv + (size_t)C * 3200, pool.table, at, pool.fault, 32, 8, 80, 4096 * 128 / 80, C}, QKV / 2, Ahead{}, 0, false);
            c.attend(l, q, k, v, 0, false); linear(h, c.out, out, x, C, 2560);
            multiply(Form::ring, Rows{h, pool.norm, EPS, 1, C, C, 0}, Swiglu{hidden, gate, gate + (size_t)F * C, F, C}, F, Ahead{}, 0, false);
            linear(x, hidden, down, h, C, F);
        }
    };
    for (int l = 0; l < LAYERS; l++) {
        const H *qkv = weights_of(l), *out = qkv + (size_t)QKV * C, *gate = out + (size_t)C * 2560, *down = gate + 2 * (size_t)F * C; H *keys = c.k + (size_t)l * room * 640, *values = c.v + (size_t)l * room * 640;
        const int heads = chain.step({x.data, pool.norm.data, q.data, k.data, v.data, qkv, qkv + (size_t)C * 2560, qkv + (size_t)C * 3200, pool.table.data, at.data, chain::QUERY_KEY_VALUE, last, 32, 8, 80, C, 4096 * 128 / 80, 0, EPS});
        const int attention = chain.step({q.data, nullptr, c.out.data, c.lse.data, nullptr, keys, values, c.stored.data, nullptr, nullptr, chain::ATTENTION, heads, 32, 8, 80, room, room, c.parts, 1 / sqrtf(80)});
        const int first = chain.step({c.out.data, nullptr, h.data, nullptr, nullptr, out, nullptr, nullptr, x.data, nullptr, chain::LINEAR, attention, C, 0, 0, 2560, 2560, 0, 0});
        const int both = chain.step({h.data, pool.norm.data, hidden.data, nullptr, nullptr, gate, gate + (size_t)F * C, nullptr, nullptr, nullptr, chain::SWIGLU, first, F, 0, 0, C, 0, 0, EPS});
        last = chain.step({hidden.data, nullptr, x.data, nullptr, nullptr, down, nullptr, nullptr, h.data, nullptr, chain::LINEAR, both, C, 0, 0, F, F, 0, 0});
    }
    const auto prints = [&] { return std::array{fingerprint(x), fingerprint(h), fingerprint(q), fingerprint(k), fingerprint(v), fingerprint(c.out), fingerprint(hidden), fingerprint(c.k), fingerprint(c.v)}; };
    fill(x, 1, 0.1f); plain(); const auto want = prints(); const bool numbers = !want[0].nans; bool same = true;
    for (int i = 0; i < 5; i++) { fill(x, 1, 0.1f); for (auto* b : {&h, &q, &k, &v, &hidden, &c.out}) b->poison(); chain.launch(0); CHECK(cudaDeviceSynchronize()); same &= prints() == want; }
    printf("token in a chain, room %4d, position %4d, %2d parts, %2d slots  %s%s", room, position, c.parts, chain.slots, same ? "" : "BITS DIFFER ", verdict(same && numbers));
    if (time) {
        const float layers = graph_ms([&](cudaStream_t s) { chain.launch(s); }), ms = graph_ms([&](cudaStream_t s) { chain.launch(s); multiply(Form::ring, Rows{x, nullptr, EPS, 1, C, C, 0}, Linear{logits, head, nullptr, V, C, 0}, V / 2, Ahead{}, s, false); });
        const double bytes = 2. * layer * LAYERS + 2. * V * C + (position + 1) * 320. * Caches::G * LAYERS;
        printf("  layers %.3f ms, with the head %.3f ms  %5.0f tokens/s  %5.0f GB/s %5.1f %%", layers, ms, 1000 / ms, bytes / ms / 1e6, bytes / ms / 1e4 / COPY);
    }
    printf("\n"); fflush(stdout);
}

int main(int count, char** words) {
    const bool small = count > 1 && !strcmp(words[1], "--small"); Pool pool(small);
    product(Kind::residual, "linear + residual", pool, 1, 101, 264, false); product(Kind::linear, "linear", pool, 16, 64, 1032, false); product(Kind::swiglu, "swiglu", pool, 9, 102, 1000, false); product(Kind::query_key_value, "query, key, value", pool, 5, 960, 520, false);
    attention(pool, 300, 299, false); attention(pool, 256, 0, false); attention(pool, 1000, 517, false);
    chained_token(pool, 300, 299, false); chained_token(pool, 1000, 0, false); chained_token(pool, 1000, 517, false);
    if (small) return failures;
    for (auto [room, position] : {std::array<int, 2>{256, 100}, {1024, 511}, {4096, 4095}}) for (int parts : {8, 16}) chained_token(pool, room, position, true, parts);
    for (int fewer : {1, 2, 4}) chained_token(pool, 1024, 511, true, 16, fewer);
    if (count > 1 && !strcmp(words[1], "--chain")) return failures;
    for (int M : {1, 8, 16}) {
        product(Kind::query_key_value, "query, key, value", pool, M, 3840, 2560, true); product(Kind::residual, "output", pool, M, 2560, 2560, true); product(Kind::swiglu, "swiglu", pool, M, 13824, 2560, true);
        if (M < 16) product(Kind::residual, "down", pool, M, 2560, 6912, true);
        product(Kind::linear, "head", pool, M, 32000, 2560, true);
    }
    for (auto [room, position] : {std::array<int, 2>{256, 255}, {1024, 511}, {4096, 4095}}) attention(pool, room, position, true);
    for (auto [room, position] : {std::array<int, 2>{256, 100}, {1024, 511}, {4096, 4095}}) {
        for (const Way& way : WAYS) for (size_t most_ahead : {0, 4 << 20}) if (way.form != Form::ring || !most_ahead) token(pool, room, position, way, most_ahead);
    }
    return failures;
}
