// Tensor maps as the twin's copy engine reads them. Apart from the rest, since the twin has a CUtensorMap of its own.
#include <hopper.cuh>

#include "tensor-map.h"

namespace standin {
void encode(void* out, const TensorMap& m) {
    const bool planes = m.rank == 3;
    twin::Map map{};
    map.base = (uint8_t*)m.base;
    map.columns = m.sizes[0];
    map.rows = m.sizes[planes ? 2 : 1];
    map.stride = m.strides[planes ? 1 : 0];
    map.plane_stride = planes ? m.strides[0] : 0;
    map.box_columns = m.box[0];
    map.box_rows = m.box[planes ? 2 : 1];
    map.element = m.element_bytes;
    map.swizzle = m.swizzle;
    memset(out, 0, sizeof(CUtensorMap));
    memcpy(out, &map, sizeof map);
}
}  // namespace standin
