// What the twin tests of kernels for f32 and bf16 share: random numbers, poisoned results, errors in units of the last place.
#pragma once
#include <random>
#include <string>

using Bf16 = __nv_bfloat16;
inline std::mt19937 random_bits(11);
template <class T> const char* type_name() { return sizeof(T) == 4 ? "f32" : "bf16"; }
template <class T> std::vector<T> normal(size_t n, float scale = 1) {
    std::normal_distribution<float> draw(0, scale); std::vector<T> v(n);
    for (auto& x : v) x = T(draw(random_bits));
    return v;
}
/// n elements that are NaN, and eight more that must stay so.
template <class T> struct Poisoned {
    std::vector<T> memory;
    explicit Poisoned(size_t n) : memory(n + 8, T(NAN)) {}
    T* data() { return memory.data(); }
    /// Elements that are off by more than half a step of T, a relative `slack` and an absolute `near`, or written outside.
    template <class F> long wrong(F want, double slack, double near = 1e-30) const {
        const size_t n = memory.size() - 8; long bad = 0; const double step = sizeof(T) == 4 ? 1. / (1 << 24) : 1. / 256;
        for (size_t i = 0; i < n; i++) { const double w = want(i); bad += !(fabs(float(memory[i]) - w) <= fabs(w) * (step * 1.001 + slack) + near); }
        for (size_t i = n; i < memory.size(); i++) bad += !std::isnan(float(memory[i]));
        return bad;
    }
};
inline int failures = 0;
inline void say(const std::string& name, long wrong) { printf("%-50s %s\n", name.c_str(), wrong ? ("WRONG " + std::to_string(wrong)).c_str() : "ok"); failures += wrong != 0; fflush(stdout); }
inline std::string sized(const char* name, const char* type, std::initializer_list<int> sizes) {
    std::string text = std::string(name) + " " + type;
    for (int n : sizes) text += " " + std::to_string(n);
    return text;
}
