// Products as cuBLASLt defines them: sums of operands in f32, factors, C, and one rounding.
#include "cublaslt.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

namespace standin::cublaslt {
namespace {
float read(int type, uint64_t at) {
    if (type == F32) return *(const float*)at;
    if (type == F16) return __half2float(*(const __half*)at);
    if (type == BF16) return __bfloat162float(*(const __nv_bfloat16*)at);
    return type == E4M3 ? float(*(const __nv_fp8_e4m3*)at) : float(*(const __nv_fp8_e5m2*)at);
}

void write(int type, uint64_t at, float value) {
    if (type == F32) *(float*)at = value;
    else if (type == F16) *(__half*)at = __float2half_rn(value);
    else *(__nv_bfloat16*)at = __float2bfloat16_rn(value);
}

uint64_t element(const Matrix& x, int index, int64_t row, int64_t column) {
    return x.at + (index * x.stride + column * x.step + row) * bytes_of(x.type);
}

/// op(x) of one product, f32 [outside, k], whichever way it is stored.
std::vector<float> operand(const Matrix& x, int index, bool along_rows) {
    const int64_t outside = along_rows ? x.columns : x.rows, k = along_rows ? x.rows : x.columns;
    std::vector<float> values(outside * k);
    for (int64_t o = 0; o < outside; o++)
        for (int64_t i = 0; i < k; i++) values[o * k + i] = read(x.type, along_rows ? element(x, index, i, o) : element(x, index, o, i));
    return values;
}
}  // namespace

uint64_t extent(const Matrix& x, int count) {
    return ((count - 1) * x.stride + (x.columns - 1) * x.step + x.rows) * bytes_of(x.type);
}

void multiply(const Problem& p, int parts, float* workspace) {
    const float scale = (p.scale_a ? *(const float*)p.scale_a : 1) * (p.scale_b ? *(const float*)p.scale_b : 1);
    for (int index = 0; index < p.count; index++) {
        const auto a = operand(p.a, index, p.transpose_a), b = operand(p.b, index, !p.transpose_b);
        for (int64_t column = 0; column < p.n; column++) {
            for (int64_t row = 0; row < p.m; row++) {
                float sum = 0;
                for (int part = 0; part < parts; part++) {
                    float partial = 0;
                    for (int64_t i = p.k * part / parts; i < p.k * (part + 1) / parts; i++) partial += a[row * p.k + i] * b[column * p.k + i];
                    if (parts == 1) { sum = partial; continue; }
                    float& kept = workspace[(index * p.n + column) * p.m + row];
                    kept = part == 0 ? partial : kept + partial;
                    sum = kept;
                }
                const float added = p.beta == 0 ? 0 : p.beta * read(p.c.type, element(p.c, index, row, column));
                write(p.d.type, element(p.d, index, row, column), scale * sum + added);
            }
        }
    }
}
}  // namespace standin::cublaslt
