// The SwiGLU kernels on the CPU twin, against plain loops.
#include "../../kernels/swiglu.cu"

#include "fp8.h"

void check(int tokens, int F, float scale, bool bf16, bool q, bool t) {
    const auto gate_up = normal_bf16((size_t)tokens * 2 * F, 2), d_h = normal_bf16((size_t)tokens * F);
    std::vector<double> h((size_t)tokens * F), d((size_t)tokens * 2 * F);
    for (int r = 0; r < tokens; r++) for (int c = 0; c < F; c++) {
        const double g = value(gate_up[(size_t)r * 2 * F + c]), u = value(gate_up[(size_t)r * 2 * F + F + c]), y = value(d_h[(size_t)r * F + c]), on = 1 / (1 + exp(-g));
        h[(size_t)r * F + c] = g * on * u;
        d[(size_t)r * 2 * F + c] = y * u * on * (1 + g * (1 - on)); d[(size_t)r * 2 * F + F + c] = y * g * on;
    }
    const std::string name = std::to_string(tokens) + " x " + std::to_string(F) + (bf16 ? " bf16" : "") + (q ? " q" : "") + (t ? " t" : ""); std::string text;
    Results<Fp8::e4m3> forward(tokens, F, scale, bf16, q, t);
    twin::launch({tiles(tokens) * tiles(F), 1, 1}, 512, 1, SWIGLU_FORWARD_SHARED, [&] {
        swiglu_forward(gate_up.data(), forward.bf16(), forward.rowwise(), forward.transposed(), &forward.amax, &forward.scale, tokens, F, forward.stride); });
    const long wrong = forward.wrong(h, 2e-6, text); say("swiglu_forward " + name, wrong, text);
    Results<Fp8::e5m2> backward(tokens, 2 * F, scale, bf16, q, t);
    twin::launch({tiles(tokens) * tiles(F), 1, 1}, 256, 1, SWIGLU_BACKWARD_SHARED, [&] {
        swiglu_backward(d_h.data(), gate_up.data(), backward.bf16(), backward.rowwise(), backward.transposed(), &backward.amax, &backward.scale, tokens, F, backward.stride); });
    const long wrong_d = backward.wrong(d, 1e-5, text, 1e-7); say("swiglu_backward " + name, wrong_d, text);
}

int main() {
    check(1, 8, 1, true, true, true);
    check(300, 264, 30, true, true, true);
    check(700, 136, 30, false, true, true);
    check(130, 128, 30, true, false, false);
    check(65, 400, 0.01f, false, true, false);
    return failures;
}
