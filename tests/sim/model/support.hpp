// Tiny models of tests/vectors/model and comparisons with what transformers and torch computed from them.
#pragma once
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "sim/model/backward.hpp"
#include "sim/model/forward.hpp"
#include "sim/model/loss.hpp"
#include "sim/source/tensor_source.hpp"
#include "tests/support/catch.hpp"

namespace lowbit::test {

inline const std::vector<std::string>& families() {
  static const std::vector<std::string> names = {"llama2", "llama3", "llama_linear_biased", "smollm", "mistral",
                                                 "qwen2",  "qwen3"};
  return names;
}
inline std::string family_folder(const std::string& name) {
  return std::string(LOWBIT_SOURCE_DIR) + "/tests/vectors/model/" + name;
}

inline Threads& test_threads() {
  static Threads threads(2);
  return threads;
}

/// The stored results of a family.
class Expected {
 public:
  explicit Expected(const std::string& family) {
    for (StoredTensor& tensor : open_tensors(family_folder(family) + "/expected/expected.safetensors"))
      tensors_.emplace(tensor.name, std::move(tensor));
  }
  const std::map<std::string, StoredTensor>& all() const { return tensors_; }
  std::vector<float> values(const std::string& name) const { return tensors_.at(name).load_float(); }
  /// Token numbers of both texts, one after the other.
  std::vector<std::int32_t> tokens() const {
    const auto bytes = tensors_.at("tokens").load_bytes();
    std::vector<std::int32_t> out(bytes.size() / sizeof(std::int32_t));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }

 private:
  std::map<std::string, StoredTensor> tensors_;
};
inline constexpr std::size_t kTextLength = 12;

/// The two texts as the batch of a pass.
inline std::vector<model::TokenSpan> batch(const std::vector<std::int32_t>& tokens) {
  const std::span<const std::int32_t> all(tokens);
  return {{all.first(kTextLength), nullptr}, {all.subspan(kTextLength), nullptr}};
}

inline std::vector<float> values(model::ConstRows rows) {
  std::vector<float> out;
  for (std::size_t i = 0; i < rows.rows; ++i) out.insert(out.end(), rows.row(i), rows.row(i) + rows.columns);
  return out;
}

/// max|a - b| / max|b|; infinite where the sizes differ or a is not finite.
inline double max_error(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double error = 0, scale = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return HUGE_VAL;
    error = std::max(error, std::abs(static_cast<double>(a[i]) - b[i]));
    scale = std::max(scale, std::abs(static_cast<double>(b[i])));
  }
  return scale == 0 ? error : error / scale;
}

/// ||a - b|| / ||b||.
inline double norm_error(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return HUGE_VAL;
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - b[i];
    error += d * d;
    norm += static_cast<double>(b[i]) * b[i];
  }
  return norm == 0 ? std::sqrt(error) : std::sqrt(error / norm);
}

/// All logits of a pass.
inline std::vector<float> all_logits(const model::Hooks& hooks, const model::PassResult& pass) {
  std::vector<float> out;
  model::for_each_logits(hooks, pass, test_threads(), [&](std::size_t, model::Rows rows) {
    const auto piece = values(rows);
    out.insert(out.end(), piece.begin(), piece.end());
  });
  return out;
}

}  // namespace lowbit::test
