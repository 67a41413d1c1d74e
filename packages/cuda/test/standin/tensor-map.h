// A tensor map between the driver API and the twin.
#pragma once
#include <stdint.h>

namespace standin {
/// A matrix, or rows of planes whose boxes are one plane thick; the innermost dimension first. Strides in bytes, of all dimensions but the first.
struct TensorMap { const void* base; int rank, element_bytes, swizzle; uint64_t sizes[3], strides[2]; uint32_t box[3]; };
void encode(void* out, const TensorMap& map);
}  // namespace standin
