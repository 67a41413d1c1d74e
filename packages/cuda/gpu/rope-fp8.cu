// Gradients of rotary position embedding cast to e5m2 on a GPU: against plain loops, repeated, and timed.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/fp8/rope-fp8.cu"
#include "fp8.cuh"
#include "rope.cuh"

using rope_fp8::Narrow, rope_fp8::Wide;
struct Copies { bool q, t; int pitch = 0; };

template <class Form> void check_form(int rows, int H, int D, Copies copies, bool time) {
    constexpr int P = 16384; const int columns = H * D, shared = Form::ROWS * ((Form::HEADS * D + 127) / 128 * 128) + Form::THREADS / 8;
    constexpr auto* kernel = std::is_same_v<Form, Wide> ? rope_fp8_backward : rope_fp8_backward_narrow;
    const size_t n = (size_t)rows * columns; Buffer<Bf16> g(2 * n); Buffer<float> table((size_t)P * D), want(n); Buffer<int> positions(rows), fault(4); std::vector<int> at(rows);
    for (int i = 0; i < rows; i++) at[i] = (i * 7919ll) % P;
    positions.write(at); fault.write({0, 0, 0, 0}); fill(g, 1); angles<<<512, 256>>>(table, P, D); reference<<<2048, 256>>>(g, table, positions, want, rows, H, D, 1);
    Results<Fp8::e5m2> r(rows, columns, 1000, false, copies.q, copies.t, true, copies.pitch); allow_shared(kernel, shared);
    const auto run = [&](int i = 0) {
        kernel<<<(rows + Form::ROWS - 1) / Form::ROWS * ((H + Form::HEADS - 1) / Form::HEADS), Form::THREADS, shared>>>(g + i % 2 * n, table, positions, fault, r.q(), r.t(), r.amax(), r.scale, rows, H, D, P, r.pitch, r.stride); };
    const bool ok = r.check(want, 1e-6f, run) && fault.read()[0] == 0;
    line(std::is_same_v<Form, Wide> ? "rope_fp8_backward" : "rope_fp8_backward_narrow", "[" + std::to_string(rows) + ", " + std::to_string(H) + ", " + std::to_string(D) + "]" + r.wanted(), ok, r.text, time ? n * (2. + copies.q + copies.t) : 0, run);
}
void check(int rows, int H, int D, Copies copies, bool time) { (D % 16 == 0 ? check_form<Wide> : check_form<Narrow>)(rows, H, D, copies, time); }

int main(int count, char** names) {
    check(1, 2, 8, {true, true}, false); check(300, 5, 80, {true, true, 512}, false); check(130, 6, 120, {false, true}, false); check(129, 3, 192, {true, false}, false);
    check(70, 9, 96, {true, true}, false); check(200, 2, 16, {true, true}, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 32, 80, {true, true, 3840}, true); check(16384, 8, 80, {true, true, 3840}, true); check(16384, 32, 80, {true, false, 3840}, true); check(16384, 32, 80, {false, false}, true);
    check(16384, 24, 120, {true, true}, true); check(16384, 32, 128, {true, true}, true); check(16384, 16, 96, {true, true}, true); check(16384, 32, 64, {true, true}, true);
    return failures;
}
