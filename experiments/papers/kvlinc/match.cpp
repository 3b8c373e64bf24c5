#include "experiments/papers/kvlinc/match.hpp"

#include <algorithm>

namespace lowbit::kvlinc {
namespace {

Matrix drawn_rows(std::size_t rows, std::size_t columns, const char* name) {
  Rng rng(1, name);
  Matrix out(rows, columns);
  for (std::size_t i = 0; i < rows * columns; ++i) out.data()[i] = static_cast<float>(rng.normal());
  return out;
}

std::vector<kv::MethodOptions> choices(const std::string& method, const kv::MethodOptions& options, std::size_t d) {
  std::vector<kv::MethodOptions> out;
  kv::MethodOptions own = options;
  if (method.starts_with("gear")) {
    for (own.rank = 1; own.rank <= 16; ++own.rank) out.push_back(own);
    return out;
  }
  if (method.starts_with("kvquant") || method == "resq" || method == "fp" || options.format) return {options};
  for (own.group = 16; own.group <= 128; own.group *= 2)
    for (std::size_t v = 16; v <= std::min<std::size_t>(128, d); v *= 2) {
      own.v_group = v;
      if (options.residual % own.group == 0) out.push_back(own);
    }
  return out;
}

}  // namespace

double stored_bits(const std::string& method, const kv::MethodOptions& options, const kv::LayerShape& shape,
                   std::size_t tokens) {
  const std::size_t width = shape.kv_heads * shape.head_dim;
  const Matrix k = drawn_rows(tokens, width, "k"), v = drawn_rows(tokens, width, "v");
  const auto rope = make_rope(shape.head_dim, 1e5);
  const kv::Calibration calibration{k, k, v};
  const kv::LayerRules rules = kv::make_method(method, options)->rules(shape, &calibration);
  kv::Cache cache({shape}, std::make_unique<kv::WindowPolicy>(std::vector{rules}, rope.get()), true);
  std::vector<std::int64_t> positions(tokens);
  for (std::size_t t = 0; t < tokens; ++t) positions[t] = static_cast<std::int64_t>(t);
  cache.append({0, positions.data(), k, k, k, v});
  return 8 * static_cast<double>(cache.bytes()) / static_cast<double>(2 * tokens * width);
}

kv::MethodOptions match_bits(const std::string& method, kv::MethodOptions options, const kv::LayerShape& shape,
                             std::size_t tokens, double target) {
  double distance = 1e300;
  kv::MethodOptions best = options;
  for (const kv::MethodOptions& own : choices(method, options, shape.head_dim)) {
    const double off = std::abs(stored_bits(method, own, shape, tokens) - target);
    if (off < distance - 1e-12) distance = off, best = own;
  }
  return best;
}

}  // namespace lowbit::kvlinc
