#include "../kernels/elementwise.h"

#include "kernel-oracle.h"

using namespace danu;
using namespace danu::test;

namespace {

double unary(int32_t kind, double x) {
  switch (kind) {
    case unaryNeg: return -x;
    case unaryExp: return std::exp(x);
    case unaryLog: return std::log(x);
    case unarySqrt: return std::sqrt(x);
    case unaryRsqrt: return 1 / std::sqrt(x);
    case unarySin: return std::sin(x);
    case unaryCos: return std::cos(x);
    case unaryTanh: return std::tanh(x);
    case unarySigmoid: return 1 / (1 + std::exp(-x));
    case unaryAbs: return std::fabs(x);
    default: return 1 / x;
  }
}

double binary(int32_t kind, DType dtype, double a, double b) {
  bool integers = !isFloatType(dtype);
  // i32 wraps around, u8 modulo 256; products of two i32 are exact in 64 bits.
  auto wrapped = [=](int64_t x) { return dtype == dtypeU8 ? double(uint8_t(x)) : double(int32_t(uint32_t(x))); };
  switch (kind) {
    case binaryAdd: return integers ? wrapped(int64_t(a) + int64_t(b)) : double(float(a) + float(b));
    case binarySub: return integers ? wrapped(int64_t(a) - int64_t(b)) : double(float(a) - float(b));
    case binaryMul: return integers ? wrapped(int64_t(a) * int64_t(b)) : double(float(a) * float(b));
    case binaryDiv: return !integers ? double(float(a) / float(b)) : b == 0 ? 0 : wrapped(int64_t(a) / int64_t(b));
    case binaryMaximum: return a != a || b != b ? notANumber : std::max(a, b);
    case binaryMinimum: return a != a || b != b ? notANumber : std::min(a, b);
    case binaryEqual: return a == b;
    case binaryLess: return a < b;
    default: return a <= b;
  }
}

/// A result shape and operands that stretch to it; strides of an operand count its own elements.
struct Shapes {
  int32_t rank;
  int64_t size = 1;
  int64_t shape[maxRank];
  int64_t strides[3][maxRank];
  int64_t sizes[3] = {1, 1, 1};

  explicit Shapes(Random& random) : rank(int32_t(random.integer(0, 5))) {
    bool large = random.chance(20);
    for (int i = rank - 1; i >= 0; i--) {
      bool row = large && i == rank - 1;
      shape[i] = random.chance(4) ? 0 : row ? random.integer(500, 5000) : random.integer(1, 4);
      size *= shape[i];
      for (int k = 0; k < 3; k++) {
        bool repeats = random.chance(25);
        strides[k][i] = repeats ? 0 : sizes[k];
        if (!repeats) sizes[k] *= shape[i];
      }
    }
  }

  int64_t offset(int k, int64_t index) const {
    int64_t offset = 0;
    for (int i = rank - 1; i >= 0; i--) {
      offset += index % shape[i] * strides[k][i];
      index /= shape[i];
    }
    return offset;
  }
};

}  // namespace

DANU_TEST(testUnary, "unary: within 3 units in the last place, special values included") {
  Random random(1);
  for (DType dtype : floatTypes) {
    for (int32_t kind = 0; kind < unaryKinds; kind++) {
      for (double scale : {1e-3, 1.0, 10.0, 100.0}) {
        int64_t n = random.integer(0, 1500);
        Array x = randomArray(random, dtype, n, scale, true);
        onAllThreads("unary", [&](Queue& q) {
          Array y(dtype, n, random.integer(0, 1));
          danu_unary(&q, y, x, kind, n, dtype);
          q.wait();
          if (q.threads() > 1) return y.bytes();
          for (int64_t i = 0; i < n; i++) {
            double exact = unary(kind, x[i]);
            double error = 3 * spacing(dtypeF32, exact) + (dtype == dtypeF32 ? 0 : 0.5 * spacing(dtype, exact));
            bool overflows = std::fabs(exact) > 0.999999 * formatOf(dtype).largest();
            expect(overflows || isNear(y[i], exact, error), "kind %d type %d: f(%a) = %a, not %a", kind, dtype, x[i],
                   y[i], exact);
            if (overflows) expect(isNear(y[i], rounded(dtype, exact), spacing(dtype, formatOf(dtype).largest())),
                                  "kind %d type %d: f(%a) = %a, not %a", kind, dtype, x[i], y[i], exact);
          }
          expect(y.isGuarded(), "unary wrote past %d elements", int(n));
          return y.bytes();
        });
      }
    }
  }
}

