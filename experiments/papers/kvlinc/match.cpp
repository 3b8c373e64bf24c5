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

enum class Choice { group, rank, none };
Choice choice_of(const std::string& method) {
  if (method.starts_with("gear")) return Choice::rank;
  return method.starts_with("kvquant") || method == "resq" || method == "fp" ? Choice::none : Choice::group;
}

std::vector<kv::MethodOptions> choices(const std::string& method, const kv::MethodOptions& options, std::size_t d) {
  std::vector<kv::MethodOptions> out;
  kv::MethodOptions own = options;
  const Choice choice = choice_of(method);
  if (choice == Choice::rank) {
    for (own.rank = 1; own.rank <= 16; ++own.rank) out.push_back(own);
    return out;
  }
  if (choice == Choice::none || options.format) return {options};
  for (own.group = 16; own.group <= 128; own.group *= 2)
    for (std::size_t v = 16; v <= std::min<std::size_t>(128, d); v *= 2) {
      own.v_group = v;
      if (options.residual % own.group == 0) out.push_back(own);
    }
  return out;
}

}  // namespace

double stored_bits(const kv::LayerRules& rules, const kv::LayerShape& shape, std::size_t tokens, kv::View view) {
  const std::size_t width = shape.kv_heads * shape.head_dim;
  const Matrix k = drawn_rows(tokens, width, "k"), v = drawn_rows(tokens, width, "v");
  const auto rope = make_rope(shape.head_dim, 1e5);
  const bool all = view == kv::View::all;
  kv::Cache cache({shape}, std::make_unique<kv::WindowPolicy>(std::vector{rules}, rope.get()), all);
  std::vector<std::int64_t> positions(tokens);
  for (std::size_t t = 0; t < tokens; ++t) positions[t] = static_cast<std::int64_t>(t);
  const auto give = [&](std::size_t first, std::size_t count) {
    const ConstRows keys = k.view().slice(first, count);
    cache.append({0, positions.data() + first, keys, keys, keys, v.view().slice(first, count)});
  };
  const std::size_t before = all || tokens < 2 ? 0 : tokens - 1;
  if (before > 0) give(0, before);
  give(before, tokens - before);
  return 8 * static_cast<double>(cache.bytes()) / static_cast<double>(2 * tokens * width);
}

double stored_bits(const std::string& method, const kv::MethodOptions& options, const kv::LayerShape& shape,
                   std::size_t tokens, kv::View view) {
  const std::size_t width = shape.kv_heads * shape.head_dim;
  const Matrix k = drawn_rows(tokens, width, "k"), v = drawn_rows(tokens, width, "v");
  const kv::Calibration calibration{k, k, v};
  return stored_bits(kv::make_method(method, options)->rules(shape, &calibration), shape, tokens, view);
}

double state_bits(std::size_t features, std::size_t head_dim, std::size_t tokens) {
  return 16.0 * static_cast<double>(features * (head_dim + 1)) / static_cast<double>(2 * tokens * head_dim);
}

std::string match_note(double bits, double target) {
  return fmt::format(", aimed at {:.2f}{}", target, std::abs(bits - target) > kMatchedBits ? ": not matched" : "");
}

kv::MethodOptions match_bits(const std::string& method, kv::MethodOptions options, const kv::LayerShape& shape,
                             std::size_t tokens, double target, kv::View view) {
  double distance = 1e300;
  kv::MethodOptions best = options;
  const auto own_choices = choices(method, options, shape.head_dim);
  if (own_choices.size() == 1) return own_choices.front();
  for (const kv::MethodOptions& own : own_choices) {
    const double off = std::abs(stored_bits(method, own, shape, tokens, view) - target);
    if (off < distance - 1e-12) distance = off, best = own;
  }
  return best;
}

std::string choice_note(const std::string& method, std::size_t group, std::size_t v_group, std::size_t rank) {
  const Choice choice = choice_of(method);
  if (choice == Choice::none) return "";
  return choice == Choice::rank ? fmt::format("rank {}", rank) : fmt::format("G = {} and {}", group, v_group);
}

}  // namespace lowbit::kvlinc
