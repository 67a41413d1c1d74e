// Numbers of every element type and functions of f32 on the CPU twin, against NVIDIA's conversions and the C library in double
// precision, over bit patterns of all sizes.
#include "../../kernels/primitives/math.cuh"
#include "../../kernels/primitives/number.cuh"

using namespace number;
static int failures = 0;

static void report(const char* name, long cases, long wrong, double worst = 0) {
    if (wrong) failures++;
    printf("%-28s %9ld cases  worst %.2f  %s\n", name, cases, worst, wrong ? "WRONG" : "ok");
}
static bool same(float a, float b) { return isnan(a) ? isnan(b) : __float_as_uint(a) == __float_as_uint(b); }

/// Every pattern of the type to f32 and back.
template <class T, class Known> static void widens(const char* name, Known known) {
    long cases = 0, wrong = 0;
    for (uint32_t bits = 0; bits < 1u << 8 * sizeof(T); bits++) {
        T x; memcpy(&x, &bits, sizeof x);
        const T back = element<T>(value(x));
        cases++; wrong += !same(value(x), known(bits)) || (!isnan(value(x)) && memcmp(&back, &x, sizeof x));
    }
    report(name, cases, wrong);
}
/// f32 of all exponents, with their neighbours, and of all ties between two elements.
template <class F> static long patterns(F f) {
    long cases = 0;
    for (uint64_t bits = 0; bits < 1ull << 32; bits += 1021) { f(__uint_as_float(bits)); cases++; }
    for (uint32_t top = 0; top < 1u << 16; top++) for (uint32_t low : {0u, 1u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) { f(__uint_as_float(top << 16 | low)); cases++; }
    return cases;
}
template <class T, class Known> static void narrows(const char* name, Known known) {
    long wrong = 0;
    const long cases = patterns([&](float x) { wrong += !same(value(element<T>(x)), known(x)); });
    report(name, cases, wrong);
}
template <class F, class Known> static void function(const char* name, double units, F f, Known known) {
    long wrong = 0; double worst = 0;
    const long cases = patterns([&](float x) {
        const float got = f(x); const double want = known((double)x);
        if (isnan(want) || isinf((float)want)) { wrong += !same(got, (float)want); return; }
        const double unit = max(ldexp(1.0, ilogb(max(fabs(want), 1e-300)) - 23), ldexp(1.0, -149)), distance = fabs(got - want) / unit;
        worst = max(worst, isnan(distance) ? INFINITY : distance); wrong += !(distance <= units);
    });
    report(name, cases, wrong, worst);
}
static float fp8(__nv_fp8_storage_t bits, __nv_fp8_interpretation_t type) { return __half2float(__half(__nv_cvt_fp8_to_halfraw(bits, type))); }

int main() {
    widens<E4m3>("e4m3 to f32", [](uint32_t bits) { return fp8(bits, __NV_E4M3); });
    widens<E5m2>("e5m2 to f32", [](uint32_t bits) { return fp8(bits, __NV_E5M2); });
    widens<Bf16>("bf16 to f32", [](uint32_t bits) { return __uint_as_float(bits << 16); });
    widens<F16>("f16 to f32", [](uint32_t bits) { __half_raw raw; raw.x = bits; return __half2float(__half(raw)); });
    narrows<E4m3>("f32 to e4m3", [](float x) { return fp8(__nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3), __NV_E4M3); });
    narrows<E5m2>("f32 to e5m2", [](float x) { return fp8(__nv_cvt_float_to_fp8(x, __NV_NOSAT, __NV_E5M2), __NV_E5M2); });

    long wrong = 0;
    long cases = patterns([&](float x) {
        const double whole = isnan(x) ? 0 : trunc((double)x);
        wrong += saturated<int32_t>(x) != (int64_t)fmin(fmax(whole, -2147483648.0), 2147483647.0) || saturated<uint8_t>(x) != (int)fmin(fmax(whole, 0.0), 255.0);
    });
    report("f32 to integers", cases, wrong);
    wrong = saturated<int32_t>((int64_t)1 << 40) != INT32_MAX || saturated<int32_t>(-((int64_t)1 << 40)) != INT32_MIN || saturated<uint8_t>(-3) != 0 || saturated<uint8_t>(300) != 255;
    report("integers to integers", 4, wrong);

    function("sine", 3, [](float x) { return sine(x); }, [](double x) { return sin(x); });
    function("cosine", 3, [](float x) { return cosine(x); }, [](double x) { return cos(x); });
    function("sigmoid", 2, [](float x) { return number::sigmoid(x); }, [](double x) { return 1 / (1 + exp(-x)); });
    return failures;
}
