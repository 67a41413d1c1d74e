// The attention backward kernels on a GPU: against plain loops, repeated, and timed, one after another and on two streams.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/attention/attention-backward.cu"
#include "common.cuh"

using Bf16 = __nv_bfloat16;

// ---- Plain reference kernels, one block of 256 a row, f32 products and f64 sums

__device__ bool sees(const int* doc_start, int query, int key, int window) { return doc_start[query] <= key && key <= query && key > query - window; }
__device__ float row_dot(const Bf16* a, const Bf16* b, int D) { float sum = 0; for (int d = 0; d < D; d++) sum += __bfloat162float(a[d]) * __bfloat162float(b[d]); return sum; }

/// Grid: T × heads. T is small: all scores of a row are kept.
__global__ void reference_forward(const Bf16* q, const Bf16* k, const Bf16* v, const int* doc_start, Bf16* out, float* lse, int T, int heads, int kv_heads, int D, int window, float scale) {
    extern __shared__ float p[];
    const int i = blockIdx.x, head = blockIdx.y, kv = head / (heads / kv_heads);
    for (int j = threadIdx.x; j < T; j += 256) p[j] = sees(doc_start, i, j, window) ? expf(row_dot(q + ((size_t)i * heads + head) * D, k + ((size_t)j * kv_heads + kv) * D, D) * scale) : 0;
    __syncthreads();
    double total = 0;
    for (int j = 0; j < T; j++) total += p[j];
    if (threadIdx.x == 0) lse[(size_t)head * T + i] = log(total);
    if (threadIdx.x < D) {
        double sum = 0;
        for (int j = 0; j < T; j++) if (p[j]) sum += p[j] / total * __bfloat162float(v[((size_t)j * kv_heads + kv) * D + threadIdx.x]);
        out[((size_t)i * heads + head) * D + threadIdx.x] = __float2bfloat16(sum);
    }
}
struct Reference { const Bf16 *q, *k, *v, *out, *d_out; const float* lse; const int* doc_start; int T, heads, kv_heads, D, window; float scale; };
/// P and dS of one pair.
__device__ float2 reference_pair(const Reference& x, int head, int query, int key) {
    if (!sees(x.doc_start, query, key, x.window)) return {0, 0};
    const int kv = head / (x.heads / x.kv_heads), D = x.D;
    const size_t i = ((size_t)query * x.heads + head) * D, j = ((size_t)key * x.kv_heads + kv) * D;
    const float p = expf(row_dot(x.q + i, x.k + j, D) * x.scale - x.lse[(size_t)head * x.T + query]);
    return {p, p * (row_dot(x.d_out + i, x.v + j, D) - row_dot(x.d_out + i, x.out + i, D)) * x.scale};
}
/// rows[blockIdx.x] = key · kv heads + kv head: dk then dv.
__global__ void reference_keys(Reference x, const int* rows, float* d_k, float* d_v) {
    __shared__ float2 pairs[256];
    const int kv = rows[blockIdx.x] % x.kv_heads, key = rows[blockIdx.x] / x.kv_heads, group = x.heads / x.kv_heads, D = x.D; double sum = 0;
    for (int head = kv * group; head < (kv + 1) * group; head++) for (int i0 = key; i0 < x.T; i0 += 256) {
        __syncthreads();
        pairs[threadIdx.x] = i0 + (int)threadIdx.x < x.T ? reference_pair(x, head, i0 + threadIdx.x, key) : float2{0, 0};
        __syncthreads();
        for (int i = i0; i < min(x.T, i0 + 256); i++) {
            if (threadIdx.x < D) sum += pairs[i - i0].y * __bfloat162float(x.q[((size_t)i * x.heads + head) * D + threadIdx.x]);
            else if (threadIdx.x < 2 * D) sum += pairs[i - i0].x * __bfloat162float(x.d_out[((size_t)i * x.heads + head) * D + threadIdx.x - D]);
        }
    }
    if (threadIdx.x < 2 * D) (threadIdx.x < D ? d_k : d_v)[blockIdx.x * D + threadIdx.x % D] = sum;
}
/// rows[blockIdx.x] = query · heads + head.
__global__ void reference_queries(Reference x, const int* rows, float* d_q) {
    __shared__ float2 pairs[256];
    const int head = rows[blockIdx.x] % x.heads, query = rows[blockIdx.x] / x.heads, kv = head / (x.heads / x.kv_heads), D = x.D; double sum = 0;
    for (int j0 = 0; j0 <= query; j0 += 256) {
        __syncthreads();
        pairs[threadIdx.x] = j0 + (int)threadIdx.x < x.T ? reference_pair(x, head, query, j0 + threadIdx.x) : float2{0, 0};
        __syncthreads();
        if (threadIdx.x < D) for (int j = j0; j < min(x.T, j0 + 256); j++) sum += pairs[j - j0].y * __bfloat162float(x.k[((size_t)j * x.kv_heads + kv) * D + threadIdx.x]);
    }
    if (threadIdx.x < D) d_q[blockIdx.x * D + threadIdx.x] = sum;
}
/// What lse is like for normal q and k, without a forward pass: the gradient is defined for any lse.
__global__ void likely_lse(float* lse, const int* doc_start, int T, int heads, int window) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i < T * heads) { const int row = i % T; lse[i] = logf(row - max(doc_start[row], max(0, row - window + 1)) + 1) + 0.4f + 0.1f * normal_at(i); }
}

