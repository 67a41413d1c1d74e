// Rotary position embedding on a GPU: against plain loops, repeated, and timed.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/fused/rope.cu"
#include "fp8.cuh"
#include "rope.cuh"

void check(int rows, int H, int D, int P, int inverse, bool time) {
    const size_t n = (size_t)rows * H * D; Buffer<Bf16> x(2 * n); Buffer<float> table((size_t)P * D), want(n); Buffer<int> positions(rows), fault(4); std::vector<int> at(rows);
    for (int i = 0; i < rows; i++) at[i] = (i * 7919ll) % P;
    positions.write(at); fault.write({0, 0, 0, 0}); fill(x, 1); angles<<<512, 256>>>(table, P, D); reference<<<2048, 256>>>(x, table, positions, want, rows, H, D, inverse);
    Results<Fp8::e4m3> r(rows, H * D, 1, true, false, false, false);
    const auto run = [&](int i = 0) { rope_bf16<<<(rows + 3) / 4, 256>>>(r.y(), x + i % 2 * n, table, positions, fault, rows, H, D, P, inverse); };
    const bool ok = r.check(want, 1e-6f, run) && fault.read()[0] == 0;
    line("rope_bf16", "[" + std::to_string(rows) + ", " + std::to_string(H) + ", " + std::to_string(D) + "]" + (inverse ? " back" : ""), ok, r.text, time ? n * 4. : 0, run);
}

int main(int count, char** names) {
    check(7, 3, 80, 11, 0, false); check(130, 5, 6, 200, 1, false); check(9, 2, 120, 40, 0, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 32, 80, 16384, 0, true); check(16384, 32, 80, 16384, 1, true); check(16384, 8, 80, 16384, 0, true); check(16384, 32, 128, 16384, 0, true);
    return failures;
}
