// SwiGLU between products in fp8 on a GPU: against plain loops, repeated, and timed.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/fp8/swiglu-fp8.cu"
#include "fp8.cuh"

/// In double: h [tokens, F] and d [tokens, 2F], whose gate columns lie before up columns.
__global__ void reference(const Bf16* d_h, const Bf16* gate_up, float* h, float* d, int tokens, int F) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (size_t)tokens * F; i += (size_t)gridDim.x * blockDim.x) {
        const size_t at = i / F * 2 * F + i % F;
        const double g = __bfloat162float(gate_up[at]), u = __bfloat162float(gate_up[at + F]), y = __bfloat162float(d_h[i]), on = 1 / (1 + exp(-g));
        h[i] = g * on * u; d[at] = y * u * on * (1 + g * (1 - on)); d[at + F] = y * g * on;
    }
}

/// `copies`: the row-major and the transposed copy of the gradients, and the transposed copy of h.
struct Copies { bool q, t, h_t; };
void check(int tokens, int F, float scale, Copies copies, bool time) {
    const double n = (double)tokens * F; Buffer<Bf16> gate_up((size_t)tokens * 2 * F), d_h((size_t)tokens * F); Buffer<float> h((size_t)tokens * F), d((size_t)tokens * 2 * F);
    fill(gate_up, 1, 2); fill(d_h, 2); reference<<<2048, 256>>>(d_h, gate_up, h, d, tokens, F);
    Results<Fp8::e4m3> forward(tokens, F, scale, false, true, false), again(tokens, F, scale, false, false, copies.h_t, false); Results<Fp8::e5m2> gradients(tokens, 2 * F, scale, false, copies.q, copies.t);
    const auto run = [&](int = 0) { swiglu_fp8_forward<<<tokens, swiglu_fp8::FORWARD_THREADS>>>(gate_up, forward.q(), forward.amax(), forward.scale, tokens, F); };
    const bool ok = forward.check(h, 2e-5f, run); line("swiglu_fp8_forward", shape_of(tokens, F) + forward.wanted(), ok, forward.text, time ? n * 5 : 0, run);
    allow_shared(swiglu_fp8_backward, swiglu_fp8::BACKWARD_SHARED);
    const auto back = [&](int = 0) {
        swiglu_fp8_backward<<<tiles(tokens) * tiles(F), swiglu_fp8::BACKWARD_THREADS, swiglu_fp8::BACKWARD_SHARED>>>(d_h, gate_up, gradients.q(), gradients.t(), gradients.amax(), gradients.scale, again.t(), again.scale, tokens, F, gradients.stride); };
    const bool ok_d = gradients.check(d, 2e-4f, back), ok_h = !copies.h_t || again.check(h, 2e-5f, back);
    line("swiglu_fp8_backward", shape_of(tokens, F) + gradients.wanted() + (copies.h_t ? ", h t" : ""), ok_d && ok_h, gradients.text + again.text, time ? n * (6 + 2 * (copies.q + copies.t) + copies.h_t) : 0, back);
}

int main(int count, char** names) {
    check(1, 8, 1, {true, true, true}, false); check(300, 272, 30, {true, true, true}, false); check(700, 144, 30, {false, true, true}, false); check(130, 128, 30, {true, false, false}, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 6912, 30, {true, true, true}, true); check(16384, 6912, 30, {true, false, false}, true);
    return failures;
}
