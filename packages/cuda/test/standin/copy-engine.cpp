// cuTensorMapEncodeTiled with the rules that the driver has for it.
#include "memory.h"
#include "tensor-map.h"

using namespace standin;

namespace {
int bytes_of(CUtensorMapDataType type) {
    switch (type) {
        case CU_TENSOR_MAP_DATA_TYPE_UINT8: return 1;
        case CU_TENSOR_MAP_DATA_TYPE_UINT16: case CU_TENSOR_MAP_DATA_TYPE_FLOAT16: case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16: return 2;
        case CU_TENSOR_MAP_DATA_TYPE_UINT32: case CU_TENSOR_MAP_DATA_TYPE_INT32: case CU_TENSOR_MAP_DATA_TYPE_FLOAT32: return 4;
        default: return 0;
    }
}

/// The first rule that a map breaks, or null. CUDA driver API, cuTensorMapEncodeTiled.
const char* broken_rule(const void* out, const TensorMap& m, const cuuint32_t* element_strides) {
    if ((uintptr_t)out % 64) return "the map must be aligned to 64 bytes";
    if ((uintptr_t)m.base % 16) return "the tensor must be aligned to 16 bytes";
    if (!m.element_bytes) return "this type of elements is not known here";
    if (m.box[0] * m.element_bytes % 16) return "the innermost box must be a multiple of 16 bytes";
    if (m.swizzle && m.box[0] * m.element_bytes > (uint32_t)m.swizzle) return "the innermost box must fit the swizzle";
    for (int i = 0; i < m.rank; i++) {
        if (m.sizes[i] == 0 || m.sizes[i] > uint64_t(1) << 32) return "every size must be 1 to 2^32";
        if (m.box[i] == 0 || m.box[i] > 256) return "every size of a box must be 1 to 256";
        if (element_strides[i] != 1) return "strides between elements are not known here";
        if (i + 1 < m.rank && (m.strides[i] % 16 || m.strides[i] >= uint64_t(1) << 40)) return "every stride must be a multiple of 16 bytes below 2^40";
        if (i == 0 && m.strides[0] < m.sizes[0] * m.element_bytes) return "rows overlap";
    }
    if (m.rank == 3 && m.box[1] != 1) return "boxes of several planes are not known here";
    uint64_t last = m.sizes[0] * m.element_bytes;
    for (int i = 1; i < m.rank; i++) last += (m.sizes[i] - 1) * m.strides[i - 1];
    if (is_device_memory(m.base) && !is_inside((CUdeviceptr)m.base, last)) return "the tensor is larger than its memory";
    return nullptr;
}
}  // namespace

extern "C" {
CUresult CUDAAPI cuTensorMapEncodeTiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* base, const cuuint64_t* sizes, const cuuint64_t* strides, const cuuint32_t* box,
                                        const cuuint32_t* element_strides, CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill fill) {
    return call("cuTensorMapEncodeTiled", [&] {
        if (rank < 2 || rank > 3 || interleave || swizzle > CU_TENSOR_MAP_SWIZZLE_128B || fill) {
            report("cuTensorMapEncodeTiled: the stand-in knows maps of two and three dimensions, not interleaved, filled with zeros");
            return CUDA_ERROR_INVALID_VALUE;
        }
        TensorMap map{base, (int)rank, bytes_of(type), swizzle ? 16 << swizzle : 0, {}, {}, {}};
        for (unsigned i = 0; i < rank; i++) { map.sizes[i] = sizes[i]; map.box[i] = box[i]; }
        for (unsigned i = 0; i + 1 < rank; i++) map.strides[i] = strides[i];
        if (const char* rule = broken_rule(out, map, element_strides)) { report("cuTensorMapEncodeTiled: ", rule); return CUDA_ERROR_INVALID_VALUE; }
        encode(out, map);
        return CUDA_SUCCESS;
    }, base, rank);
}
}
