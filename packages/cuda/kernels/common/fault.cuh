// How a kernel says that it met an index outside of its table. The host looks before every read and throws.
#pragma once
#include <warp.cuh>

/// Remembers the first bad index of a launch for the host. What the kernel does with it then, a row of zeros say, is its own.
/// @param fault [4], zero while nothing is wrong: mark, index, size of the table, unused  @param index not from 0 to size − 1
DEVICE void report_index(int* fault, int index, int size) {
    if (atomicCAS(fault, 0, 1) != 0) return;
    fault[1] = index;
    fault[2] = size;
}
