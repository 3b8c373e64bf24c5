// Matrix products of the model: fixed output tiles, each a call of sgemm on one thread, so that the bits do not depend
// on the number of threads.
#pragma once
#include <initializer_list>
#include <span>
#include <vector>

#include "sim/model/tensor.hpp"
#include "sim/threads.hpp"

namespace lowbit::model {

/// y (T x out) = x (T x in) w^T, w out x in; then + bias (out values) where given.
struct Product {
  ConstRows x;
  ConstRows w;
  Rows y;
  const float* bias = nullptr;
};

/// Several products in one loop over all their tiles.
void multiply(std::span<const Product> products, Threads& threads);
inline void multiply(const Product& product, Threads& threads) {
  multiply({&product, 1}, threads);
}

/// Says that products of these weights with one row of x follow: threads that wait until then bring what they will read
/// first into their caches.
void expect_vectors(std::span<const ConstRows> weights, Threads& threads);
inline void expect_vectors(std::initializer_list<ConstRows> weights, Threads& threads) {
  expect_vectors(std::span<const ConstRows>(weights.begin(), weights.size()), threads);
}

/// dx (T x in) = dy (T x out) w; with `add` added to dx.
void multiply_by_weight(ConstRows dy, ConstRows w, Rows dx, bool add, Threads& threads);

/// dw (out x in) = dy^T x, summed over all rows.
void multiply_transposed(ConstRows dy, ConstRows x, Rows dw, Threads& threads);

}  // namespace lowbit::model
