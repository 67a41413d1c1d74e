// Rotary position embedding of heads in rows on the CPU twin, against plain loops.
#include "../../kernels/fused/rope.cu"

#include "plain.h"

void turn(float* y, const float* x, const float* table, const int* positions, int* fault, int rows, int H, int D, int P, int inverse) { rope_f32(y, x, table, positions, fault, rows, H, D, P, inverse); }
void turn(Bf16* y, const Bf16* x, const float* table, const int* positions, int* fault, int rows, int H, int D, int P, int inverse) { rope_bf16(y, x, table, positions, fault, rows, H, D, P, inverse); }

template <class T> void check(int rows, int H, int D, int P, int inverse, int bad = -1) {
    const auto x = normal<T>((size_t)rows * H * D); const auto table = normal<float>((size_t)P * D); std::vector<int> positions(rows);
    for (int& p : positions) p = random_bits() % P;
    if (bad >= 0) positions[rows / 2] = bad;
    Poisoned<T> y(x.size()); int fault[4] = {};
    twin::launch({(rows + 3) / 4, 1, 1}, 256, 1, 0, [&] { turn(y.data(), x.data(), table.data(), positions.data(), fault, rows, H, D, P, inverse); });
    const long wrong = y.wrong([&](size_t i) {
        const int row = i / (H * D), c = i % D, half = D / 2, other = c < half ? c + half : c - half;
        if (positions[row] >= P) return (double)float(y.memory[i]);
        const float* angles = &table[(size_t)positions[row] * D]; const double cosine = angles[c % half], sine = angles[half + c % half] * (inverse ? -1 : 1);
        return float(x[i]) * cosine + float(x[i - c + other]) * sine * (c < half ? -1 : 1);
    }, 1e-7, 1e-6);
    const bool reported = bad >= 0 ? fault[0] != 0 && fault[1] == bad && fault[2] == P : fault[0] == 0;
    say(sized("rope", type_name<T>(), {rows, H, D, P, inverse}), wrong + !reported);
}

int main() {
    for (int D : {2, 6, 40, 64, 80, 120}) { check<float>(7, 3, D, 11, D % 4 == 0); check<Bf16>(6, 5, D, 9, D % 4 != 0); }
    check<float>(9, 2, 80, 4, 0, 4); check<Bf16>(9, 2, 6, 4, 0, 77);
    return failures;
}
