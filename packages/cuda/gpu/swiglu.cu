// The SwiGLU kernels on a GPU: against plain loops, repeated, and timed, each variant beside the others.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/swiglu.cu"
#include "fp8.cuh"

template <int THREADS, int MIN, int BAND> __global__ void __launch_bounds__(THREADS, MIN) forward_variant(const Bf16* gate_up, Bf16* h, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int tokens, int F, int stride) {
    swiglu_forward_tile<THREADS, BAND>(gate_up, h, q, t, amax, scale, tokens, F, stride);
}
template <int THREADS, int MIN, int BAND, int ROWS = 4> __global__ void __launch_bounds__(THREADS, MIN) backward_variant(const Bf16* d_h, const Bf16* gate_up, Bf16* d, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int tokens, int F, int stride) {
    swiglu_backward_tile<THREADS, BAND, ROWS>(d_h, gate_up, d, q, t, amax, scale, tokens, F, stride);
}
__global__ void reference(const Bf16* d_h, const Bf16* gate_up, float* h, float* d, int tokens, int F) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (size_t)tokens * F; i += (size_t)gridDim.x * blockDim.x) {
        const size_t r = i / F, c = i % F, at = r * 2 * F + c;
        const double g = __bfloat162float(gate_up[at]), u = __bfloat162float(gate_up[at + F]), y = __bfloat162float(d_h[i]), on = 1 / (1 + exp(-g));
        h[i] = g * on * u; d[at] = y * u * on * (1 + g * (1 - on)); d[at + F] = y * g * on;
    }
}
struct Forward { const char* name; decltype(&swiglu_forward) kernel; int threads; };
struct Backward { const char* name; decltype(&swiglu_backward) kernel; int threads; };
const Forward FORWARD[] = {
    {"forward 512 x 2, band 4", swiglu_forward, 512}, {"forward 512 x 2, band 1", forward_variant<512, 2, 1>, 512}, {"forward 512 x 2, band 16", forward_variant<512, 2, 16>, 512}, {"forward 256 x 3, band 4", forward_variant<256, 3, 4>, 256}, {"forward 256 x 4, band 4", forward_variant<256, 4, 4>, 256}};
const Backward BACKWARD[] = {
    {"backward 256 x 2, band 4", swiglu_backward, 256}, {"backward 256 x 2, band 1", backward_variant<256, 2, 1>, 256}, {"backward 512 x 1, band 1", backward_variant<512, 1, 1>, 512},
    {"backward 256 x 3, band 1, 2 rows", backward_variant<256, 3, 1, 2>, 256}, {"backward 256 x 4, band 1, 1 row", backward_variant<256, 4, 1, 1>, 256}, {"backward 512 x 2, band 1, 1 row", backward_variant<512, 2, 1, 1>, 512}};

void check(int tokens, int F, float scale, bool y, bool q, bool t, bool time) {
    Buffer<Bf16> gate_up((size_t)tokens * 2 * F), d_h((size_t)tokens * F); Buffer<float> h((size_t)tokens * F), d((size_t)tokens * 2 * F);
    fill(gate_up, 1, 2); fill(d_h, 2); reference<<<2048, 256>>>(d_h, gate_up, h, d, tokens, F);
    const double n = (double)tokens * F; const int blocks = tiles(tokens) * tiles(F); const std::string shape = shape_of(tokens, F) + (y ? " bf16" : "") + (q ? " q" : "") + (t ? " t" : "");
    {
        Results<Fp8::e4m3> r(tokens, F, scale, y, q, t);
        for (const Forward& v : FORWARD) {
            const auto run = [&](int = 0) { v.kernel<<<blocks, v.threads, SWIGLU_FORWARD_SHARED>>>(gate_up, r.y(), r.q(), r.t(), r.amax, r.scale, tokens, F, r.stride); };
            const bool ok = r.check(h, 2e-5f, run); line(v.name, shape, ok, r.text, time ? n * (4 + 2 * y + q + t) : 0, run);
        }
    }
    Results<Fp8::e5m2> r(tokens, 2 * F, scale, y, q, t);
    for (const Backward& v : BACKWARD) {
        allow_shared(v.kernel, SWIGLU_BACKWARD_SHARED);
        const auto run = [&](int = 0) { v.kernel<<<blocks, v.threads, SWIGLU_BACKWARD_SHARED>>>(d_h, gate_up, r.y(), r.q(), r.t(), r.amax, r.scale, tokens, F, r.stride); };
        const bool ok = r.check(d, 2e-4f, run); line(v.name, shape, ok, r.text, time ? n * (6 + 2 * (2 * y + q + t)) : 0, run);
    }
}

int main(int count, char** names) {
    check(1, 8, 1, true, true, true, false); check(300, 264, 30, true, true, true, false); check(700, 136, 30, false, true, true, false); check(130, 128, 30, true, false, false, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 6912, 30, false, true, true, true); check(16384, 6912, 30, true, false, false, true);
    return failures;
}
