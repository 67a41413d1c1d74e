// SwiGLU on a GPU: against plain loops, repeated, and timed.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/fused/swiglu.cu"
#include "fp8.cuh"

/// In double, of n elements each.
__global__ void reference(const Bf16* d_h, const Bf16* gate, const Bf16* up, float* h, float* d_gate, float* d_up, size_t n) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        const double g = __bfloat162float(gate[i]), u = __bfloat162float(up[i]), y = __bfloat162float(d_h[i]), on = 1 / (1 + exp(-g));
        h[i] = g * on * u; d_gate[i] = y * u * on * (1 + g * (1 - on)); d_up[i] = y * g * on;
    }
}

void check(int tokens, int F, bool time) {
    const size_t n = (size_t)tokens * F; Buffer<Bf16> gate(n), up(n), d_h(n); Buffer<float> h(n), d_gate(n), d_up(n);
    fill(gate, 1, 2); fill(up, 3, 2); fill(d_h, 2); reference<<<2048, 256>>>(d_h, gate, up, h, d_gate, d_up, n);
    Results<Fp8::e4m3> forward(tokens, F, 1, true, false, false, false), of_gate(tokens, F, 1, true, false, false, false), of_up(tokens, F, 1, true, false, false, false); const int blocks = (n + 2047) / 2048;
    const auto run = [&](int = 0) { swiglu_bf16<<<blocks, 256>>>(forward.y(), gate, up, n); };
    const auto back = [&](int = 0) { swiglu_gradient_bf16<<<blocks, 256>>>(of_gate.y(), of_up.y(), d_h, gate, up, n); };
    const bool ok = forward.check(h, 1e-5f, run); line("swiglu_bf16", shape_of(tokens, F), ok, forward.text, time ? n * 6. : 0, run);
    const bool ok_gate = of_gate.check(d_gate, 1e-4f, back), ok_up = of_up.check(d_up, 1e-4f, back);
    line("swiglu_gradient_bf16", shape_of(tokens, F), ok_gate && ok_up, of_gate.text + of_up.text, time ? n * 10. : 0, back);
}

int main(int count, char** names) {
    check(3, 37, false); check(130, 128, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 6912, true);
    return failures;
}
