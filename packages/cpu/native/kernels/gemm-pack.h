// Packing of the operands of a matrix product into the 4-byte elements that its tiles read.
#pragma once

#include <algorithm>

#include "gemm-element.h"

namespace danu {

DANU_INLINE constexpr int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// One stage of a transposition: rows i and i + W/2 interleaved become rows 2i and 2i + 1.
#if defined(__AVX512F__)
DANU_INLINE vu interleaveLow(vu a, vu b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
DANU_INLINE vu interleaveHigh(vu a, vu b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
#elif defined(__AVX2__)
DANU_INLINE vu interleaveLow(vu a, vu b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
DANU_INLINE vu interleaveHigh(vu a, vu b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
#else
DANU_INLINE vu interleaveLow(vu a, vu b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
DANU_INLINE vu interleaveHigh(vu a, vu b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
#endif

/// Transposes W vectors of W elements by log2 W perfect shuffles.
DANU_INLINE void transpose(vu (&rows)[W]) {
  constexpr int stages = W == 16 ? 4 : W == 8 ? 3 : 2;
  unroll<stages>([&](auto) DANU_LAMBDA {
    vu shuffled[W];
    unroll<W / 2>([&](auto i) DANU_LAMBDA {
      shuffled[2 * i] = interleaveLow(rows[i], rows[i + W / 2]);
      shuffled[2 * i + 1] = interleaveHigh(rows[i], rows[i + W / 2]);
    });
    unroll<W>([&](auto i) DANU_LAMBDA { rows[i] = shuffled[i]; });
  });
}

/// Packs columns that are neighbours along k in memory: column c, position p at `source[c * stride + p]`.
/// Target [steps][width], zero where there is no column and past the end of k; width is a multiple of W.
template <class Step, class T>
void packAlongK(const T* source, int64_t stride, int columns, int64_t positions, uint32_t* target, int width) {
  const int64_t steps = ceilDivide(positions, Step::depth);
  for (int64_t step = 0; step < steps; step += W) {
    const int rows = int(std::min<int64_t>(W, steps - step));
    for (int first = 0; first < width; first += W) {
      const T* corner = source + first * stride + step * Step::depth;
      const int64_t left = positions - step * Step::depth;
      vu block[W];
      if (first + W <= columns) {
        unroll<W>([&](auto i) DANU_LAMBDA {
          block[i] = ElementReader<Step, T>::alongK(corner + i * stride, left);
        });
      } else {
        unroll<W>([&](auto i) DANU_LAMBDA {
          block[i] = first + i < columns ? ElementReader<Step, T>::alongK(corner + i * stride, left) : vu{};
        });
      }
      transpose(block);
      uint32_t* to = target + step * width + first;
      if (rows == W) {
        unroll<W>([&](auto i) DANU_LAMBDA { *(vuUnaligned*)(to + i * width) = block[i]; });
      } else {
        unroll<W>([&](auto i) DANU_LAMBDA {
          if (i < rows) *(vuUnaligned*)(to + i * width) = block[i];
        });
      }
    }
  }
}

/// Columns that are neighbours in memory, and where they go; both pointers move on as rows are packed.
template <class T>
struct Strip {
  const T* source;   // column 0 at position 0
  uint32_t* target;  // [steps][width], zero where there is no column and past the end of k
  int columns;
  int width;
};

/// Packs one vector of columns of a strip, at up to `positions` positions.
template <class Step, class T, bool Whole>
DANU_INLINE void packColumns(const T* source, int64_t stride, int64_t positions, uint32_t* target, int64_t width,
                             int lanes, int stored) {
  for (int64_t position = 0; position < positions; position += Step::depth) {
    const T* next = Step::depth == 2 && position + 1 < positions ? source + stride : nullptr;
    if constexpr (Whole) {
      *(vuUnaligned*)target = ElementReader<Step, T>::acrossK(source, next, W);
    } else {
      storeBits(target, lanes > 0 ? ElementReader<Step, T>::acrossK(source, next, lanes) : vu{}, stored);
    }
    source += Step::depth * stride;
    target += width;
  }
}

/// Packs strips that lie side by side: position p of a strip is at `source[p * stride]`. A few positions of all strips
/// at a time, because rows a power of two apart would evict each other from the cache if strips were packed singly.
template <class Step, class T>
void packAcrossK(Strip<T>* strips, int count, int64_t stride, int64_t positions) {
  constexpr int64_t together = 8;
  const char* start = (const char*)strips[0].source;
  const char* end = (const char*)(strips[count - 1].source + strips[count - 1].columns);
  for (int64_t position = 0; position < positions; position += together) {
    // Rows far apart escape the hardware's prefetching.
    for (int64_t row = position + together; row < std::min(position + 2 * together, positions); row++) {
      const int64_t offset = row * stride * int64_t(sizeof(T));
      for (const char* line = start + offset; line < end + offset; line += 64) __builtin_prefetch(line, 0, 2);
    }
    const int64_t now = std::min(together, positions - position);
    for (Strip<T>* strip = strips; strip < strips + count; strip++) {
      for (int first = 0; first < strip->width; first += W) {
        const int lanes = std::clamp(strip->columns - first, 0, W), stored = std::min(strip->width - first, W);
        const T* source = strip->source + first;
        uint32_t* target = strip->target + first;
        if (lanes == W) {
          packColumns<Step, T, true>(source, stride, now, target, strip->width, W, W);
        } else {
          packColumns<Step, T, false>(source, stride, now, target, strip->width, lanes, stored);
        }
      }
      strip->source += now * stride;
      strip->target += ceilDivide(now, Step::depth) * strip->width;
    }
  }
}

/// Copies rows along k as they are: row r, position p at `source[r * stride + p]`; target [rows][targetStride].
template <class Step, class T>
void packAlongRows(const T* source, int64_t stride, int64_t rows, int64_t positions, uint32_t* target,
                   int64_t targetStride) {
  const int64_t steps = ceilDivide(positions, Step::depth);
  for (int64_t row = 0; row < rows; row++) {
    const T* from = source + row * stride;
    uint32_t* to = target + row * targetStride;
    for (int64_t step = 0; step < steps; step += W) {
      vu elements = ElementReader<Step, T>::alongK(from + step * Step::depth, positions - step * Step::depth);
      if (step + W <= steps) {
        *(vuUnaligned*)(to + step) = elements;
      } else {
        storeBits(to + step, elements, int(steps - step));
      }
    }
  }
}

}  // namespace danu
