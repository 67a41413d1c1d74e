// The gradient's norm and AdamW on the GPU: right against plain kernels, repeated bit by bit, and timed at Danube's sizes.
//
//   adamw [--small]     --small: the cases for compute-sanitizer
#include "common.cuh"
#include "../kernels/updates/gradient-norm.cu"
#include "../kernels/updates/adamw.cu"

using H = __nv_bfloat16;
constexpr double PEAK = 4277;     // GB/s of a plain copy
static void timed(const char* name, const char* shape, double bytes, float ms) { printf("%-34s %-38s %8.4f ms %6.0f GB/s %5.1f %%\n", name, shape, ms, bytes / ms / 1e6, bytes / ms / 1e4 / PEAK); fflush(stdout); }
static void checked(const char* name, const char* shape, double difference, bool same, bool ok) { printf("%-34s %-38s difference %.1e%s %s\n", name, shape, difference, same ? "" : " REPEAT DIFFERS", verdict(ok && same)); fflush(stdout); }

// ---- Norm

template <int LOADS, int ROUNDS> __global__ void __launch_bounds__(gradient_norm::THREADS) squares(double* sums, const __grid_constant__ gradient_norm::Gradients gradients) { gradient_norm::Squares<LOADS, ROUNDS>::run(sums, gradients); }
__global__ void plain_squares(double* sums, const float* g, size_t n) {
    double sum = 0;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) sum += (double)g[i] * g[i];
    sums[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
/// The norm of gradients of these sizes, which lie one after another, each from a multiple of 16 bytes.
template <int LOADS, int ROUNDS> void norm(std::vector<size_t> sizes, bool time) {
    using S = gradient_norm::Squares<LOADS, ROUNDS>;
    gradient_norm::Gradients table{}; size_t n = 0, blocks = 0;
    for (size_t size : sizes) n += (size + 3) / 4 * 4;
    Buffer<float> g(n), out(3); Buffer<double> plain(256 * 128);
    size_t at = 0, all = 0; CHECK(cudaMemset(g, 0, n * 4));
    for (size_t size : sizes) {
        table.at[table.count++] = {g + at, size, (unsigned)blocks};
        fill_normal<<<2048, 256>>>(g + at, size, table.count, 0.01f); at += (size + 3) / 4 * 4; all += size; blocks += (size + S::CHUNK - 1) / S::CHUNK;
    }
    Buffer<double> sums(blocks); sums.poison();
    // out: sum of squares, norm, factor
    const auto launch = [&](int) {
        CHECK(cudaMemsetAsync(out.data, 0, 4));
        squares<LOADS, ROUNDS><<<blocks, gradient_norm::THREADS>>>(sums, table); gradient_norm_sum<<<1, gradient_norm::FINAL_THREADS>>>(out, sums, blocks); gradient_norm_scale<<<1, 1>>>(out + 2, out + 1, out, 1);
    };
    launch(0); const auto once = out.read(); out.poison(); launch(0); const auto twice = out.read();
    plain_squares<<<256, 128>>>(plain, g, n); double want = 0; for (double x : plain.read()) want += x; want = sqrt(want);
    const double off = std::max(fabs(once[1] / want - 1), fabs(once[2] / std::min(1.0, 1 / (want + 1e-6)) - 1));
    char name[64], shape[64]; snprintf(name, sizeof name, "gradient norm <%d, %d>", LOADS, ROUNDS); snprintf(shape, sizeof shape, "n %zu of %zu, %zu blocks", all, sizes.size(), blocks);
    checked(name, shape, off, once == twice, off < 1e-6);
    if (time) timed(name, shape, 4.0 * all, median_ms(launch));
}

// ---- AdamW

constexpr float DECAY = 1 - 1e-3f;
static const AdamWScalars scalars{0.1f, 0.95f, 0.05f, 1e-8f, 1e-2f / 0.41f, 0.47f};     // rate 1e-2, decay 0.1, step 5
__global__ void plain_adamw(float* p, float* m, float* v, const float* g, AdamWScalars s, float scale, size_t n) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        const double x = (double)g[i] * scale, a = m[i] + (x - m[i]) * s.beta1_complement, b = v[i] * (double)s.beta2 + x * x * s.beta2_complement;
        p[i] = p[i] * (double)DECAY - a / (sqrt(b) / s.root_bias2 + s.eps) * s.step_size;
        m[i] = a; v[i] = b;
    }
}
/// Counts copies that are not those of p, which is the rows from `first` on of a matrix in fp8 of `stride` rows.
__global__ void plain_copies(const float* p, const H* bf16, const uint8_t* q, const uint8_t* t, const float* factor, int rows, int columns, int first, int stride, unsigned long long* wrong) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (size_t)rows * columns; i += (size_t)gridDim.x * blockDim.x) {
        if (bf16 && __bfloat16_as_ushort(bf16[i]) != __bfloat16_as_ushort(__float2bfloat16(p[i]))) atomicAdd(wrong, 1);
        if (!q) continue;
        const size_t row = i / columns + first, column = i % columns; const uint8_t want = __nv_cvt_float_to_fp8(p[i] * *factor, __NV_SATFINITE, __NV_E4M3);
        if (q[row * columns + column] != want || t[column * stride + row] != want) atomicAdd(wrong, 1);
    }
}
__global__ void absolute(float* v, size_t n) { for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) v[i] = fabsf(v[i]); }

