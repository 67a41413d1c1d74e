// A whole training step of danube-1.8b in fp8 from these kernels, on one stream, without a framework: what the backend will
// enqueue, and nothing else. It learns a made-up language of word pairs, so that a wrong kernel shows in the loss.
//
//   step [LAYERS MICRO_TOKENS DOCUMENT MICRO_BATCHES STEPS | --small]     DOCUMENT: tokens of a sequence
#include "common.cuh"
#include "../kernels/adamw.cu"
#include "../kernels/attention-backward.cu"
#include "../kernels/attention-forward.cu"
#include "../kernels/cross-entropy.cu"
#include "../kernels/embedding.cu"
#include "../kernels/gemm.cuh"
#include "../kernels/gradient-norm.cu"
#include "../kernels/norm.cu"
#include "../kernels/quantise.cu"
#include "../kernels/rope.cu"
#include "../kernels/swiglu.cu"

using E4 = __nv_fp8_e4m3; using E5 = __nv_fp8_e5m2; using Bytes = uint8_t;
constexpr int C = 2560, F = 6912, H = 32, KV = 8, D = 80, V = 32000, QKV = (H + 2 * KV) * D, WINDOW = 4096, CHUNK = 4096, NORM_SHARED = 64 * C + 512, NORM_BACKWARD_SHARED = NORM_SHARED + 8 * C;
constexpr float EPS = 1e-5f;

using Forward = Gemm<E4, E4, 128, 256, 4, Share::b, false, Output::bf16>;
using InputGradient = Gemm<E5, E4, 256, 128, 4, Share::a, true, Output::bf16>;
using WeightGradient = Gemm<E5, E4, 256, 128, 4, Share::a, true, Output::f32_add>;
using Head = Gemm<Bf16, Bf16, 128, 256, 4, Share::b, false, Output::bf16>;
using HeadInputGradient = Gemm<Bf16, Bf16, 128, 256, 4, Share::b, false, Output::bf16, K_MAJOR, MN_MAJOR>;
using HeadWeightGradient = Gemm<Bf16, Bf16, 128, 256, 4, Share::b, false, Output::f32_add, MN_MAJOR, MN_MAJOR>;
using Attend = attention_forward::Long80; using Keys = attention_backward::Keys<D>; using Queries = attention_backward::Queries<D>; using Statistics = attention_backward::Statistics<D>;

template <class T> CUtensorMap operand(const T* x, Major major, int rows, int K, int box_rows) {
    return major == K_MAJOR ? tensor_map(x, K, rows, 128 / sizeof(T), box_rows) : tensor_map(x, rows, K, 64, 64);
}
template <class G, class A, class B, class O> Problem product(const A* a, const B* b, O* d, int M, int N, int K, const float* sa = nullptr, const float* sb = nullptr) {
    return {operand(a, G::A_MAJOR, M, K, G::BM / G::A_PARTS), operand(b, G::B_MAJOR, N, K, G::BN / G::B_PARTS), tensor_map(d, N, M, G::BOX, 64), sa, sb, M, N, K};
}
/// [heads, tokens, D], as the rotary kernels write and read it.
CUtensorMap head_major_map(const Bf16* base, uint64_t heads, uint64_t tokens) { return heads_map(base, D, heads, tokens, tokens * D, D); }

/// One allocation, handed out from front to back: what a plan made before the first step amounts to.
struct Arena {
    uint8_t* base = nullptr; size_t used = 0, size = 0;
    void reserve(size_t bytes) { size = bytes; CHECK(cudaMalloc(&base, bytes)); }
    template <class T> T* take(size_t n) {
        const size_t at = (used + 1023) / 1024 * 1024; used = at + n * sizeof(T);
        if (used > size) { printf("arena: %.1f GiB are too few\n", size / 1073741824.0); exit(1); }
        return reinterpret_cast<T*>(base + at);
    }
};

__global__ void to_bf16(Bf16* to, const float* from, size_t n) { for (size_t i = blockIdx.x * 256ull + threadIdx.x; i < n; i += gridDim.x * 256ull) to[i] = __float2bfloat16(from[i]); }

