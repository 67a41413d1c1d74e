// The rotary embedding kernels on a GPU: against plain loops, repeated, and timed, each variant beside the others.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/rope.cu"
#include "fp8.cuh"

constexpr int D = rope::D;
template <int TOKENS, int MIN, int HEADS, int UNROLL> __global__ void __launch_bounds__(TOKENS * 10, MIN) forward_variant(const Bf16* qkv, const int* positions, const float* table, Bf16* q, Bf16* k, Bf16* v, int tokens, int heads, int kv_heads) {
    rope_forward_heads<TOKENS, HEADS, UNROLL>(qkv, positions, table, q, k, v, tokens, heads, kv_heads);
}
template <int TOKENS, int MIN, int HEADS, int UNROLL> __global__ void __launch_bounds__(TOKENS * 5, MIN) pairs_variant(const Bf16* qkv, const int* positions, const float* table, Bf16* q, Bf16* k, Bf16* v, int tokens, int heads, int kv_heads) {
    rope_forward_pairs<TOKENS, HEADS, UNROLL>(qkv, positions, table, q, k, v, tokens, heads, kv_heads);
}
template <int THREADS, int MIN, int HEADS, int UNROLL> __global__ void __launch_bounds__(THREADS, MIN) backward_variant(const Bf16* d_q, const Bf16* d_k, const Bf16* d_v, const int* positions, const float* table,
                                                                                                  Bf16* d, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int tokens, int heads, int kv_heads, int stride) {
    rope_backward_heads<THREADS, HEADS, UNROLL>(d_q, d_k, d_v, positions, table, d, q, t, amax, scale, tokens, heads, kv_heads, stride);
}
/// Channel i of a token's head turned forward (1) or back (−1), from a row-major or a head-major matrix.
__global__ void reference(const Bf16* row_major, const Bf16* q, const Bf16* k, const Bf16* v, const int* positions, const float* table, float* out, int tokens, int heads, int kv_heads, float direction) {
    const int all = heads + 2 * kv_heads;
    for (size_t e = blockIdx.x * (size_t)blockDim.x + threadIdx.x; e < (size_t)tokens * all * D; e += (size_t)gridDim.x * blockDim.x) {
        const size_t token = e / (all * D); const int h = e / D % all, i = e % D, other = i < 40 ? i + 40 : i - 40;
        const Bf16* at = row_major ? row_major + e - i : (h < heads ? q + h * (size_t)tokens * D : h < heads + kv_heads ? k + (h - heads) * (size_t)tokens * D : v + (h - heads - kv_heads) * (size_t)tokens * D) + token * D;
        const float x = __bfloat162float(at[i]), y = __bfloat162float(at[other]), c = table[(size_t)positions[token] * D + i % 40], s = table[(size_t)positions[token] * D + 40 + i % 40] * direction;
        out[e] = h >= heads + kv_heads ? x : i < 40 ? x * c - y * s : x * c + y * s;
    }
}
__global__ void count_heads(const float* want, const Bf16* q, const Bf16* k, const Bf16* v, int tokens, int heads, int kv_heads, unsigned* wrong) {
    const int all = heads + 2 * kv_heads;
    for (size_t e = blockIdx.x * (size_t)blockDim.x + threadIdx.x; e < (size_t)tokens * all * D; e += (size_t)gridDim.x * blockDim.x) {
        const size_t token = e / (all * D); const int h = e / D % all;
        const Bf16* at = (h < heads ? q + h * (size_t)tokens * D : h < heads + kv_heads ? k + (h - heads) * (size_t)tokens * D : v + (h - heads - kv_heads) * (size_t)tokens * D) + token * D;
        if (!(fabsf(__bfloat162float(at[e % D]) - want[e]) <= fabsf(want[e]) / 250 + 1e-5f)) atomicAdd(wrong, 1);
    }
}
struct Forward { const char* name; decltype(&rope_forward) kernel; int tokens, heads, threads; };
struct Backward { const char* name; decltype(&rope_backward) kernel; int heads, threads; };
const Forward FORWARD[] = {
    {"forward 32 tokens x 8 heads, by 4", rope_forward, 32, 8, 320}, {"forward 16 tokens x 8 heads, by 4", forward_variant<16, 6, 8, 4>, 16, 8, 160}, {"forward 16 tokens x 4 heads, by 4", forward_variant<16, 5, 4, 4>, 16, 4, 160}, {"forward 32 tokens x 8 heads, by 2", forward_variant<32, 4, 8, 2>, 32, 8, 320},
    {"pairs 32 tokens x 8 heads, by 4", pairs_variant<32, 6, 8, 4>, 32, 8, 160}, {"pairs 32 tokens x 8 heads, by 2", pairs_variant<32, 7, 8, 2>, 32, 8, 160}, {"pairs 64 tokens x 4 heads, by 4", pairs_variant<64, 3, 4, 4>, 64, 4, 320}, {"pairs 32 tokens x 8 heads, by 8", pairs_variant<32, 4, 8, 8>, 32, 8, 160}};
