// Gradients of rotary position embedding cast to e5m2 on a GPU: against plain loops, repeated, and timed.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/fp8/rope-fp8.cu"
#include "fp8.cuh"
#include "rope.cuh"

struct Copies { bool q, t; int pitch = 0; };

void check(int rows, int H, int D, Copies copies, bool time) {
    constexpr int P = 16384; const int columns = H * D, shared = rope_fp8::ROWS * ((rope_fp8::HEADS * D + 127) / 128 * 128) + 32;
    const size_t n = (size_t)rows * columns; Buffer<Bf16> g(2 * n); Buffer<float> table((size_t)P * D), want(n); Buffer<int> positions(rows), fault(4); std::vector<int> at(rows);
    for (int i = 0; i < rows; i++) at[i] = (i * 7919ll) % P;
    positions.write(at); fault.write({0, 0, 0, 0}); fill(g, 1); angles<<<512, 256>>>(table, P, D); reference<<<2048, 256>>>(g, table, positions, want, rows, H, D, 1);
    Results<Fp8::e5m2> r(rows, columns, 1000, false, copies.q, copies.t, true, copies.pitch); allow_shared(rope_fp8_backward, shared);
    const auto run = [&](int i = 0) {
        rope_fp8_backward<<<tiles(rows) * ((H + rope_fp8::HEADS - 1) / rope_fp8::HEADS), rope_fp8::THREADS, shared>>>(g + i % 2 * n, table, positions, fault, r.q(), r.t(), r.amax(), r.scale, rows, H, D, P, r.pitch, r.stride); };
    const bool ok = r.check(want, 1e-6f, run) && fault.read()[0] == 0;
    line("rope_fp8_backward", "[" + std::to_string(rows) + ", " + std::to_string(H) + ", " + std::to_string(D) + "]" + r.wanted(), ok, r.text, time ? n * (2. + copies.q + copies.t) : 0, run);
}

int main(int count, char** names) {
    check(1, 2, 8, {true, true}, false); check(300, 5, 80, {true, true, 512}, false); check(130, 6, 120, {false, true}, false); check(129, 3, 192, {true, false}, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 32, 80, {true, true, 3840}, true); check(16384, 8, 80, {true, true, 3840}, true); check(16384, 32, 80, {true, false, 3840}, true); check(16384, 32, 80, {false, false}, true);
    check(16384, 24, 120, {true, true}, true); check(16384, 32, 128, {true, true}, true); check(16384, 16, 96, {true, true}, true); check(16384, 32, 64, {true, true}, true);
    return failures;
}
