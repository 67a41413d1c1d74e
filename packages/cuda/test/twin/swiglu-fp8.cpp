// The gated activation between fp8 products on the CPU twin, against plain loops.
#include "../../kernels/fp8/swiglu-fp8.cu"

#include "fp8.h"

using swiglu_fp8::BACKWARD_SHARED, swiglu_fp8::BACKWARD_THREADS, swiglu_fp8::FORWARD_THREADS;

/// What is asked for of each: copies and magnitudes of h and of the gradients.
struct Case { int tokens, F; float scale; bool h_q, q, t, h_t, amax = true, has_nan = false; };

void check(const Case& c) {
    const auto [tokens, F, scale, h_q, q, t, h_t, amax, has_nan] = c;
    auto gate_up = normal_bf16((size_t)tokens * 2 * F, 2); const auto d_h = normal_bf16((size_t)tokens * F); const float h_scale = 3 * scale;
    if (has_nan) gate_up[(size_t)tokens / 2 * 2 * F + F / 2] = __float2bfloat16(NAN);
    std::vector<double> h((size_t)tokens * F), d((size_t)tokens * 2 * F);
    for (int r = 0; r < tokens; r++) for (int k = 0; k < F; k++) {
        const double g = value(gate_up[(size_t)r * 2 * F + k]), u = value(gate_up[(size_t)r * 2 * F + F + k]), y = value(d_h[(size_t)r * F + k]), on = 1 / (1 + exp(-g));
        h[(size_t)r * F + k] = g * on * u;
        d[(size_t)r * 2 * F + k] = y * u * on * (1 + g * (1 - on)); d[(size_t)r * 2 * F + F + k] = y * g * on;
    }
    const std::string name = std::to_string(tokens) + " x " + std::to_string(F) + (has_nan ? ", a NaN" : ""); std::string text;
    const auto factor = [&](const float& of) { return scale == 1 ? nullptr : &of; };

    Results<Fp8::e4m3> forward(tokens, F, scale == 1 ? 1 : h_scale, h_q, false, amax), forward_again = forward;
    for (auto* r : {&forward, &forward_again}) twin::launch({tokens, 1, 1}, FORWARD_THREADS, 1, 0, [&] { swiglu_fp8_forward(gate_up.data(), r->rowwise(), r->top(), factor(r->scale), tokens, F); });
    const long wrong = forward.wrong(h, 2e-6, text) + !(forward == forward_again);
    say("swiglu_fp8_forward " + name + forward.wanted(), wrong, text);

    Results<Fp8::e5m2> gradients(tokens, 2 * F, scale, q, t, amax), gradients_again = gradients;
    Results<Fp8::e4m3> copy(tokens, F, scale == 1 ? 1 : h_scale, false, h_t, false), copy_again = copy;
    for (const auto& [r, o] : {std::pair(&gradients, &copy), std::pair(&gradients_again, &copy_again)}) twin::launch({tiles(tokens) * tiles(F), 1, 1}, BACKWARD_THREADS, 1, BACKWARD_SHARED, [&, r = r, o = o] {
        swiglu_fp8_backward(d_h.data(), gate_up.data(), r->rowwise(), r->transposed(), r->top(), factor(r->scale), o->transposed(), factor(o->scale), tokens, F, r->stride); });
    long wrong_d = gradients.wrong(d, 1e-5, text, 1e-7) + !(gradients == gradients_again);
    say("swiglu_fp8_backward " + name + gradients.wanted(), wrong_d, text);
    long wrong_h = copy.wrong(h, 2e-6, text) + !(copy == copy_again);
    // What the forward pass multiplied and what its gradient is multiplied by are the same numbers.
    if (h_q && h_t) for (int r = 0; r < tokens; r++) for (int k = 0; k < F; k++) wrong_h += copy.t[(size_t)k * copy.stride + r] != forward.q[(size_t)r * F + k];
    say("swiglu_fp8_backward " + name + ", h" + copy.wanted(), wrong_h, text);
}

int main() {
    check({1, 8, 1, true, true, true, true});
    check({300, 272, 30, true, true, true, true});
    check({150, 1104, 30, true, false, true, true});
    check({133, 128, 30, true, true, false, false, false});
    check({65, 400, 0.01f, false, false, false, true});
    check({129, 144, 5, false, false, true, false, true, true});
    check({20, 32, 5, true, true, false, true, true, true});
    return failures;
}
