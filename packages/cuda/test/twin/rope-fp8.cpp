// Gradients of rotary position embedding cast to e5m2 on the CPU twin, against plain loops.
#include "../../kernels/fp8/rope-fp8.cu"

#include "fp8.h"

using rope_fp8::Narrow, rope_fp8::Wide;

/// `bad`: a position of one row that is not in the table; `special`: a NaN among the gradients.
struct Case { int rows, H, D; float scale; bool q, t, amax = true; int pitch = 0; int bad = 0; bool special = false; };

template <class Form> void check_form(const Case& c) {
    constexpr auto* kernel = std::is_same_v<Form, Wide> ? rope_fp8_backward : rope_fp8_backward_narrow;
    constexpr int P = 50; const int columns = c.H * c.D, half = c.D / 2;
    auto g = normal_bf16((size_t)c.rows * columns, 3); std::vector<int> positions(c.rows); std::vector<float> table((size_t)P * c.D); std::vector<double> want;
    if (c.special) g[g.size() / 2] = __float2bfloat16(NAN);
    for (int& p : positions) p = random_bits() % P;
    if (c.bad) positions[c.rows / 2] = c.bad;
    for (int p = 0; p < P; p++) for (int i = 0; i < half; i++) { const double angle = p * std::pow(1e4, -2. * i / c.D); table[(size_t)p * c.D + i] = cos(angle); table[(size_t)p * c.D + half + i] = sin(angle); }
    for (int r = 0; r < c.rows; r++) for (int k = 0; k < columns; k++) {
        const int i = k % half; const bool first = k % c.D < half;
        if (c.bad && r == c.rows / 2) { want.push_back(0); continue; }
        const float* angles = &table[(size_t)positions[r] * c.D]; const Bf16* at = &g[(size_t)r * columns + k];
        want.push_back(value(*at) * (double)angles[i] + value(first ? at[half] : at[-half]) * (double)angles[half + i] * (first ? 1 : -1));
    }
    Results<Fp8::e5m2> first(c.rows, columns, c.scale, c.q, c.t, c.amax, c.pitch), again = first; std::string text; bool reported = true;
    for (auto* r : {&first, &again}) {
        int fault[4] = {};
        const int blocks = (c.rows + Form::ROWS - 1) / Form::ROWS * ((c.H + Form::HEADS - 1) / Form::HEADS), shared = Form::ROWS * rope_fp8::Tile<Form>::pitch_of(c.D) + Form::THREADS / 8;
        twin::launch({blocks, 1, 1}, Form::THREADS, 1, shared, [&] {
            kernel(g.data(), table.data(), positions.data(), fault, r->rowwise(), r->transposed(), r->top(), c.scale == 1 ? nullptr : &r->scale, c.rows, c.H, c.D, P, r->pitch, r->stride); });
        reported = reported && (c.bad ? fault[0] != 0 && fault[1] == c.bad && fault[2] == P : fault[0] == 0);
    }
    const long wrong = first.wrong(want, 2e-7, text, 1e-6) + !(first == again) + !reported;
    say((std::is_same_v<Form, Wide> ? "rope_fp8_backward " : "rope_fp8_backward_narrow ") + std::to_string(c.rows) + " x " + std::to_string(c.H) + " x " + std::to_string(c.D) + ", scale " + std::to_string(c.scale) + first.wanted() + (c.bad ? ", bad position" : "") + (c.special ? ", NaN" : ""), wrong, text);
}
void check(const Case& c) { (c.D % 16 == 0 ? check_form<Wide> : check_form<Narrow>)(c); }

int main() {
    check({1, 2, 8, 1, true, true}); check({150, 5, 80, 60, true, true}); check({300, 4, 64, 400, true, true, true, 512}); check({129, 7, 96, 3e3f, true, true});
    check({40, 6, 120, 60, true, true, false}); check({33, 2, 128, 60, true, true, true, 400}); check({17, 3, 192, 60, true, true}); check({130, 3, 32, 60, false, true});
    check({130, 8, 16, 60, true, false}); check({140, 9, 80, 1, false, false}); check({131, 2, 80, 60, true, true, true, 0, false, true});
    check({150, 2, 80, 60, true, true, true, 0, 50}); check({20, 5, 64, 60, true, true, true, 0, -1}); check({140, 6, 24, 60, true, true, true, 0, 50}); check({131, 2, 24, 60, true, true, true, 0, false, true});
    return failures;
}
