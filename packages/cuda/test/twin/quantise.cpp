// Casts to fp8, transposed copies and scales on the CPU twin, against plain loops.
#include "../../kernels/quantise.cu"

#include "fp8.h"

template <Fp8 F, class K> void cast_case(const char* name, K kernel, int rows, int columns, float scale, bool with_q, bool with_t, int each = 1) {
    const auto x = normal_bf16((size_t)rows * columns); std::vector<double> want; for (Bf16 v : x) want.push_back(value(v));
    Results<F> r(rows, columns, scale, false, with_q, with_t); std::string text;
    twin::launch({(tiles(rows) * tiles(columns) + each - 1) / each, 1, 1}, 512, 1, QUANTISE_SHARED, [&] { kernel(x.data(), r.rowwise(), r.transposed(), &r.amax, &r.scale, rows, columns, r.stride); });
    const long wrong = r.wrong(want, 0, text);
    say(std::string(name) + " " + std::to_string(rows) + " x " + std::to_string(columns) + ", scale " + std::to_string(scale), wrong, text);
}

int main() {
    cast_case<Fp8::e4m3>("quantise_e4m3", quantise_e4m3, 1, 8, 1, true, true);
    cast_case<Fp8::e4m3>("quantise_e4m3", quantise_e4m3, 300, 264, 60, true, true);
    cast_case<Fp8::e4m3>("quantise_e4m3, saturated", quantise_e4m3, 700, 136, 400, true, true);
    cast_case<Fp8::e4m3>("quantise_e4m3, q alone", quantise_e4m3, 130, 128, 1e-2f, true, false);
    cast_case<Fp8::e5m2>("quantise_e5m2", quantise_e5m2, 257, 400, 3e4f, true, true);
    cast_case<Fp8::e5m2>("quantise_e5m2, t alone", quantise_e5m2, 65, 8, 1e-3f, false, true);
    cast_case<Fp8::e4m3>("quantise, 2 tiles a block", quantise<Fp8::e4m3, 512, 4, 2>, 300, 264, 60, true, true, 2);
    for (const auto [rows, columns] : {std::pair(1, 16), std::pair(300, 144), std::pair(700, 400)}) {
        const int stride = (rows + 15) / 16 * 16; long wrong = 0;
        std::vector<uint8_t> q((size_t)rows * columns), t((size_t)columns * stride, 0xFF); for (auto& b : q) b = random_bits() % 255;
        twin::launch({tiles(rows) * tiles(columns), 1, 1}, 256, 1, QUANTISE_SHARED, [&] { transpose_bytes(q.data(), t.data(), rows, columns, stride); });
        for (int c = 0; c < columns; c++) for (int r = 0; r < stride; r++) wrong += t[(size_t)c * stride + r] != (r < rows ? q[(size_t)r * columns + c] : 0);
        say("transpose_bytes " + std::to_string(rows) + " x " + std::to_string(columns), wrong, std::to_string(wrong) + " differ");
    }
    {   // 300 tensors over 40 steps; tensor 0 never sees a number, tensor 1 sees one that is not finite
        const int n = 300; const float margin = 2; long wrong = 0;
        std::vector<std::vector<float>> seen(n); std::vector<unsigned> amax(n); std::vector<float> history(n * AMAX_HISTORY), limit(n), scale(n, NAN), inverse(n, NAN);
        for (int step = 0; step < 40; step++) {
            for (int i = 0; i < n; i++) {
                const float top = i == 0 ? 0 : i == 1 && step == 7 ? INFINITY : std::exp(std::normal_distribution<float>(0, 3)(random_bits));
                amax[i] = __float_as_uint(top); limit[i] = i % 2 ? 448 : 57344; seen[i].push_back(isinf(top) ? 0 : top);
            }
            twin::launch({(n + 127) / 128, 1, 1}, 128, 1, 0, [&] { update_scales(amax.data(), history.data(), limit.data(), scale.data(), inverse.data(), n, margin); });
            for (int i = 0; i < n; i++) {
                float top = 0; for (int k = std::max(0, step - AMAX_HISTORY + 1); k <= step; k++) top = max(top, seen[i][k]);
                const double want = top > 0 ? limit[i] / ((double)top * margin) : 1;
                wrong += amax[i] != 0 || !(fabs(scale[i] / want - 1) < 1e-6) || !(fabs(inverse[i] * want - 1) < 1e-6);
            }
        }
        say("update_scales, 40 steps of 300 tensors", wrong, std::to_string(wrong) + " differ");
    }
    return failures;
}