// ---- Cases

struct Case { int T, heads, kv_heads, window, document; bool time; };

template <int D> void check(decltype(&attention_backward_statistics_80) statistics_kernel, decltype(&attention_backward_keys_80) keys_kernel, decltype(&attention_backward_queries_80) queries_kernel, const Case& c) {
    using S = attention_backward::Statistics<D>; using K = attention_backward::Keys<D>; using Q = attention_backward::Queries<D>;
    CHECK(cudaFuncSetAttribute(keys_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(typename K::Shared)));
    CHECK(cudaFuncSetAttribute(queries_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(typename Q::Shared)));
    const int T = c.T, H = c.heads, KV = c.kv_heads, W = c.window; const float scale = 1 / sqrtf(D);
    Buffer<Bf16> q((size_t)H * T * D), k((size_t)KV * T * D), v(k.size), out(q.size), d_out(q.size), d_q(q.size), d_k(k.size), d_v(k.size);
    Buffer<float> lse((size_t)H * T), statistics((size_t)2 * H * attention_backward::statistics_rows(T)); Buffer<int> doc_start(T);
    fill(q, 11 + T); fill(k, 12 + T); fill(v, 13 + T); fill(d_out, 14 + T);
    std::vector<int> documents(T); double pairs = 0;
    for (int i = 0; i < T; i++) { documents[i] = i / c.document * c.document; pairs += i - std::max(documents[i], std::max(0, i - W + 1)) + 1; }
    doc_start.write(documents);
    if (c.time) { fill(out, 15 + T, 0.05f); likely_lse<<<(T * H + 255) / 256, 256>>>(lse, doc_start, T, H, W); }
    else reference_forward<<<dim3(T, H), 256, T * 4>>>(q, k, v, doc_start, out, lse, T, H, KV, D, W, scale);
    CHECK(cudaGetLastError());

    // The rows to check: all of a small case, else the edges and random ones.
    std::vector<int> rows[2];
    for (int side = 0; side < 2; side++) {
        const int total = (side ? H : KV) * T;
        if (!c.time) for (int i = 0; i < total; i++) rows[side].push_back(i);
        else {
            for (int i : {0, 63, 64, T - 1, T, c.document - 1, c.document, total - T, total - 1}) if (i >= 0 && i < total) rows[side].push_back(i);
            srand(T + side); for (int i = 0; i < 100; i++) rows[side].push_back((int)((unsigned)(rand() * 32768u + rand()) % total));
        }
    }
    const Reference reference{q, k, v, out, d_out, lse, doc_start, T, H, KV, D, W, scale};
    std::vector<float> want[3];   // dq, dk, dv
    {
        Buffer<int> key_rows(rows[0].size()), query_rows(rows[1].size()); key_rows.write(rows[0]); query_rows.write(rows[1]);
        Buffer<float> w_k(rows[0].size() * D), w_v(rows[0].size() * D), w_q(rows[1].size() * D);
        reference_keys<<<rows[0].size(), 256>>>(reference, key_rows, w_k, w_v); reference_queries<<<rows[1].size(), 256>>>(reference, query_rows, w_q);
        CHECK(cudaDeviceSynchronize());
        want[0] = w_q.read(); want[1] = w_k.read(); want[2] = w_v.read();
    }
    const CUtensorMap q_map = heads_map(q, D, H, T), k_map = heads_map(k, D, KV, T), v_map = heads_map(v, D, KV, T), d_out_map = heads_map(d_out, D, H, T);
    const CUtensorMap d_q_map = heads_map(d_q, D, H, T), d_k_map = heads_map(d_k, D, KV, T), d_v_map = heads_map(d_v, D, KV, T);
    const AttentionShape shape{doc_start, T, T, H, KV, W, scale};
    const auto run_statistics = [&] { statistics_kernel<<<dim3(attention_backward::statistics_rows(T) / S::TOKENS, (H + S::HEADS - 1) / S::HEADS), S::THREADS, S::SHARED>>>(out, d_out, lse, statistics, shape); };
    const auto run_keys = [&] { keys_kernel<<<dim3(KV, (T + K::KEYS - 1) / K::KEYS), K::THREADS, sizeof(typename K::Shared)>>>(q_map, k_map, v_map, d_out_map, d_k_map, d_v_map, statistics, shape); };
    const auto run_queries = [&](cudaStream_t stream = 0) { queries_kernel<<<dim3(H, (T + Q::QUERIES - 1) / Q::QUERIES), Q::THREADS, sizeof(typename Q::Shared), stream>>>(q_map, k_map, v_map, d_out_map, d_q_map, statistics, shape); };
    const auto whole = [&] { run_statistics(); run_keys(); run_queries(); };
    const auto fresh = [&] {
        statistics.poison(); for (auto* b : {&d_q, &d_k, &d_v}) b->poison();
        whole(); CHECK(cudaDeviceSynchronize());
        return std::array<Fingerprint, 3>{fingerprint(d_q), fingerprint(d_k), fingerprint(d_v)};
    };
    const auto once = fresh(), again = fresh(); const auto holes = once[0].nans + once[1].nans + once[2].nans;
    const auto error = [&](const Buffer<Bf16>& got, const std::vector<int>& at, const std::vector<float>& expected) {
        if (at.size() * D == got.size) return difference(got.read(), expected);
        std::vector<Bf16> some;
        for (int row : at) { const auto one = got.read((size_t)row * D, D); some.insert(some.end(), one.begin(), one.end()); }
        return difference(some, expected);
    };
    const double e_q = error(d_q, rows[1], want[0]), e_k = error(d_k, rows[0], want[1]), e_v = error(d_v, rows[0], want[2]);
    printf("%-5s D %d, T %d, heads %d on %d, window %d, documents of %d: dq %.1e, dk %.1e, dv %.1e, repeat %s, NaN %llu\n", verdict(once == again && !holes && e_q < 1e-5 && e_k < 1e-5 && e_v < 1e-5),
           D, T, H, KV, W, c.document, e_q, e_k, e_v, once == again ? "equal" : "DIFFERS", holes);
    fflush(stdout);
    if (!c.time) return;

    // Two streams: the blocks of queries fill what the last blocks of keys leave idle.
    cudaStream_t other; cudaEvent_t fork, join; CHECK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking)); CHECK(cudaEventCreate(&fork)); CHECK(cudaEventCreate(&join));
    const auto beside = [&] {
        run_statistics(); CHECK(cudaEventRecord(fork)); CHECK(cudaStreamWaitEvent(other, fork)); run_keys();
        run_queries(other); CHECK(cudaEventRecord(join, other)); CHECK(cudaStreamWaitEvent(0, join));
    };
    const double product = 2 * pairs * H * D / 1e9;
    const auto time = [&](const char* name, int products, auto f) {
        const float ms = median_ms([&](int) { f(); }); printf("      %-12s %.3f ms", name, ms);
        if (products) printf(", %.0f TFLOP/s", products * product / ms);
        printf("\n"); fflush(stdout);
    };
    time("statistics", 0, run_statistics); time("keys", 4, run_keys); time("queries", 3, [&] { run_queries(); });
    time("one stream", 5, whole); time("two streams", 5, beside);      // a gradient needs five products; two of the seven are done again
    CHECK(cudaStreamDestroy(other)); CHECK(cudaEventDestroy(fork)); CHECK(cudaEventDestroy(join));
}

#define CHECK_HEADS(D, ...) check<D>(attention_backward_statistics_##D, attention_backward_keys_##D, attention_backward_queries_##D, __VA_ARGS__)

int main(int count, char** names) {
    for (const Case& c : std::vector<Case>{{192, 2, 1, 192, 1000, false}, {333, 4, 2, 100, 41, false}, {1000, 8, 2, 300, 450, false}}) {
        CHECK_HEADS(64, c); CHECK_HEADS(80, c); CHECK_HEADS(96, c); CHECK_HEADS(120, c); CHECK_HEADS(128, c);
    }
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    for (int T : {2048, 16384}) for (int window : {4096, 16384}) for (int document : {1500, 2048, 1 << 20}) {
        if ((window > 4096 && std::min(T, document) <= 4096) || document == T) continue;      // the same pairs as in another case
        CHECK_HEADS(80, {T, 32, 8, window, document, true});
    }
    const Case one{16384, 32, 8, 4096, 1 << 20, true};
    CHECK_HEADS(64, one); CHECK_HEADS(96, one); CHECK_HEADS(120, one); CHECK_HEADS(128, one);
    return failures;
}
