// Many tensors in one launch, so that the few blocks that a GPU runs last are those of all together, not of each: a table of
// addresses and sizes among the parameters of the kernel, which the driver copies, so that nothing is to be kept up to date.
#pragma once
#include <warp.cuh>

/// `count` tensors in the order of their blocks; each says in `first` which block of the grid is its first.
template <class Tensor, int MOST> struct Table {
    Tensor at[MOST]; int count;
    /// The tensor of this block.
    DEVICE const Tensor& own() const {
        int low = 0, high = count;
        while (high - low > 1) {
            const int middle = (low + high) / 2;
            if (at[middle].first <= blockIdx.x) low = middle; else high = middle;
        }
        return at[low];
    }
};
