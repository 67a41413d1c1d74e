// Small products on operands in the caches: C[rows, columns] (+)= A[rows, depth] · B[depth, columns], columns in lanes.
// A is read one 4-byte unit at a time with any strides, so that transposed and strided operands need no copy.
#pragma once

#include <cstdint>
#include <cstring>

#include "../simd.h"

namespace danu {

/// What one step of depth consumes: an f32 number, or two neighbouring bf16 numbers.
typedef uint32_t Unit __attribute__((may_alias));

/// Multiplies f32 units.
struct MultiplyF32 {
  static DANU_INLINE vf add(vf c, uint32_t a, vf b) { return c + splat(bitCast<float>(a)) * b; }
};

#if defined(__AVX512BF16__)
/// Multiplies bf16 pairs and adds both products.
struct MultiplyBf16 {
  static DANU_INLINE vf add(vf c, uint32_t a, vf b) {
    return (vf)_mm512_dpbf16_ps((__m512)c, (__m512bh)_mm512_set1_epi32(int(a)), (__m512bh)b);
  }
};
#endif

struct Product {
  const Unit* a;
  int64_t aRow, aDepth;  // strides of A in units
  const Unit* b;
  int64_t bDepth;        // distance of the rows of B in units
  float* c;
  int64_t cRow;          // distance of the rows of C
  int rows, depth;
  int vectors;           // columns / W
  bool fresh;            // C is written, else added to
  const float* rescale;  // null, or factors of the columns for the old C
};

/// Most vectors of columns, and the rows that go with each number of them, whose sums fit in the registers.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int maxProductVectors = 6;
constexpr int productRows[] = {0, 12, 12, 8, 6, 5, 4};
#elif defined(__AVX2__)
constexpr int maxProductVectors = 3;
constexpr int productRows[] = {0, 10, 6, 4};
#else
constexpr int maxProductVectors = 2;
constexpr int productRows[] = {0, 8, 5};
#endif

template <class Multiply, int rows, int vectors>
__attribute__((noinline)) void productBlock(const Product& p, int row0, int vector0) {
  const Unit* a = p.a + row0 * p.aRow;
  const Unit* b = p.b + vector0 * W;
  const int64_t aRow = p.aRow, aDepth = p.aDepth, bDepth = p.bDepth;
  vf sums[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++) sums[i][j] = zero();
  for (int k = 0; k < p.depth; k++) {
    vf columns[vectors];
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++) columns[j] = *(const vfUnaligned*)(b + j * W);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
      uint32_t unit;
      std::memcpy(&unit, a + i * aRow, 4);
#pragma GCC unroll 16
      for (int j = 0; j < vectors; j++) sums[i][j] = Multiply::add(sums[i][j], unit, columns[j]);
    }
    a += aDepth;
    b += bDepth;
  }
  float* c = p.c + row0 * p.cRow + vector0 * W;
  if (!p.fresh) {
    vf factors[vectors];
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++) factors[j] = p.rescale ? load(p.rescale + (vector0 + j) * W) : splat(1.0f);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
      for (int j = 0; j < vectors; j++) sums[i][j] += load(c + i * p.cRow + j * W) * factors[j];
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 16
    for (int j = 0; j < vectors; j++) store(c + i * p.cRow + j * W, sums[i][j]);
}

template <class Multiply, int rows, int vectors>
DANU_INLINE void productRowsOf(const Product& p, int count, int row0, int vector0) {
  if (count == rows) return productBlock<Multiply, rows, vectors>(p, row0, vector0);
  if constexpr (rows > 1) productRowsOf<Multiply, rows - 1, vectors>(p, count, row0, vector0);
}

/// All rows of `vectors` columns. The last rows are cut in two equal blocks, since tiny ones leave the units idle.
template <class Multiply, int vectors>
void productColumns(const Product& p, int vector0) {
  constexpr int most = productRows[vectors];
  for (int row = 0; row < p.rows;) {
    int left = p.rows - row;
    int count = left >= 2 * most || left == most ? most : left > most ? (left + 1) / 2 : left;
    productRowsOf<Multiply, most, vectors>(p, count, row, vector0);
    row += count;
  }
}

template <class Multiply, int vectors = maxProductVectors>
DANU_INLINE void productColumnsOf(const Product& p, int count, int vector0) {
  if (count == vectors) return productColumns<Multiply, vectors>(p, vector0);
  if constexpr (vectors > 1) productColumnsOf<Multiply, vectors - 1>(p, count, vector0);
}

template <class Multiply>
void multiply(const Product& p) {
  int parts = (p.vectors + maxProductVectors - 1) / maxProductVectors;
  for (int vector = 0; vector < p.vectors; parts--) {
    int count = (p.vectors - vector + parts - 1) / parts;
    productColumnsOf<Multiply>(p, count, vector);
    vector += count;
  }
}

}  // namespace danu
