// The rotary embedding kernels on the CPU twin, against plain loops.
#include "../../kernels/rope.cu"

#include "fp8.h"

void check(int tokens, int heads, int kv_heads, float scale, bool bf16, bool with_q, bool with_t) {
    constexpr int D = 80, POSITIONS = 1000; const int all = heads + 2 * kv_heads;
    std::vector<float> table(POSITIONS * D); std::vector<int> positions(tokens);
    for (int p = 0; p < POSITIONS; p++) for (int i = 0; i < D / 2; i++) { const float angle = p * powf(10000, -2.f * i / D); table[p * D + i] = cos((double)angle); table[p * D + 40 + i] = sin((double)angle); }
    for (int& p : positions) p = random_bits() % POSITIONS;
    const std::string name = std::to_string(tokens) + " tokens, " + std::to_string(heads) + " + 2 x " + std::to_string(kv_heads) + " heads" + (bf16 ? " bf16" : "") + (with_q ? " q" : "") + (with_t ? " t" : "");
    const auto turn = [&](const auto& at, int token, int h, int i, double direction) {       // channel i of a head turned
        if (h >= heads + kv_heads) return value(at(i));
        const double c = table[positions[token] * D + i % 40], s = table[positions[token] * D + 40 + i % 40] * direction;
        return i < 40 ? value(at(i)) * c - value(at(i + 40)) * s : value(at(i)) * c + value(at(i - 40)) * s;
    };
    const auto part = [&](auto& q, auto& k, auto& v, int h, int token) { return h < heads ? &q[((size_t)h * tokens + token) * D] : h < heads + kv_heads ? &k[((size_t)(h - heads) * tokens + token) * D] : &v[((size_t)(h - heads - kv_heads) * tokens + token) * D]; };
    for (int pairs = 0; pairs < 2; pairs++) {
        const auto qkv = normal_bf16((size_t)tokens * all * D); const size_t n = (size_t)tokens * D; long wrong = 0;
        std::vector<Bf16> q(heads * n + 8, __float2bfloat16(NAN)), k(kv_heads * n + 8, q[0]), v(kv_heads * n + 8, q[0]);
        twin::launch({(tokens + 31) / 32 * ((all + 7) / 8), 1, 1}, pairs ? 160 : 320, 1, 0, [&] { (pairs ? rope_forward_pairs<32, 8, 4> : rope_forward)(qkv.data(), positions.data(), table.data(), q.data(), k.data(), v.data(), tokens, heads, kv_heads); });
        for (int r = 0; r < tokens; r++) for (int h = 0; h < all; h++) for (int i = 0; i < D; i++) {
            const double want = turn([&](int j) { return qkv[((size_t)r * all + h) * D + j]; }, r, h, i, 1), got = value(part(q, k, v, h, r)[i]);
            wrong += !(fabs(got - want) <= fabs(want) / 256 * 1.001 + 1e-6);
        }
        for (auto* x : {&q, &k, &v}) for (int i = 1; i <= 8; i++) wrong += !isnan(value((*x)[x->size() - i]));
        say(std::string(pairs ? "rope_forward_pairs " : "rope_forward ") + name, wrong, std::to_string(wrong) + " differ");
    }
    const auto d_q = normal_bf16((size_t)heads * tokens * D), d_k = normal_bf16((size_t)kv_heads * tokens * D), d_v = normal_bf16((size_t)kv_heads * tokens * D);
    std::vector<double> want((size_t)tokens * all * D); std::string text;
    for (int r = 0; r < tokens; r++) for (int h = 0; h < all; h++) for (int i = 0; i < D; i++) want[((size_t)r * all + h) * D + i] = turn([&](int j) { return part(d_q, d_k, d_v, h, r)[j]; }, r, h, i, -1);
    Results<Fp8::e5m2> result(tokens, all * D, scale, bf16, with_q, with_t);
    twin::launch({tiles(tokens) * ((all + 3) / 4), 1, 1}, 320, 1, rope_backward_shared<4>(), [&] {
        rope_backward(d_q.data(), d_k.data(), d_v.data(), positions.data(), table.data(), result.bf16(), result.rowwise(), result.transposed(), &result.amax, &result.scale, tokens, heads, kv_heads, result.stride); });
    const long wrong = result.wrong(want, 1e-6, text, 1e-6);
    say("rope_backward " + name, wrong, text);
}

int main() {
    check(1, 1, 1, 1, true, true, true);
    check(300, 4, 2, 30, true, true, true);
    check(135, 3, 1, 1e4f, false, true, true);
    check(64, 6, 2, 1, true, false, false);
    check(129, 8, 2, 100, false, true, false);
    return failures;
}