DANU_TEST(testBinary, "binary: every type and kind under broadcasting is exact") {
  Random random(2);
  for (int round = 0; round < 400; round++) {
    DType dtype = allTypes[random.integer(0, 6)];
    int32_t kind = int32_t(random.integer(0, binaryKinds - 1));
    Shapes s(random);
    Array a = randomArray(random, dtype, s.sizes[0], 4, true), b = randomArray(random, dtype, s.sizes[1], 4, true);
    onAllThreads("binary", [&](Queue& q) {
      Array y(isComparison(kind) ? dtypeU8 : dtype, s.size);
      danu_binary(&q, y, a, b, kind, s.rank, s.shape, s.strides[0], s.strides[1], dtype);
      q.wait();
      if (q.threads() > 1) return y.bytes();
      for (int64_t i = 0; i < s.size; i++) {
        double left = a[s.offset(0, i)], right = b[s.offset(1, i)];
        double expected = binary(kind, dtype, left, right);
        if (isFloatType(dtype) && !isComparison(kind)) expected = rounded(dtype, expected);
        expect(isNear(y[i], expected, 0), "kind %d type %d: f(%g, %g) = %g, not %g", kind, dtype, left, right, y[i],
               expected);
      }
      expect(y.isGuarded(), "binary wrote past its end");
      return y.bytes();
    });
  }
}

DANU_TEST(testBinaryInPlace, "binary: the result may overwrite an operand") {
  Random random(3);
  for (DType dtype : allTypes) {
    int64_t n = 5003, stride = 1;
    Array a = randomArray(random, dtype, n), b = randomArray(random, dtype, n);
    std::vector<uint8_t> before = a.bytes();
    danu_binary(&queueWith(2), a, a, b, binaryAdd, 1, &n, &stride, &stride, dtype);
    queueWith(2).wait();
    Array old(dtype, n);
    old.assign(before);
    for (int64_t i = 0; i < n; i++) {
      double expected = rounded(dtype, binary(binaryAdd, dtype, old[i], b[i]));
      expect(isNear(a[i], expected, 0), "type %d: %g, not %g", dtype, a[i], expected);
    }
  }
}

DANU_TEST(testIntegerArithmetic, "binary: integers wrap around, and divide by zero to zero") {
  Array a(dtypeI32, 6), b(dtypeI32, 6);
  double left[] = {2147483647, -2147483648.0, 123456789, 7, -7, -2147483648.0}, right[] = {1, -1, 987654321, 0, 2, -1};
  for (int i = 0; i < 6; i++) a.set(i, left[i]), b.set(i, right[i]);
  int64_t n = 6, stride = 1;
  for (int32_t kind : {binaryAdd, binarySub, binaryMul, binaryDiv}) {
    Array y(dtypeI32, 6);
    danu_binary(&queueWith(1), y, a, b, kind, 1, &n, &stride, &stride, dtypeI32);
    queueWith(1).wait();
    for (int i = 0; i < 6; i++) {
      double expected = binary(kind, dtypeI32, left[i], right[i]);
      expect(y[i] == expected, "kind %d: f(%g, %g) = %g, not %g", kind, left[i], right[i], y[i], expected);
    }
  }
}