// ---- Where time goes

struct Timed { const char* what; cudaEvent_t begin, end; };
static std::vector<Timed> timed; static bool profiling = false;
template <class L> void op(const char* what, L launch) {
    if (!profiling) { launch(); return; }
    Timed t{what, nullptr, nullptr}; CHECK(cudaEventCreate(&t.begin)); CHECK(cudaEventCreate(&t.end));
    CHECK(cudaEventRecord(t.begin)); launch(); CHECK(cudaEventRecord(t.end)); timed.push_back(t);
}
template <class G, int N> void multiply(const char* what, const Problems<N>& p) {
    static const bool once = [] { CHECK(cudaFuncSetAttribute(gemm_kernel<G, N>, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(typename G::Shared))); return true; }(); (void)once;
    static const int blocks = multiprocessors() / G::CLUSTER * G::CLUSTER;
    op(what, [&] { gemm_kernel<G, N><<<blocks, G::THREADS, sizeof(typename G::Shared)>>>(p); });
}
int tiles(int rows, int columns) { return ((rows + 127) / 128) * ((columns + 127) / 128); }

/// The scaling of one fp8 tensor: where its scale, its inverse and its largest magnitude are.
struct Scaling { unsigned* amax; float *scale, *inverse; };

struct Layer {
    // weights: fp8 and transposed, from the master weights
    Bytes *w[4], *wt[4]; const Bf16 *norm1, *norm2; float *g[4], *g_norm1, *g_norm2;
    // kept for the way back
    Bf16 *x1, *x2, *q, *k, *v, *o, *gate_up; float *rstd1, *rstd2, *lse; Bytes *t1, *t2, *ot, *ht;
    Scaling a[4], s[4], d[4];                        // inputs, weights and output gradients of qkv, projection, gate_up, down
    Problems<1> forward[4], back[4]; Problems<4> gradients;
    CUtensorMap q_map, k_map, v_map, o_map;
};

