// The products of generation, of at most 16 rows: linear layers, and those that read a normed input with what follows them.
//
// All take blocks of 256 threads, as many as there are multiprocessors but no more than pairs of lines, and
// `few_rows::shared_bytes(slots, M, K, whether there is a norm)` of shared memory. K is above 0; lines start at multiples of 16
// bytes.
// nvcc: -use_fast_math
#include "few-rows-layers.cuh"
#include "few-rows.cuh"

#define FEW_ROWS(NAME, LAYER, E) \
extern "C" __global__ void __launch_bounds__(few_rows::THREADS, 2) NAME(const __grid_constant__ few_rows::Rows<E> in, const __grid_constant__ few_rows::LAYER<E> layer) { few_rows::run(in, layer); }
FEW_ROWS(few_rows_linear_bf16, Linear, __nv_bfloat16)
FEW_ROWS(few_rows_linear_f16, Linear, __half)
FEW_ROWS(few_rows_swiglu_bf16, Swiglu, __nv_bfloat16)
FEW_ROWS(few_rows_swiglu_f16, Swiglu, __half)
FEW_ROWS(few_rows_query_key_value_bf16, QueryKeyValue, __nv_bfloat16)
FEW_ROWS(few_rows_query_key_value_f16, QueryKeyValue, __half)
