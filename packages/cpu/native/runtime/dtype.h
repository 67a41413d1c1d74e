// Codes of the element types at the C ABI.
#pragma once

#include <cstdint>

namespace danu {

enum DType : int32_t {
  dtypeF32 = 0,
  dtypeBf16 = 1,
  dtypeF16 = 2,
  dtypeF8e4m3 = 3,
  dtypeF8e5m2 = 4,
  dtypeI32 = 5,
  dtypeU8 = 6,
};

}  // namespace danu