int main(int count, char** words) {
    const bool small = count > 1 && !strcmp(words[1], "--small");
    const auto number_at = [&](int i, int otherwise) { return !small && count > i ? atoi(words[i]) : otherwise; };
    const int L = number_at(1, small ? 2 : 24), M = number_at(2, small ? 512 : 16384), document = number_at(3, small ? 200 : 2048), micro = number_at(4, small ? 1 : 2), steps = number_at(5, small ? 3 : 20);
    const int sms = multiprocessors();
    constexpr int OUT[4] = {QKV, C, 2 * F, C}, IN[4] = {C, C, C, F};
    CHECK(cudaFuncSetAttribute(rms_norm_transposed, cudaFuncAttributeMaxDynamicSharedMemorySize, NORM_SHARED));
    CHECK(cudaFuncSetAttribute(rms_norm_backward_transposed, cudaFuncAttributeMaxDynamicSharedMemorySize, NORM_BACKWARD_SHARED));
    CHECK(cudaFuncSetAttribute(swiglu_backward, cudaFuncAttributeMaxDynamicSharedMemorySize, SWIGLU_BACKWARD_SHARED));
    CHECK(cudaFuncSetAttribute(rope_backward, cudaFuncAttributeMaxDynamicSharedMemorySize, rope_backward_shared<4>()));
    CHECK(cudaFuncSetAttribute(cross_entropy_bf16, cudaFuncAttributeMaxDynamicSharedMemorySize, 128 + 2 * V));
    CHECK(cudaFuncSetAttribute(embedding_sort, cudaFuncAttributeMaxDynamicSharedMemorySize, 4 * V));
    CHECK(cudaFuncSetAttribute(attention_forward_80, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(Attend::Shared)));
    CHECK(cudaFuncSetAttribute(attention_backward_keys_80, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(Keys::Shared)));
    CHECK(cudaFuncSetAttribute(attention_backward_queries_80, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(Queries::Shared)));

    // ---- Parameters: matrices of the layers, then embedding, head and norms, in flat arenas
    size_t matrix = 0; for (int i = 0; i < 4; i++) matrix += (size_t)OUT[i] * IN[i];
    const size_t matrices = matrix * L, table = (size_t)V * C, norms = (size_t)(2 * L + 1) * C, rest = 2 * table + norms, n = matrices + rest;
    Arena arena; arena.reserve(n * 16 + matrices * 2 + rest * 2 + (size_t)L * M * 66500 + (size_t)M * 260000 + (size_t)CHUNK * V * 2 + (1ull << 30));
    float *p = arena.take<float>(n), *m = arena.take<float>(n), *v = arena.take<float>(n), *g = arena.take<float>(n);
    Bytes *fp8 = arena.take<Bytes>(matrices), *fp8_t = arena.take<Bytes>(matrices); Bf16* rest16 = arena.take<Bf16>(rest);
    CHECK(cudaMemset(m, 0, n * 4)); CHECK(cudaMemset(v, 0, n * 4)); CHECK(cudaMemset(g, 0, n * 4));
    fill_normal<<<4096, 256>>>(p, matrices + 2 * table, 42ull, 0.02f);
    { std::vector<float> ones(norms, 1.f); CHECK(cudaMemcpy(p + matrices + 2 * table, ones.data(), norms * 4, cudaMemcpyHostToDevice)); }
    const Bf16 *embedding16 = rest16, *head16 = rest16 + table, *norms16 = rest16 + 2 * table;
    float *g_embedding = g + matrices, *g_head = g_embedding + table, *g_norms = g_head + table;
    const Bf16* final_norm = norms16 + (size_t)2 * L * C;

    // ---- fp8 scaling: 12 tensors a layer
    const int tensors = 12 * L;
    unsigned* amax = arena.take<unsigned>(tensors); float *history = arena.take<float>(tensors * 16), *limits = arena.take<float>(tensors), *scale = arena.take<float>(tensors), *inverse = arena.take<float>(tensors);
    {
        std::vector<float> limit(tensors), first(tensors, 1.f), undo(tensors, 1.f);
        for (int i = 0; i < tensors; i++) {
            limit[i] = i % 12 < 8 ? 448.f : 57344.f;
            if (i % 12 >= 8) { first[i] = 4096.f * M; undo[i] = 1 / first[i]; }          // gradients of a mean over tokens are small
            if (i % 12 >= 4 && i % 12 < 8) { first[i] = 1024.f; undo[i] = 1 / first[i]; }  // weights of deviation 0.02
        }
        CHECK(cudaMemset(amax, 0, tensors * 4)); CHECK(cudaMemset(history, 0, tensors * 64));
        CHECK(cudaMemcpy(limits, limit.data(), tensors * 4, cudaMemcpyHostToDevice)); CHECK(cudaMemcpy(scale, first.data(), tensors * 4, cudaMemcpyHostToDevice)); CHECK(cudaMemcpy(inverse, undo.data(), tensors * 4, cudaMemcpyHostToDevice));
    }
    const auto scaling = [&](int layer, int i) { const int at = layer * 12 + i; return Scaling{amax + at, scale + at, inverse + at}; };

    // ---- Activations and gradients that one layer lends to the next
    const int rows = attention_backward::statistics_rows(M);
    int *ids = arena.take<int>(M * micro), *targets = arena.take<int>(M * micro), *positions = arena.take<int>(M), *doc_start = arena.take<int>(M), *order = arena.take<int>(M), *totals = arena.take<int>(2), *fault = arena.take<int>(4), *step_number = arena.take<int>(1);
    auto *light = arena.take<embedding::Segment>(M), *heavy = arena.take<embedding::Segment>(M / 64 + 1);
    float *angles = arena.take<float>((size_t)M * D), *losses = arena.take<float>(M * micro), *loss = arena.take<float>(1), *loss_scale = arena.take<float>(1), *norm = arena.take<float>(2), *norm_limit = arena.take<float>(1);
    const size_t norm_blocks = (n + gradient_norm::Chosen::CHUNK - 1) / gradient_norm::Chosen::CHUNK;
    double *sums = arena.take<double>(norm_blocks), *settings = arena.take<double>(5); AdamWStep* adamw_step = arena.take<AdamWStep>(1);
    const size_t MC = (size_t)M * C, MF = (size_t)M * F;
    Bytes *in8 = arena.take<Bytes>(MC), *h8 = arena.take<Bytes>(MF), *dy8 = arena.take<Bytes>(MC), *dyt = arena.take<Bytes>(MC), *dp8 = arena.take<Bytes>(MC), *dpt = arena.take<Bytes>(MC);
    Bytes *dgu8 = arena.take<Bytes>(2 * MF), *dgut = arena.take<Bytes>(2 * MF), *dqkv8 = arena.take<Bytes>((size_t)M * QKV), *dqkvt = arena.take<Bytes>((size_t)M * QKV);
    Bf16 *qkv = arena.take<Bf16>((size_t)M * QKV), *branch = arena.take<Bf16>(MC), *x0 = arena.take<Bf16>(MC), *xf = arena.take<Bf16>(MC), *y = arena.take<Bf16>(MC), *dx = arena.take<Bf16>(MC), *dn = arena.take<Bf16>(MC), *dh = arena.take<Bf16>(MF), *d_o = arena.take<Bf16>(MC);
    Bf16 *dq = arena.take<Bf16>(MC), *dk = arena.take<Bf16>((size_t)M * KV * D), *dv = arena.take<Bf16>((size_t)M * KV * D), *logits = arena.take<Bf16>((size_t)CHUNK * V);
    float *rstdf = arena.take<float>(M), *statistics = arena.take<float>((size_t)2 * H * rows), *partial = arena.take<float>((size_t)sms * C);
    const CUtensorMap d_o_map = heads_map(d_o, D, H, M), dq_map = head_major_map(dq, H, M), dk_map = head_major_map(dk, KV, M), dv_map = head_major_map(dv, KV, M);

    std::vector<Layer> layers(L); std::vector<AdamWMatrix> adamw_table; int first_tile = 0; size_t at = 0;
    for (int l = 0; l < L; l++) {
        Layer& x = layers[l];
        for (int i = 0; i < 4; i++) {
            x.a[i] = scaling(l, i); x.s[i] = scaling(l, 4 + i); x.d[i] = scaling(l, 8 + i);
            x.w[i] = fp8 + at; x.wt[i] = fp8_t + at; x.g[i] = g + at;
            adamw_table.push_back({p + at, m + at, v + at, g + at, nullptr, x.w[i], x.wt[i], x.s[i].scale, x.s[i].amax, OUT[i], IN[i], first_tile, 1});
            first_tile += tiles(OUT[i], IN[i]); at += (size_t)OUT[i] * IN[i];
        }
        x.norm1 = norms16 + (size_t)2 * l * C; x.norm2 = x.norm1 + C; x.g_norm1 = g_norms + (size_t)2 * l * C; x.g_norm2 = x.g_norm1 + C;
        x.x1 = l == 0 ? x0 : arena.take<Bf16>(MC); x.x2 = arena.take<Bf16>(MC); x.q = arena.take<Bf16>(MC); x.k = arena.take<Bf16>((size_t)M * KV * D); x.v = arena.take<Bf16>((size_t)M * KV * D); x.o = arena.take<Bf16>(MC); x.gate_up = arena.take<Bf16>(2 * MF);
        x.rstd1 = arena.take<float>(M); x.rstd2 = arena.take<float>(M); x.lse = arena.take<float>((size_t)H * M);
        x.t1 = arena.take<Bytes>(MC); x.t2 = arena.take<Bytes>(MC); x.ot = arena.take<Bytes>(MC); x.ht = arena.take<Bytes>(MF);
        const Bytes *in[4] = {in8, in8, in8, h8}, *d8[4] = {dqkv8, dp8, dgu8, dy8}, *dt[4] = {dqkvt, dpt, dgut, dyt}, *it[4] = {x.t1, x.ot, x.t2, x.ht};
        Bf16 *out[4] = {qkv, branch, x.gate_up, branch}, *d_in[4] = {dn, d_o, dn, dh};
        const int position[4] = {2, 3, 0, 1};          // the largest product first, so that the last wave is of small ones
        for (int i = 0; i < 4; i++) {
            x.forward[i].at[0] = product<Forward>(in[i], x.w[i], out[i], M, OUT[i], IN[i], x.a[i].inverse, x.s[i].inverse);
            x.back[i].at[0] = product<InputGradient>(d8[i], x.wt[i], d_in[i], M, IN[i], OUT[i], x.d[i].inverse, x.s[i].inverse);
            x.gradients.at[position[i]] = product<WeightGradient>(dt[i], it[i], x.g[i], OUT[i], IN[i], M, x.d[i].inverse, x.a[i].inverse);
        }
        x.q_map = head_major_map(x.q, H, M); x.k_map = head_major_map(x.k, KV, M); x.v_map = head_major_map(x.v, KV, M); x.o_map = heads_map(x.o, D, H, M);
    }
    AdamWMatrix* table_on_device = arena.take<AdamWMatrix>(adamw_table.size()); CHECK(cudaMemcpy(table_on_device, adamw_table.data(), adamw_table.size() * sizeof(AdamWMatrix), cudaMemcpyHostToDevice));
    const int chunk = std::min(CHUNK, M), chunks = M / chunk;
    std::vector<Problems<1>> head(chunks), head_back(chunks), head_gradient(chunks);
    for (int c = 0; c < chunks; c++) {
        const size_t row = (size_t)c * chunk * C;
        head[c].at[0] = product<Head>(y + row, head16, logits, chunk, V, C);
        head_back[c].at[0] = product<HeadInputGradient>(logits, head16, dn + row, chunk, C, V);
        head_gradient[c].at[0] = product<HeadWeightGradient>(logits, y + row, g_head, V, C, chunk);
    }

    // ---- Data: after word w comes, nine times in ten, the word that always follows it
    {
        std::vector<int> id((size_t)M * micro + 1), target((size_t)M * micro), position(M), start(M), follows(1000); std::vector<float> a((size_t)M * D);
        srand(7); for (auto& f : follows) f = rand() % 1000;
        for (size_t i = 0; i < id.size(); i++) id[i] = i == 0 || rand() % 10 == 0 ? rand() % 1000 : follows[id[i - 1]];
        for (size_t i = 0; i < target.size(); i++) target[i] = id[i + 1];
        for (int i = 0; i < M; i++) { start[i] = i / document * document; position[i] = i - start[i]; }
        for (int i = 0; i < M; i++) for (int j = 0; j < D / 2; j++) { const double w = i * pow(10000.0, -j / 40.0); a[(size_t)i * D + j] = cos(w); a[(size_t)i * D + 40 + j] = sin(w); }
        CHECK(cudaMemcpy(ids, id.data(), target.size() * 4, cudaMemcpyHostToDevice)); CHECK(cudaMemcpy(targets, target.data(), target.size() * 4, cudaMemcpyHostToDevice)); CHECK(cudaMemcpy(positions, position.data(), M * 4, cudaMemcpyHostToDevice));
        CHECK(cudaMemcpy(doc_start, start.data(), M * 4, cudaMemcpyHostToDevice)); CHECK(cudaMemcpy(angles, a.data(), a.size() * 4, cudaMemcpyHostToDevice));
        const float s = 1.f / M / micro, limit = 1; const double setting[5] = {3e-4, 0.9, 0.95, 1e-8, 0.1};
        CHECK(cudaMemcpy(loss_scale, &s, 4, cudaMemcpyHostToDevice)); CHECK(cudaMemcpy(norm_limit, &limit, 4, cudaMemcpyHostToDevice)); CHECK(cudaMemcpy(settings, setting, 40, cudaMemcpyHostToDevice)); CHECK(cudaMemset(fault, 0, 16));
    }
    // The copies of the first weights.
    weight_copies<<<first_tile, adamw::THREADS>>>(table_on_device, (int)adamw_table.size());
    to_bf16<<<4096, 256>>>(rest16, p + matrices, rest);
    CHECK(cudaDeviceSynchronize());
    printf("danube of %d layers, %.3f G parameters, %d tokens a micro-batch in sequences of %d, %d micro-batches; %.1f GiB\n", L, n / 1e9, M, document, micro, arena.used / 1073741824.0);

    const AttentionShape shape{doc_start, M, M, H, KV, WINDOW, 1 / sqrtf(D)};
    const auto normalise = [&](const Bf16* x, const Bf16* add, const Bf16* w, Bf16* sum, float* rstd, Bytes* q, Bytes* t, const Scaling& s) {
        op("norm", [&] { rms_norm_transposed<<<sms, 960, NORM_SHARED>>>(x, add, w, sum, rstd, nullptr, q, t, s.amax, s.scale, M, C, M, EPS); }); };
    // With the e5m2 copies that the next products read, where there are any.
    const auto normalise_back = [&](const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* residual, float* d_w, Bytes* q, Bytes* t, const Scaling& s) {
        op("norm", [&] { rms_norm_backward_transposed<<<sms, 960, NORM_BACKWARD_SHARED>>>(d_y, x, w, rstd, residual, dx, partial, q, t, s.amax, s.scale, M, C, M); });
        op("norm", [&] { rms_norm_weight_gradient<<<(C + 31) / 32, 512, 2048>>>(partial, d_w, sms, C, 1); }); };

    const auto batch = [&](int b) {
        const int *id = ids + (size_t)b * M, *target = targets + (size_t)b * M;
        op("embedding", [&] { embedding_rows<<<(M + embedding::ROWS - 1) / embedding::ROWS, 320>>>((uint8_t*)x0, (const uint8_t*)embedding16, id, fault, M, 2 * C, V); });
        const Bf16 *stream = x0, *add = nullptr;
        for (Layer& x : layers) {
            normalise(stream, add, x.norm1, x.x1, x.rstd1, in8, x.t1, x.a[0]);
            multiply<Forward>("forward products", x.forward[0]);
            op("rope", [&] { rope_forward<<<((M + 31) / 32) * ((H + 2 * KV + 7) / 8), 320>>>(qkv, positions, angles, x.q, x.k, x.v, M, H, KV); });
            op("attention forward", [&] { attention_forward_80<<<dim3(H, (M + Attend::QUERIES - 1) / Attend::QUERIES), Attend::THREADS, sizeof(Attend::Shared)>>>(x.q_map, x.k_map, x.v_map, x.o_map, x.lse, shape); });
            op("quantise", [&] { quantise_e4m3<<<tiles(M, C), 512, QUANTISE_SHARED>>>(x.o, in8, x.ot, x.a[1].amax, x.a[1].scale, M, C, M); });
            multiply<Forward>("forward products", x.forward[1]);
            normalise(x.x1, branch, x.norm2, x.x2, x.rstd2, in8, x.t2, x.a[2]);
            multiply<Forward>("forward products", x.forward[2]);
            op("swiglu", [&] { swiglu_forward<<<tiles(M, F), 512, SWIGLU_FORWARD_SHARED>>>(x.gate_up, nullptr, h8, x.ht, x.a[3].amax, x.a[3].scale, M, F, M); });
            multiply<Forward>("forward products", x.forward[3]);
            stream = x.x2; add = branch;
        }
        op("norm", [&] { rms_norm_forward<<<M, 64, 8>>>(stream, add, final_norm, xf, rstdf, y, nullptr, nullptr, nullptr, M, C, EPS); });
        for (int c = 0; c < chunks; c++) {
            multiply<Head>("head products", head[c]);
            op("cross-entropy", [&] { cross_entropy_bf16<<<chunk, 512, 128 + 2 * V>>>(logits, losses + (size_t)b * M + c * chunk, target + c * chunk, loss_scale, fault, V); });
            multiply<HeadInputGradient>("head products", head_back[c]);
            multiply<HeadWeightGradient>("head products", head_gradient[c]);
        }
        normalise_back(dn, xf, final_norm, rstdf, nullptr, g_norms + (size_t)2 * L * C, dy8, dyt, layers[L - 1].d[3]);
        for (int l = L - 1; l >= 0; l--) {
            Layer& x = layers[l];
            multiply<InputGradient>("input gradients", x.back[3]);
            op("swiglu", [&] { swiglu_backward<<<tiles(M, F), 256, SWIGLU_BACKWARD_SHARED>>>(dh, x.gate_up, nullptr, dgu8, dgut, x.d[2].amax, x.d[2].scale, M, F, M); });
            multiply<InputGradient>("input gradients", x.back[2]);
            normalise_back(dn, x.x2, x.norm2, x.rstd2, dx, x.g_norm2, dp8, dpt, x.d[1]);
            multiply<InputGradient>("input gradients", x.back[1]);
            op("attention backward", [&] { attention_backward_statistics_80<<<dim3(rows / Statistics::TOKENS, H / Statistics::HEADS), Statistics::THREADS, Statistics::SHARED>>>(x.o, d_o, x.lse, statistics, shape); });
            op("attention backward", [&] { attention_backward_keys_80<<<dim3(KV, (M + Keys::KEYS - 1) / Keys::KEYS), Keys::THREADS, sizeof(Keys::Shared)>>>(x.q_map, x.k_map, x.v_map, d_o_map, dk_map, dv_map, statistics, shape); });
            op("attention backward", [&] { attention_backward_queries_80<<<dim3(H, (M + Queries::QUERIES - 1) / Queries::QUERIES), Queries::THREADS, sizeof(Queries::Shared)>>>(x.q_map, x.k_map, x.v_map, d_o_map, dq_map, statistics, shape); });
            op("rope", [&] { rope_backward<<<((M + 127) / 128) * ((H + 2 * KV + 3) / 4), 320, rope_backward_shared<4>()>>>(dq, dk, dv, positions, angles, nullptr, dqkv8, dqkvt, x.d[0].amax, x.d[0].scale, M, H, KV, M); });
            multiply<InputGradient>("input gradients", x.back[0]);
            multiply<WeightGradient>("weight gradients", x.gradients);
            normalise_back(dn, x.x1, x.norm1, x.rstd1, dx, x.g_norm1, l ? dy8 : nullptr, l ? dyt : nullptr, l ? layers[l - 1].d[3] : Scaling{});
        }
        op("embedding", [&] { embedding_sort<<<1, embedding::SORT_THREADS, 4 * V>>>(order, light, heavy, totals, nullptr, id, fault, M, V); });
        const int slices = (C + embedding::SLICE<8> - 1) / embedding::SLICE<8>, heavy_blocks = std::max(1, M / embedding::HEAVY) * slices;
        op("embedding", [&] { embedding_add_bf16<<<heavy_blocks + (std::min(M, V) * slices + 7) / 8, 256>>>(g_embedding, dx, order, light, heavy, totals, M, C); });
    };
    const auto update = [&](int step) {
        op("optimizer", [&] { gradient_norm_squares<<<(int)norm_blocks, gradient_norm::THREADS>>>(sums, g, n); });
        op("optimizer", [&] { gradient_norm_clip<<<1, gradient_norm::FINAL_THREADS>>>(norm, sums, (int)norm_blocks, norm_limit); });
        CHECK(cudaMemcpyAsync(step_number, &step, 4, cudaMemcpyHostToDevice));
        // Before the new copies of the weights are made, which then have the scale that is in force.
        op("optimizer", [&] { update_scales<<<(tensors + 255) / 256, 256>>>(amax, history, limits, scale, inverse, tensors, 1.f); });
        op("optimizer", [&] { adamw_prepare<<<1, 1>>>(adamw_step, settings, step_number, norm + 1); });
        op("optimizer", [&] { adamw_matrices<<<first_tile, adamw::THREADS>>>(table_on_device, (int)adamw_table.size(), adamw_step); });
        op("optimizer", [&] { adamw_flat<<<(int)((rest + 1023) / 1024), adamw::THREADS>>>(p + matrices, m + matrices, v + matrices, g + matrices, rest16, adamw_step, 0, rest); });
        op("loss", [&] { loss_total<<<1, 1024>>>(loss, losses, M * micro, loss_scale); });
    };
    const auto read = [&](const float* at) { float value; CHECK(cudaMemcpy(&value, at, 4, cudaMemcpyDeviceToHost)); return value; };

    // Scales first, from two passes without an update: of activations and weights, then of gradients.
    for (int i = 0; i < 2; i++) {
        batch(0); update_scales<<<(tensors + 255) / 256, 256>>>(amax, history, limits, scale, inverse, tensors, 1.f);
        weight_copies<<<first_tile, adamw::THREADS>>>(table_on_device, (int)adamw_table.size());
        CHECK(cudaMemset(g, 0, n * 4)); CHECK(cudaDeviceSynchronize());
    }
    float first_loss = 0, last_loss = 0; int step = 0;
    for (; step < steps; step++) {
        for (int b = 0; b < micro; b++) batch(b);
        update(step + 1); CHECK(cudaGetLastError());
        last_loss = read(loss); if (step == 0) first_loss = last_loss;
        if (step < 3 || step % 5 == 4 || step == steps - 1) { printf("step %2d  loss %.4f  gradient norm %.4f\n", step + 1, last_loss, read(norm)); fflush(stdout); }
    }
    printf("loss %.4f → %.4f %s\n", first_loss, last_loss, verdict(std::isfinite(last_loss) && last_loss < first_loss && (small || last_loss < first_loss - 1)));
    if (small) return failures;

    const double tokens = (double)M * micro; const int again = 5;
    cudaEvent_t begin, end; CHECK(cudaEventCreate(&begin)); CHECK(cudaEventCreate(&end)); CHECK(cudaDeviceSynchronize());
    timespec t0, t1; clock_gettime(CLOCK_MONOTONIC, &t0); CHECK(cudaEventRecord(begin));
    for (int i = 0; i < again; i++) { for (int b = 0; b < micro; b++) batch(b); update(++step); }
    CHECK(cudaEventRecord(end)); clock_gettime(CLOCK_MONOTONIC, &t1); CHECK(cudaEventSynchronize(end)); float ms; CHECK(cudaEventElapsedTime(&ms, begin, end)); ms /= again;
    const double attended = [&] { double pairs = 0; for (int i = 0; i < document; i++) pairs += std::min(i + 1, WINDOW); return pairs / document; }();
    const double flops = tokens * (6.0 * (matrices + table) + 12.0 * L * H * D * attended);
    printf("step of %.0f tokens: %.1f ms, %.0f tokens/s, %.0f model TFLOP/s; enqueued in %.1f ms of host time\n", tokens, ms, tokens / ms * 1e3, flops / ms / 1e9, ((t1.tv_sec - t0.tv_sec) * 1e3 + (t1.tv_nsec - t0.tv_nsec) / 1e6) / again);
    profiling = true; for (int b = 0; b < micro; b++) batch(b); update(++step); CHECK(cudaDeviceSynchronize());
    std::vector<std::pair<std::string, float>> parts; float total = 0;
    for (const Timed& t : timed) {
        float one_ms; CHECK(cudaEventElapsedTime(&one_ms, t.begin, t.end)); total += one_ms;
        auto it = std::find_if(parts.begin(), parts.end(), [&](auto& part) { return part.first == t.what; });
        if (it == parts.end()) parts.push_back({t.what, one_ms}); else it->second += one_ms;
    }
    std::sort(parts.begin(), parts.end(), [](auto& a, auto& b) { return a.second > b.second; });
    for (auto& part : parts) printf("  %-20s %8.2f ms  %4.1f %%  %6.3f us a token\n", part.first.c_str(), part.second, part.second / total * 100, part.second * 1e3 / tokens);
    printf("  %-20s %8.2f ms, kernel by kernel, %zu launches\n", "all", total, timed.size());
    return failures;
}