const Backward BACKWARD[] = {{"backward 4 heads by 4, 320 x 2", rope_backward, 4, 320}, {"backward 8 heads by 2, 320 x 2", backward_variant<320, 2, 8, 2>, 8, 320}, {"backward 4 heads by 4, 160 x 3", backward_variant<160, 3, 4, 4>, 4, 160},
    {"backward 4 heads by 2, 320 x 2", backward_variant<320, 2, 4, 2>, 4, 320}, {"backward 8 heads by 2, 640 x 1", backward_variant<640, 1, 8, 2>, 8, 640}, {"backward 2 heads by 2, 320 x 2", backward_variant<320, 2, 2, 2>, 2, 320}};

void check(int tokens, int heads, int kv_heads, float scale, bool y, bool with_q, bool with_t, bool time) {
    const int all = heads + 2 * kv_heads, columns = all * D, places = std::max(tokens, 5000); const size_t n = (size_t)tokens * columns;
    std::vector<float> angles((size_t)places * D); std::vector<int> at(tokens);
    for (int p = 0; p < places; p++) for (int i = 0; i < 40; i++) { const float a = p * powf(10000, -2.f * i / D); angles[(size_t)p * D + i] = cosf(a); angles[(size_t)p * D + 40 + i] = sinf(a); }
    for (int i = 0; i < tokens; i++) at[i] = i % 2048;
    Buffer<float> table(angles.size()), want(n); table.write(angles); Buffer<int> positions(tokens); positions.write(at);
    Buffer<Bf16> in(2 * n), out_q((size_t)heads * tokens * D), out_k((size_t)kv_heads * tokens * D), out_v((size_t)kv_heads * tokens * D); Buffer<unsigned> wrong(1);
    fill(in, 3); const std::string shape = shape_of(tokens, columns);
    reference<<<2048, 256>>>(in, nullptr, nullptr, nullptr, positions, table, want, tokens, heads, kv_heads, 1.f);
    for (const Forward& f : FORWARD) {
        const auto run = [&](int i = 0) { f.kernel<<<(tokens + f.tokens - 1) / f.tokens * ((all + f.heads - 1) / f.heads), f.threads>>>(in + i % 2 * n, positions, table, out_q, out_k, out_v, tokens, heads, kv_heads); };
        unsigned long long first[3]; bool same = true;
        for (int k = 0; k < 2; k++) {
            out_q.poison(); out_k.poison(); out_v.poison(); run(); const unsigned long long now[3] = {fingerprint(out_q).hash, fingerprint(out_k).hash, fingerprint(out_v).hash};
            for (int j = 0; j < 3; j++) { same = same && (!k || now[j] == first[j]); first[j] = now[j]; }
        }
        wrong.write({0}); count_heads<<<2048, 256>>>(want, out_q, out_k, out_v, tokens, heads, kv_heads, wrong); CHECK(cudaGetLastError());
        const unsigned w = wrong.read()[0]; line(f.name, shape, same && !w, w ? " [" + std::to_string(w) + " differ]" : "", time ? n * 4. : 0, run);
    }
    const Bf16 *d_q = in, *d_k = d_q + (size_t)heads * tokens * D, *d_v = d_k + (size_t)kv_heads * tokens * D;
    reference<<<2048, 256>>>(nullptr, d_q, d_k, d_v, positions, table, want, tokens, heads, kv_heads, -1.f);
    Results<Fp8::e5m2> r(tokens, columns, scale, y, with_q, with_t);
    for (const Backward& b : BACKWARD) {
        const int shared = 128 * ((b.heads * 80 + 127) / 128 * 128) + 128; allow_shared(b.kernel, shared);
        const auto run = [&](int i = 0) { const size_t o = i % 2 * n; b.kernel<<<tiles(tokens) * ((all + b.heads - 1) / b.heads), b.threads, shared>>>(d_q + o, d_k + o, d_v + o, positions, table, r.y(), r.q(), r.t(), r.amax, r.scale, tokens, heads, kv_heads, r.stride); };
        const bool ok = r.check(want, 1e-3f, run); line(b.name, shape + (y ? " bf16" : "") + (with_q ? " q" : "") + (with_t ? " t" : ""), ok, r.text, time ? n * (2. + 2 * y + with_q + with_t) : 0, run);
    }
}

int main(int count, char** names) {
    check(1, 1, 1, 1, true, true, true, false); check(300, 4, 2, 30, true, true, true, false); check(135, 3, 1, 1e4f, false, true, true, false); check(64, 6, 2, 1, true, false, false, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 32, 8, 1000, false, true, true, true); check(16384, 32, 8, 1000, true, false, false, true);
    return failures;
}
