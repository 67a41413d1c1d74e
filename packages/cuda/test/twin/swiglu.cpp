// The gated activation over separate operands on the CPU twin, against plain loops.
#include "../../kernels/fused/swiglu.cu"

#include "plain.h"

void forward(float* h, const float* g, const float* u, size_t n) { swiglu_f32(h, g, u, n); }
void forward(Bf16* h, const Bf16* g, const Bf16* u, size_t n) { swiglu_bf16(h, g, u, n); }
void backward(float* dg, float* du, const float* dh, const float* g, const float* u, size_t n) { swiglu_gradient_f32(dg, du, dh, g, u, n); }
void backward(Bf16* dg, Bf16* du, const Bf16* dh, const Bf16* g, const Bf16* u, size_t n) { swiglu_gradient_bf16(dg, du, dh, g, u, n); }

template <class T> void check(int n) {
    const auto gate = normal<T>(n, 20), up = normal<T>(n), d = normal<T>(n); Poisoned<T> h(n), d_gate(n), d_up(n);
    const auto on = [&](size_t i) { return 1 / (1 + exp(-(double)float(gate[i]))); };
    const auto silu = [&](size_t i) { return float(gate[i]) * on(i); };
    twin::launch({(n + 2047) / 2048, 1, 1}, 256, 1, 0, [&] { forward(h.data(), gate.data(), up.data(), n); });
    twin::launch({(n + 2047) / 2048, 1, 1}, 256, 1, 0, [&] { backward(d_gate.data(), d_up.data(), d.data(), gate.data(), up.data(), n); });
    say(sized("swiglu", type_name<T>(), {n}), h.wrong([&](size_t i) { return silu(i) * float(up[i]); }, 5e-7)
        + d_up.wrong([&](size_t i) { return silu(i) * float(d[i]); }, 5e-7)
        + d_gate.wrong([&](size_t i) { return (double)float(d[i]) * float(up[i]) * on(i) * (1 + float(gate[i]) * (1 - on(i))); }, 5e-7, 2e-6));
}

int main() {
    for (int n : {1, 7, 8, 2048, 5003}) { check<float>(n); check<Bf16>(n); }
    return failures;
}
