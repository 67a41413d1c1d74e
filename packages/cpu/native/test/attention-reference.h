// Attention and its gradient by the definition, in double precision, and random cases to compare with.
#pragma once

#include <algorithm>
#include <string>

#include "../api/attention.h"
#include "../simd.h"
#include "test.h"

namespace danu::test {

using Numbers = std::vector<float>;

inline Numbers randomNumbers(Random& random, int64_t count, bool roundToBf16) {
  Numbers values((size_t)count);
  for (float& value : values) {
    value = 1.7f * random.uniform();
    if (roundToBf16) value = widen(narrow<bf16>(value));
  }
  return values;
}

/// One call with its inputs as f32, exact in the type they are passed in.
struct AttentionCase {
  int64_t B, T, S, H, keyValueHeads, D, slidingWindow;
  int32_t dtype;
  double scale = 0;
  Numbers q{}, k{}, v{}, dO{};
  std::vector<int32_t> documentStart{};

  void fill(Random& random, bool documents) {
    scale = 1 / std::sqrt(double(D));
    bool isBf16 = dtype == dtypeBf16;
    q = randomNumbers(random, B * T * H * D, isBf16);
    dO = randomNumbers(random, B * T * H * D, isBf16);
    k = randomNumbers(random, B * S * keyValueHeads * D, isBf16);
    v = randomNumbers(random, B * S * keyValueHeads * D, isBf16);
    if (!documents) return;
    for (int64_t b = 0; b < B; b++) {
      int32_t start = 0;
      for (int64_t s = 0; s < S; s++) {
        if (random.chance(4)) start = int32_t(s);
        documentStart.push_back(start);
      }
    }
  }

  int64_t position(int64_t t) const { return S - T + t; }
  int64_t firstKey(int64_t b, int64_t t) const {
    int64_t p = position(t), first = slidingWindow > 0 ? std::max<int64_t>(0, p - slidingWindow + 1) : 0;
    return documentStart.empty() ? first : std::max<int64_t>(first, documentStart[size_t(b * S + p)]);
  }
  size_t queryAt(int64_t b, int64_t t, int64_t h) const { return size_t(((b * T + t) * H + h) * D); }
  size_t keyAt(int64_t b, int64_t s, int64_t h) const {
    return size_t(((b * S + s) * keyValueHeads + h / (H / keyValueHeads)) * D);
  }
  size_t sumAt(int64_t b, int64_t t, int64_t h) const { return size_t((b * H + h) * T + t); }

  std::string text() const {
    char line[200];
    std::snprintf(line, sizeof line, "B %ld T %ld S %ld H %ld/%ld D %ld window %ld documents %d dtype %d", long(B),
                  long(T), long(S), long(H), long(keyValueHeads), long(D), long(slidingWindow),
                  int(!documentStart.empty()), int(dtype));
    return line;
  }
};

inline AttentionCase randomAttention(Random& random, int64_t longest) {
  constexpr int64_t sizes[] = {1, 7, 16, 32, 33, 64, 80, 96, 100, 120, 128, 256};
  int64_t heads = random.integer(1, 3), S = random.integer(1, longest);
  int64_t T = random.chance(60) ? S : random.chance(50) ? 1 : random.integer(1, S);
  AttentionCase test{.B = random.integer(1, 2),
                     .T = T,
                     .S = S,
                     .H = heads * random.integer(1, 5),
                     .keyValueHeads = heads,
                     .D = sizes[random.integer(0, 11)],
                     .slidingWindow = random.chance(50) ? random.integer(1, S + 10) : 0,
                     .dtype = random.chance(50) ? dtypeBf16 : dtypeF32};
  test.fill(random, random.chance(50));
  return test;
}

/// Outputs of one forward and backward call.
template <class Real>
struct AttentionResult {
  std::vector<Real> o, lse, dQ, dK, dV;
};

/// One query: softmax over the keys it sees, its output, and what it adds to the gradients.
inline void referenceQuery(const AttentionCase& c, int64_t b, int64_t t, int64_t h, AttentionResult<double>& r) {
  int64_t first = c.firstKey(b, t), last = c.position(t);
  size_t at = c.queryAt(b, t, h);
  std::vector<double> weights;
  double largest = -INFINITY, sum = 0, delta = 0;
  for (int64_t s = first; s <= last; s++) {
    double score = 0;
    for (int64_t d = 0; d < c.D; d++) score += double(c.q[at + size_t(d)]) * c.k[c.keyAt(b, s, h) + size_t(d)];
    weights.push_back(score * c.scale);
    largest = std::max(largest, weights.back());
  }
  for (double& weight : weights) sum += weight = std::exp(weight - largest);
  r.lse[c.sumAt(b, t, h)] = largest + std::log(sum);
  for (int64_t s = first; s <= last; s++) {
    double weight = weights[size_t(s - first)] /= sum;
    for (size_t d = 0; d < size_t(c.D); d++) r.o[at + d] += weight * c.v[c.keyAt(b, s, h) + d];
  }
  for (size_t d = 0; d < size_t(c.D); d++) delta += r.o[at + d] * c.dO[at + d];
  for (int64_t s = first; s <= last; s++) {
    size_t key = c.keyAt(b, s, h);
    double weight = weights[size_t(s - first)], dWeight = 0;
    for (size_t d = 0; d < size_t(c.D); d++) dWeight += double(c.dO[at + d]) * c.v[key + d];
    double dScore = weight * (dWeight - delta) * c.scale;
    for (size_t d = 0; d < size_t(c.D); d++) {
      r.dV[key + d] += weight * c.dO[at + d];
      r.dQ[at + d] += dScore * c.k[key + d];
      r.dK[key + d] += dScore * c.q[at + d];
    }
  }
}

inline AttentionResult<double> attentionReference(const AttentionCase& c) {
  AttentionResult<double> r{std::vector<double>(c.q.size()), std::vector<double>(size_t(c.B * c.H * c.T)),
                            std::vector<double>(c.q.size()), std::vector<double>(c.k.size()),
                            std::vector<double>(c.k.size())};
  for (int64_t b = 0; b < c.B; b++)
    for (int64_t h = 0; h < c.H; h++)
      for (int64_t t = 0; t < c.T; t++) referenceQuery(c, b, t, h, r);
  return r;
}

/// An array on the device, with NaN where it was not given, and guards behind it.
class DeviceArray {
 public:
  DeviceArray(Queue& q, size_t count, int32_t dtype) : count_(count), dtype_(dtype), bytes_(count * size(dtype)) {
    data_ = (unsigned char*)q.memory.allocate(bytes_ + guard);
    std::memset(data_, 0xff, bytes_ + guard);
  }

