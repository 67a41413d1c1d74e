// How kernels find the elements of operands that broadcast or lie apart. The host leaves out axes of size 1 and joins those that
// lie alike in all operands, so that most calls have one axis.
#pragma once
#include <warp.cuh>

/// Sizes of the axes, the innermost first, and the steps along each of them in N operands, in elements.
constexpr int AXES = 6;
template <int N> struct Walk {
    int64_t size[AXES], step[N][AXES];
    int rank;               // axes in use, 1 at least
    int wide;               // bit k: neighbours in operand k may be accessed together
};

/// Offsets in the operands.
template <int N> struct Place {
    int64_t at[N];
    /// Adds the steps along the axes from `axis` on to reach element `index` of them. False where there is no such element.
    DEVICE bool advance(const Walk<N>& walk, int64_t index, int axis) {
        #pragma unroll
        for (int i = 0; i < AXES; i++) {
            if (i < axis) continue;
            if (i >= walk.rank) break;
            const int64_t rest = index / walk.size[i], digit = index - rest * walk.size[i];
            #pragma unroll
            for (int k = 0; k < N; k++) at[k] += digit * walk.step[k][i];
            index = rest;
        }
        return index == 0;
    }
};
