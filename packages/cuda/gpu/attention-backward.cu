// The attention backward kernels on a GPU: against plain loops, repeated, and timed, one after another and on two streams.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/attention-backward.cu"
#include "common.cuh"

using Bf16 = __nv_bfloat16;
constexpr int D = attention_backward::D;

// ---- Plain reference kernels, one block of 256 a row, f32 products and f64 sums

__device__ bool sees(const int* doc_start, int query, int key, int window) { return doc_start[query] <= key && key <= query && key > query - window; }
__device__ float row_dot(const Bf16* a, const Bf16* b) { float sum = 0; for (int d = 0; d < D; d++) sum += __bfloat162float(a[d]) * __bfloat162float(b[d]); return sum; }

/// Grid: T × heads. T is small: all scores of a row are kept.
__global__ void reference_forward(const Bf16* q, const Bf16* k, const Bf16* v, const int* doc_start, Bf16* out, float* lse, int T, int heads, int kv_heads, int window, float scale) {
    extern __shared__ float p[];
    const int i = blockIdx.x, head = blockIdx.y, kv = head / (heads / kv_heads);
    for (int j = threadIdx.x; j < T; j += 256) p[j] = sees(doc_start, i, j, window) ? expf(row_dot(q + ((size_t)head * T + i) * D, k + ((size_t)kv * T + j) * D) * scale) : 0;
    __syncthreads();
    double total = 0;
    for (int j = 0; j < T; j++) total += p[j];
    if (threadIdx.x == 0) lse[(size_t)head * T + i] = log(total);
    if (threadIdx.x < D) {
        double sum = 0;
        for (int j = 0; j < T; j++) if (p[j]) sum += p[j] / total * __bfloat162float(v[((size_t)kv * T + j) * D + threadIdx.x]);
        out[((size_t)i * heads + head) * D + threadIdx.x] = __float2bfloat16(sum);
    }
}
struct Reference { const Bf16 *q, *k, *v, *out, *d_out; const float* lse; const int* doc_start; int T, heads, kv_heads, window; float scale; };
/// P and dS of one pair.
__device__ float2 reference_pair(const Reference& x, int head, int query, int key) {
    if (!sees(x.doc_start, query, key, x.window)) return {0, 0};
    const int kv = head / (x.heads / x.kv_heads);
    const Bf16* dy = x.d_out + ((size_t)query * x.heads + head) * D;
    const float p = expf(row_dot(x.q + ((size_t)head * x.T + query) * D, x.k + ((size_t)kv * x.T + key) * D) * x.scale - x.lse[(size_t)head * x.T + query]);
    return {p, p * (row_dot(dy, x.v + ((size_t)kv * x.T + key) * D) - row_dot(dy, x.out + ((size_t)query * x.heads + head) * D)) * x.scale};
}
/// rows[blockIdx.x] = kv head · T + key: dk then dv.
__global__ void reference_keys(Reference x, const int* rows, float* d_k, float* d_v) {
    __shared__ float2 pairs[256];
    const int kv = rows[blockIdx.x] / x.T, key = rows[blockIdx.x] % x.T, group = x.heads / x.kv_heads; double sum = 0;
    for (int head = kv * group; head < (kv + 1) * group; head++) for (int i0 = key; i0 < x.T; i0 += 256) {
        __syncthreads();
        pairs[threadIdx.x] = i0 + (int)threadIdx.x < x.T ? reference_pair(x, head, i0 + threadIdx.x, key) : float2{0, 0};
        __syncthreads();
        for (int i = i0; i < min(x.T, i0 + 256); i++) {
            if (threadIdx.x < D) sum += pairs[i - i0].y * __bfloat162float(x.q[((size_t)head * x.T + i) * D + threadIdx.x]);
            else if (threadIdx.x < 2 * D) sum += pairs[i - i0].x * __bfloat162float(x.d_out[((size_t)i * x.heads + head) * D + threadIdx.x - D]);
        }
    }
    if (threadIdx.x < 2 * D) (threadIdx.x < D ? d_k : d_v)[blockIdx.x * D + threadIdx.x % D] = sum;
}
/// rows[blockIdx.x] = head · T + query.
__global__ void reference_queries(Reference x, const int* rows, float* d_q) {
    __shared__ float2 pairs[256];
    const int head = rows[blockIdx.x] / x.T, query = rows[blockIdx.x] % x.T, kv = head / (x.heads / x.kv_heads); double sum = 0;
    for (int j0 = 0; j0 <= query; j0 += 256) {
        __syncthreads();
        pairs[threadIdx.x] = j0 + (int)threadIdx.x < x.T ? reference_pair(x, head, query, j0 + threadIdx.x) : float2{0, 0};
        __syncthreads();
        if (threadIdx.x < D) for (int j = j0; j < min(x.T, j0 + 256); j++) sum += pairs[j - j0].y * __bfloat162float(x.k[((size_t)kv * x.T + j) * D + threadIdx.x]);
    }
    if (threadIdx.x < D) d_q[blockIdx.x * D + threadIdx.x] = sum;
}
/// What lse is like for normal q and k, without a forward pass: the gradient is defined for any lse.
__global__ void likely_lse(float* lse, const int* doc_start, int T, int heads, int window) {
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i < T * heads) { const int row = i % T; lse[i] = logf(row - max(doc_start[row], max(0, row - window + 1)) + 1) + 0.4f + 0.1f * normal_at(i); }
}

// ---- Cases