struct State {
    Buffer<float> p, m, v, g, scale{1}; Buffer<H> bf16;
    State(size_t n, float factor) : p(n), m(n), v(n), g(n), bf16(n) { scale.write({factor}); reset(); }
    void reset() { fill(p, 1, 0.02f); fill(m, 2, 0.01f); fill(v, 3, 1e-4f); absolute<<<1024, 256>>>(v, v.size); fill(g, 4, 0.01f); bf16.poison(); }
};
/// Compares p, m and v with a plain step from the same start, over the first and the last million.
double against_plain(const State& s) {
    const size_t n = s.p.size, part = std::min<size_t>(n, 1 << 20); const float scale = s.scale.read()[0]; State plain(n, scale);
    if (std::isfinite(scale)) plain_adamw<<<1024, 256>>>(plain.p, plain.m, plain.v, plain.g, scalars, scale, n);
    double worst = 0;
    for (size_t first : {(size_t)0, n - part})
        for (auto [a, b] : {std::pair<const Buffer<float>*, const Buffer<float>*>{&s.p, &plain.p}, {&s.m, &plain.m}, {&s.v, &plain.v}}) worst = std::max(worst, difference(a->read(first, part), b->read(first, part)));
    return worst;
}
unsigned long long wrong_copies(const State& s, bool bf16, const uint8_t* q, const uint8_t* t, const float* factor, int rows, int columns, int first, int stride) {
    Buffer<unsigned long long> bad(1); bad.write({0});
    plain_copies<<<1024, 256>>>(s.p, bf16 ? s.bf16.data : nullptr, q, t, factor, rows, columns, first, stride, bad); CHECK(cudaGetLastError());
    return bad.read()[0];
}


/// Parameters in one launch.
void flat_case(std::vector<size_t> sizes, float scale, bool bf16, bool time) {
    std::vector<std::unique_ptr<State>> states; adamw::Flats table{}; size_t blocks = 0, all = 0;
    for (size_t n : sizes) {
        State& s = *states.emplace_back(std::make_unique<State>(n, scale));
        table.at[table.count++] = {s.p, s.m, s.v, s.g, bf16 ? s.bf16.data : nullptr, n, DECAY, (unsigned)blocks};
        blocks += (n + 1023) / 1024; all += n;
    }
    const auto launch = [&](int) { adamw_flat<<<blocks, adamw::THREADS>>>(table, states[0]->scale, scalars); };
    launch(0); CHECK(cudaDeviceSynchronize());
    double off = 0; unsigned long long wrong = 0; std::vector<Fingerprint> prints;
    for (const auto& s : states) { off = std::max(off, against_plain(*s)); wrong += wrong_copies(*s, bf16, nullptr, nullptr, nullptr, 1, s->p.size, 0, 0); prints.push_back(fingerprint(s->p)); s->reset(); }
    launch(0); CHECK(cudaDeviceSynchronize());
    bool same = true; for (size_t i = 0; i < states.size(); i++) same &= fingerprint(states[i]->p) == prints[i];
    char shape[64]; snprintf(shape, sizeof shape, "n %zu of %zu, scale %g%s", all, sizes.size(), scale, bf16 ? ", bf16" : "");
    checked("adamw flat", shape, off, same, off < 1e-12 && wrong == 0);
    if (time) timed("adamw flat", shape, (bf16 ? 30.0 : 28.0) * all, median_ms(launch));
}

