// Prototypes of the kernels that are called from native tests; what they do stands beside their definitions.
// Every function enqueues and returns a `danu_status`; addresses are 0 where an operand is left out.
#pragma once

#include "abi.h"

// norm.cpp
DANU_API int32_t danu_rms_norm_forward(
    danu::Queue* q, uint64_t y, uint64_t rstd, uint64_t x, uint64_t w, int64_t rows, int64_t C, double eps,
    int32_t dtype);
DANU_API int32_t danu_rms_norm_backward(
    danu::Queue* q, uint64_t dx, uint64_t dw, uint64_t dy, uint64_t x, uint64_t w, uint64_t rstd,
    uint64_t residualGradient, int64_t rows, int64_t C, int32_t dtype);

// swiglu.cpp
DANU_API int32_t danu_swiglu_forward(danu::Queue* q, uint64_t y, uint64_t gate, uint64_t up, int64_t n, int32_t dtype);
DANU_API int32_t danu_swiglu_backward(
    danu::Queue* q, uint64_t dgate, uint64_t dup, uint64_t dy, uint64_t gate, uint64_t up, int64_t n, int32_t dtype);

// cross-entropy.cpp
DANU_API int32_t danu_linear_cross_entropy(
    danu::Queue* q, uint64_t loss, uint64_t dx, uint64_t dw, uint64_t x, uint64_t w, uint64_t targets,
    uint64_t factors, int64_t N, int64_t C, int64_t V, int64_t ignoreIndex, double scale, int32_t dtype);

// embedding.cpp
DANU_API int32_t danu_embedding_forward(
    danu::Queue* q, uint64_t y, uint64_t ids, uint64_t w, int64_t n, int64_t C, int64_t V, int32_t dtype);
DANU_API int32_t danu_embedding_backward(
    danu::Queue* q, uint64_t dw, uint64_t ids, uint64_t dy, int64_t n, int64_t C, int64_t V, int32_t dtype);
DANU_API int32_t danu_gather_rows(
    danu::Queue* q, uint64_t y, uint64_t x, uint64_t ids, int64_t n, int64_t C, int64_t V, int32_t elementBytes);

// adamw.cpp
DANU_API int32_t danu_adamw(
    danu::Queue* q, uint64_t param, uint64_t m, uint64_t v, uint64_t grad, uint64_t copy, uint64_t gradScale, int64_t n,
    double learningRate, double beta1, double beta2, double eps, double weightDecay, double biasCorrection1,
    double biasCorrection2);
DANU_API int32_t danu_sum_squares(danu::Queue* q, uint64_t out, uint64_t grad, int64_t n, int32_t accumulate);
DANU_API int32_t danu_clip_scale(danu::Queue* q, uint64_t scale, uint64_t norm, uint64_t sumSquares, double maxNorm);

// reduce.cpp
DANU_API int32_t danu_reduce(
    danu::Queue* q, uint64_t y, uint64_t x, int32_t kind, int64_t outer, int64_t reduced, int64_t inner, int32_t dtype);
DANU_API int32_t danu_sum(danu::Queue* q, uint64_t out, uint64_t x, int64_t n);
DANU_API int32_t danu_argmax(
    danu::Queue* q, uint64_t y, uint64_t x, int64_t outer, int64_t reduced, int64_t inner, int32_t dtype);

// elementwise.cpp
DANU_API int32_t danu_unary(danu::Queue* q, uint64_t y, uint64_t x, int32_t kind, int64_t n, int32_t dtype);
DANU_API int32_t danu_binary(
    danu::Queue* q, uint64_t y, uint64_t a, uint64_t b, int32_t kind, int32_t rank, const int64_t* shape,
    const int64_t* stridesA, const int64_t* stridesB, int32_t dtype);
DANU_API int32_t danu_where(
    danu::Queue* q, uint64_t y, uint64_t mask, uint64_t a, uint64_t b, int32_t rank, const int64_t* shape,
    const int64_t* stridesMask, const int64_t* stridesA, const int64_t* stridesB, int32_t dtype);
DANU_API int32_t danu_add_into(danu::Queue* q, uint64_t y, uint64_t x, int64_t n, int32_t dtypeY, int32_t dtypeX);
DANU_API int32_t danu_scale_into(danu::Queue* q, uint64_t y, uint64_t factor, int64_t n, int32_t dtype);
DANU_API int32_t danu_iota(danu::Queue* q, uint64_t y, int64_t n, double start, double step, int32_t dtype);

// convert.cpp
DANU_API int32_t danu_cast(danu::Queue* q, uint64_t y, uint64_t x, int64_t n, int32_t from, int32_t to);

// movement.cpp
DANU_API int32_t danu_strided_copy(
    danu::Queue* q, uint64_t y, uint64_t x, int32_t rank, const int64_t* shape, const int64_t* stridesY,
    const int64_t* stridesX, int64_t offsetY, int64_t offsetX, int32_t elementBytes);