/// A tensor map of [rows][planes][columns], with boxes of 64 columns × 64 rows of one plane, swizzled by 128 bytes.
CUtensorMap tensor_map_3d(const Bf16* base, uint64_t columns, uint64_t planes, uint64_t rows) {
    CUtensorMap map; const cuuint64_t size[3] = {columns, planes, rows}, strides[2] = {columns * 2, planes * columns * 2};
    const cuuint32_t box[3] = {64, 1, 64}, step[3] = {1, 1, 1};
    const CUresult status = tensor_map_encoder()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, (void*)base, size, strides, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
        CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (status != CUDA_SUCCESS) { printf("tensor map: driver error %d\n", (int)status); exit(1); }
    return map;
}

struct Case { int T, heads, kv_heads, window, document; bool time; };

void check(const Case& c) {
    const int T = c.T, H = c.heads, KV = c.kv_heads, W = c.window; const float scale = 1 / sqrtf(D);
    Buffer<Bf16> q((size_t)H * T * D), k((size_t)KV * T * D), v(k.size), out(q.size), d_out(q.size), d_q(q.size), d_k(k.size), d_v(k.size);
    Buffer<float> lse((size_t)H * T), statistics((size_t)2 * H * attention_backward::statistics_rows(T)); Buffer<int> doc_start(T);
    fill(q, 11 + T); fill(k, 12 + T); fill(v, 13 + T); fill(d_out, 14 + T);
    std::vector<int> documents(T); double pairs = 0;
    for (int i = 0; i < T; i++) { documents[i] = i / c.document * c.document; pairs += i - std::max(documents[i], std::max(0, i - W + 1)) + 1; }
    doc_start.write(documents);
    if (c.time) { fill(out, 15 + T, 0.05f); likely_lse<<<(T * H + 255) / 256, 256>>>(lse, doc_start, T, H, W); }
    else reference_forward<<<dim3(T, H), 256, T * 4>>>(q, k, v, doc_start, out, lse, T, H, KV, W, scale);
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
    const Reference reference{q, k, v, out, d_out, lse, doc_start, T, H, KV, W, scale};
    std::vector<float> want[3];   // dq, dk, dv
    {
        Buffer<int> key_rows(rows[0].size()), query_rows(rows[1].size()); key_rows.write(rows[0]); query_rows.write(rows[1]);
        Buffer<float> w_k(rows[0].size() * D), w_v(rows[0].size() * D), w_q(rows[1].size() * D);
        reference_keys<<<rows[0].size(), 256>>>(reference, key_rows, w_k, w_v); reference_queries<<<rows[1].size(), 256>>>(reference, query_rows, w_q);
        CHECK(cudaDeviceSynchronize());
        want[0] = w_q.read(); want[1] = w_k.read(); want[2] = w_v.read();
    }
    const CUtensorMap q_map = tensor_map(q.data, D, (size_t)H * T, 64, 64), k_map = tensor_map(k.data, D, (size_t)KV * T, 64, 64), v_map = tensor_map(v.data, D, (size_t)KV * T, 64, 64), d_out_map = tensor_map_3d(d_out, D, H, T);
    const auto run_statistics = [&] { attention_backward_statistics<<<dim3(attention_backward::statistics_rows(T) / 16, (H + 3) / 4), attention_backward::DELTA_THREADS, attention_backward::DELTA_SHARED>>>(out, d_out, lse, statistics, T, H); };
    const auto run_keys = [&] {
        using namespace attention_backward::keys;
        attention_backward_keys<<<dim3(KV, (T + KEYS - 1) / KEYS), THREADS, sizeof(Shared)>>>(q_map, k_map, v_map, d_out_map, q, k, v, d_out, statistics, doc_start, d_q, d_k, d_v, T, H, KV, W, scale);
    };
    const auto run_queries = [&](cudaStream_t stream = 0) {
        using namespace attention_backward::queries;
        attention_backward_queries<<<dim3(H, (T + QUERIES - 1) / QUERIES), THREADS, sizeof(Shared), stream>>>(q_map, k_map, v_map, d_out_map, q, k, v, d_out, statistics, doc_start, d_q, d_k, d_v, T, H, KV, W, scale);
    };
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
    printf("%-5s T %d, heads %d on %d, window %d, documents of %d: dq %.1e, dk %.1e, dv %.1e, repeat %s, NaN %llu\n", verdict(once == again && !holes && e_q < 1e-5 && e_k < 1e-5 && e_v < 1e-5),
           T, H, KV, W, c.document, e_q, e_k, e_v, once == again ? "equal" : "DIFFERS", holes);
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

int main(int count, char** names) {
    CHECK(cudaFuncSetAttribute(attention_backward_keys, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(attention_backward::keys::Shared)));
    CHECK(cudaFuncSetAttribute(attention_backward_queries, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(attention_backward::queries::Shared)));
    for (const Case& c : std::vector<Case>{{192, 2, 1, 192, 1000, false}, {256, 2, 1, 64, 100, false}, {333, 4, 2, 100, 41, false}, {450, 2, 2, 450, 130, false}, {1000, 8, 2, 300, 450, false}}) check(c);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    for (int T : {2048, 16384}) for (int window : {4096, 16384}) for (int document : {1500, 2048, 1 << 20}) {
        if ((window > 4096 && std::min(T, document) <= 4096) || document == T) continue;      // the same pairs as in another case
        check({T, 32, 8, window, document, true});
    }
    return failures;
}
