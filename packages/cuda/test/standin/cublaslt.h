// What the stand-in for cuBLASLt is told and asks: descriptors of products, the algorithm it chooses, and products by plain loops.
#pragma once
#include "state.h"

namespace standin::cublaslt {
// cublas_api.h, cublasStatus_t.
constexpr int SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15;
// library_types.h, cudaDataType.
constexpr int F32 = 0, F16 = 2, BF16 = 14, E4M3 = 28, E5M2 = 29;

struct Handle : Object { const char* kind() const override { return "cuBLASLt handle"; } };
struct Operation : Object {
    int32_t transpose_a = 0, transpose_b = 0;
    uint64_t scale_a = 0, scale_b = 0;
    int8_t fast = 0;
    const char* kind() const override { return "cuBLASLt operation"; }
};
/// Matrices by columns.
struct Layout : Object {
    int type;
    int64_t rows, columns, step, stride = 0;
    int32_t count = 1;
    const char* kind() const override { return "cuBLASLt layout"; }
};
struct Preference : Object {
    uint64_t workspace = 0;
    uint32_t reductions = 7, alignment[4] = {256, 256, 256, 256};
    const char* kind() const override { return "cuBLASLt preference"; }
};

struct Matrix { int type; int64_t rows, columns, step, stride; uint64_t at; };
struct Problem {
    bool transpose_a, transpose_b, fast;
    int count;
    int64_t m, n, k;
    Matrix a, b, c, d;
    uint64_t scale_a, scale_b;
    float beta;
};

inline bool is_fp8(int type) { return type == E4M3 || type == E5M2; }
inline int bytes_of(int type) { return is_fp8(type) ? 1 : type == F32 ? 4 : 2; }
/// Bytes from the first element to the last.
uint64_t extent(const Matrix& x, int count);
/// Computes `parts` of k one after another and adds them in the workspace, of f32 [count, n, m].
void multiply(const Problem& problem, int parts, float* workspace);
}  // namespace standin::cublaslt
