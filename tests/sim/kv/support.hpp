// Random rows and caches for the tests of sim/kv.
#pragma once
#include <cmath>
#include <numeric>
#include <vector>

#include "sim/kv/kv.hpp"
#include "sim/kv/methods/method.hpp"
#include "sim/rng.hpp"
#include "tests/support/catch.hpp"

namespace lowbit::test {

inline model::Matrix random_rows(std::size_t rows, std::size_t columns, std::uint64_t seed = 1) {
  Rng rng(seed, "rows");
  model::Matrix out(rows, columns);
  for (std::size_t i = 0; i < rows * columns; ++i) out.data()[i] = static_cast<float>(rng.normal());
  return out;
}

inline std::vector<std::int64_t> positions_from(std::int64_t first, std::size_t count) {
  std::vector<std::int64_t> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

inline bool same_bits(model::ConstRows a, model::ConstRows b) {
  if (a.rows != b.rows || a.columns != b.columns) return false;
  for (std::size_t t = 0; t < a.rows; ++t)
    for (std::size_t c = 0; c < a.columns; ++c)
      if (std::bit_cast<std::uint32_t>(a.row(t)[c]) != std::bit_cast<std::uint32_t>(b.row(t)[c])) return false;
  return true;
}

/// Tokens of one layer.
struct Tokens {
  model::Matrix k_pre, k, v, x;
  explicit Tokens(std::size_t count, const kv::LayerShape& shape, std::uint64_t seed = 1)
      : k_pre(random_rows(count, shape.kv_heads * shape.head_dim, seed)),
        k(random_rows(count, shape.kv_heads * shape.head_dim, seed + 100)),
        v(random_rows(count, shape.kv_heads * shape.head_dim, seed + 200)),
        x(random_rows(count, 2 * shape.kv_heads * shape.head_dim, seed + 300)) {}
  /// Hands tokens first .. first + count - 1 to `append`.
  template <class Append>
  void give(std::size_t first, std::size_t count, Append append) const {
    const auto positions = positions_from(static_cast<std::int64_t>(first), count);
    append(model::CacheTokens{0, positions.data(), x.view().slice(first, count), k_pre.view().slice(first, count),
                              k.view().slice(first, count), v.view().slice(first, count)});
  }
};

inline model::Rope test_rope(std::size_t head_dim) {
  model::Config config;
  config.head_dim = head_dim;
  config.rope_theta = 100000;
  return model::Rope(config);
}

}  // namespace lowbit::test