DANU_TEST(testWhere, "where: picks by mask under broadcasting, NaN of the other side included") {
  Random random(4);
  for (int round = 0; round < 150; round++) {
    DType dtype = allTypes[random.integer(0, 6)];
    Shapes s(random);
    Array mask(dtypeU8, s.sizes[0]);
    for (int64_t i = 0; i < s.sizes[0]; i++) mask.set(i, random.chance(50) ? 0 : double(random.integer(1, 255)));
    Array a = randomArray(random, dtype, s.sizes[1], 4, true), b = randomArray(random, dtype, s.sizes[2], 4, true);
    onAllThreads("where", [&](Queue& q) {
      Array y(dtype, s.size);
      danu_where(&q, y, mask, a, b, s.rank, s.shape, s.strides[0], s.strides[1], s.strides[2], dtype);
      q.wait();
      if (q.threads() > 1) return y.bytes();
      for (int64_t i = 0; i < s.size; i++) {
        double expected = mask[s.offset(0, i)] ? a[s.offset(1, i)] : b[s.offset(2, i)];
        expect(isNear(y[i], expected, 0), "type %d: %g, not %g", dtype, y[i], expected);
      }
      expect(y.isGuarded(), "where wrote past its end");
      return y.bytes();
    });
  }
}

DANU_TEST(testInto, "addInto and scaleInto: every pair of types; a factor of 1 leaves every bit") {
  Random random(5);
  for (DType dtype : allTypes) {
    for (DType other : allTypes) {
      int64_t n = random.integer(0, 20000);
      Array x = randomArray(random, other, n, 3), start = randomArray(random, dtype, n, 3, true);
      onAllThreads("addInto", [&](Queue& q) {
        Array y(dtype, n);
        y.assign(start.bytes());
        danu_add_into(&q, y, x, n, dtype, other);
        q.wait();
        if (q.threads() > 1) return y.bytes();
        for (int64_t i = 0; i < n; i++) {
          bool floats = isFloatType(dtype) && isFloatType(other);
          double sum = floats ? double(float(start[i]) + float(x[i])) : start[i] + x[i];
          double expected = rounded(dtype, isFloatType(dtype) ? rounded(dtypeF32, sum) : sum);
          expect(isNear(y[i], expected, 0), "%d += %d: %g, not %g", dtype, other, y[i], expected);
        }
        expect(y.isGuarded(), "addInto wrote past its end");
        return y.bytes();
      });
    }
    for (double factor : {1.0, 0.5, -3.0}) {
      int64_t n = random.integer(1, 20000);
      Array y = randomArray(random, dtype, n, 3, true), by(dtypeF32, 1);
      y.setBits(0, 0x7f);
      by.set(0, factor);
      Array before(dtype, n);
      before.assign(y.bytes());
      danu_scale_into(&queueWith(3), y, by, n, dtype);
      queueWith(3).wait();
      if (factor == 1) expect(y.bytes() == before.bytes(), "type %d: a factor of 1 changed bits", dtype);
      for (int64_t i = 0; i < n; i++) {
        double product = before[i] * factor;
        double expected = rounded(dtype, isFloatType(dtype) ? rounded(dtypeF32, product) : product);
        expect(isNear(y[i], expected, 0), "type %d: %g * %g = %g", dtype, before[i], factor, y[i]);
      }
    }
  }
}

DANU_TEST(testIota, "iota: start + i · step, rounded once") {
  Random random(6);
  for (DType dtype : allTypes) {
    int64_t n = random.integer(0, 40000);
    Array y(dtype, n);
    danu_iota(&queueWith(3), y, n, -3.5, 0.75, dtype);
    queueWith(3).wait();
    for (int64_t i = 0; i < n; i++) {
      double exact = -3.5 + 0.75 * double(i);
      expect(y[i] == rounded(dtype, exact), "type %d: y[%d] = %g, not %g", dtype, int(i), y[i], exact);
    }
    expect(y.isGuarded(), "iota wrote past its end");
  }
}