/// A matrix, in the rows from `first` on of one of `stride` rows in fp8.
struct MatrixShape { int rows, columns, first, stride; };
struct MatrixState : State {
    MatrixShape shape; Buffer<uint8_t> q, t; Buffer<float> factor{1}; Buffer<unsigned> amax{1};
    MatrixState(MatrixShape shape, float scale) : State((size_t)shape.rows * shape.columns, scale), shape(shape), q((size_t)shape.stride * shape.columns), t(q.size) { factor.write({3000}); amax.write({0}); q.poison(); t.poison(); }
    unsigned long long wrong(bool bf16) const {
        auto bad = wrong_copies(*this, bf16, q, t, factor, shape.rows, shape.columns, shape.first, shape.stride);
        float top = 0; for (float x : p.read()) top = std::max(top, fabsf(x));
        bad += memcmp(&top, amax.read().data(), 4) != 0;
        for (const auto& copy : {q.read(), t.read()}) bad += std::count(copy.begin(), copy.end(), 0xFF) != (long)(shape.stride - shape.rows) * shape.columns;    // beside the parameter's rows nothing is written
        return bad;
    }
};
/// Matrices in one launch.
void matrix_case(const char* what, std::vector<MatrixShape> shapes, float scale, bool bf16, bool time) {
    std::vector<std::unique_ptr<MatrixState>> states; adamw::Matrices table{}; size_t blocks = 0, all = 0;
    for (const MatrixShape& shape : shapes) {
        MatrixState& s = *states.emplace_back(std::make_unique<MatrixState>(shape, scale)); const auto [rows, columns, first, stride] = shape;
        table.at[table.count++] = {s.p, s.m, s.v, s.g, bf16 ? s.bf16.data : nullptr, s.q + (size_t)first * columns, s.t + first, s.amax, s.factor, DECAY, (unsigned)blocks, rows, columns, stride};
        blocks += (rows + 127) / 128 * ((columns + 127) / 128); all += (size_t)rows * columns;
    }
    const auto launch = [&](int) { adamw_matrix<<<blocks, adamw::THREADS>>>(table, states[0]->scale, scalars); };
    launch(0); CHECK(cudaDeviceSynchronize());
    double off = 0; unsigned long long wrong = 0; std::vector<Fingerprint> prints;
    for (const auto& s : states) { off = std::max(off, against_plain(*s)); wrong += s->wrong(bf16); prints.push_back(fingerprint(s->p)); s->reset(); }
    launch(0); CHECK(cudaDeviceSynchronize());
    bool same = true; for (size_t i = 0; i < states.size(); i++) same &= fingerprint(states[i]->p) == prints[i];
    char shape[64]; snprintf(shape, sizeof shape, "%s, scale %g%s", what, scale, bf16 ? ", bf16" : "");
    checked("adamw matrices", shape, off, same, off < 1e-12 && wrong == 0);
    if (time) timed("adamw matrices", shape, (bf16 ? 32.0 : 30.0) * all, median_ms(launch));
}

/// Weights of a layer of danube-1.8b: query, key, value; output; gate, up; down.
static const MatrixShape LAYER[] = {{2560, 2560, 0, 3840}, {640, 2560, 2560, 3840}, {640, 2560, 3200, 3840}, {2560, 2560, 0, 2560}, {6912, 2560, 0, 13824}, {6912, 2560, 6912, 13824}, {2560, 6912, 0, 2560}};
constexpr int LAYERS = 3;     // 4.5 GB

int main(int count, char** words) {
    norm<8, 8>({1000003}, false); norm<4, 16>({5}, false); norm<8, 8>({70001, 3, 65536, 200000, 1}, false);
    flat_case({100004}, 1, true, false); flat_case({4097, 3, 100000, 1024, 1}, NAN, true, false); flat_case({33, 1025, 50000}, 0.5f, false, false); flat_case(std::vector<size_t>(64, 1500), 2, true, false);
    matrix_case("144 x 272, 16 x 400, 128 x 128", {{144, 272, 16, 192}, {16, 400, 48, 64}, {128, 128, 0, 128}}, 0.5f, true, false);
    matrix_case("128 x 128, 400 x 48", {{128, 128, 0, 128}, {400, 48, 0, 400}}, NAN, true, false); matrix_case("16 x 400", {{16, 400, 48, 64}}, 2, false, false);
    if (count > 1 && !strcmp(words[1], "--small")) return failures;
    const size_t n = 600'000'000;
    norm<8, 8>({n}, true); norm<4, 16>({n}, true); norm<4, 4>({n}, true); norm<16, 4>({n}, true); norm<8, 2>({n}, true);
    std::vector<MatrixShape> layers; std::vector<size_t> gradients;
    for (int i = 0; i < LAYERS; i++) layers.insert(layers.end(), std::begin(LAYER), std::end(LAYER));
    for (int i = 0; i < 9; i++) for (const MatrixShape& shape : LAYER) gradients.push_back((size_t)shape.rows * shape.columns);
    norm<8, 8>(gradients, true);
    for (bool bf16 : {true, false}) flat_case({163'840'000}, 0.7f, bf16, true);
    for (bool bf16 : {false, true}) {
        for (const auto& [name, shape] : {std::pair<const char*, MatrixShape>{"2560 x 2560", LAYER[0]}, {"640 x 2560", LAYER[1]}, {"6912 x 2560", LAYER[5]}, {"2560 x 6912", LAYER[6]}}) matrix_case(name, {shape}, 0.7f, bf16, true);
        matrix_case("matrices of three layers", layers, 0.7f, bf16, true);
    }
    return failures;
}