  DeviceArray(Queue& q, const Numbers& values, int32_t dtype) : DeviceArray(q, values.size(), dtype) {
    for (size_t i = 0; i < count_; i++) {
      if (dtype == dtypeF32) ((float*)data_)[i] = values[i];
      else ((bf16*)data_)[i] = narrow<bf16>(values[i]);
    }
  }

  uint64_t address() const { return (uint64_t)data_; }

  /// The numbers; fails the test when something was written behind them.
  Numbers read() const {
    for (size_t i = 0; i < guard; i++) expect(data_[bytes_ + i] == 0xff, "wrote behind the array");
    Numbers values(count_);
    for (size_t i = 0; i < count_; i++) values[i] = dtype_ == dtypeF32 ? ((float*)data_)[i] : widen(((bf16*)data_)[i]);
    return values;
  }

 private:
  static constexpr size_t guard = 256;
  static size_t size(int32_t dtype) { return dtype == dtypeF32 ? 4 : 2; }

  size_t count_;
  int32_t dtype_;
  size_t bytes_;
  unsigned char* data_;
};

/// Runs the case forward and backward on a device of its own.
inline AttentionResult<float> runAttention(const AttentionCase& c, int threads) {
  Queue queue(threads);
  DeviceArray q(queue, c.q, c.dtype), k(queue, c.k, c.dtype), v(queue, c.v, c.dtype), dO(queue, c.dO, c.dtype);
  DeviceArray o(queue, c.q.size(), c.dtype), lse(queue, size_t(c.B * c.H * c.T), dtypeF32);
  DeviceArray dQ(queue, c.q.size(), c.dtype), dK(queue, c.k.size(), c.dtype), dV(queue, c.k.size(), c.dtype);
  uint64_t documents = c.documentStart.empty() ? 0 : (uint64_t)c.documentStart.data();
  int32_t status = danu_attention_forward(&queue, o.address(), lse.address(), q.address(), k.address(), v.address(),
                                          documents, c.B, c.T, c.S, c.H, c.keyValueHeads, c.D, c.slidingWindow, c.scale,
                                          c.dtype);
  expect(status == danu_ok, "%s: forward gave %d", c.text().c_str(), status);
  status = danu_attention_backward(&queue, dQ.address(), dK.address(), dV.address(), dO.address(), q.address(),
                                   k.address(), v.address(), o.address(), lse.address(), documents, c.B, c.T, c.S, c.H,
                                   c.keyValueHeads, c.D, c.slidingWindow, c.scale, c.dtype);
  expect(status == danu_ok, "%s: backward gave %d", c.text().c_str(), status);
  queue.wait();
  return {o.read(), lse.read(), dQ.read(), dK.read(), dV.read()};
}

}  // namespace danu::test
