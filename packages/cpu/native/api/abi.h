// What every file of the C ABI needs.
#pragma once

#include <cstdint>

#include "../runtime/dtype.h"
#include "../runtime/queue.h"

#define DANU_API extern "C" __attribute__((visibility("default")))

/// What functions of the C ABI return; the numbers are part of the ABI.
enum danu_status : int32_t {
  danu_ok = 0,
  danu_out_of_memory = 1,
  danu_invalid_argument = 2,
};
