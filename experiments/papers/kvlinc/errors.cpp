#include "experiments/papers/kvlinc/errors.hpp"

#include <algorithm>
#include <cmath>

#include "experiments/papers/kvlinc/open_tokens.hpp"
#include "formats/block.hpp"
#include "formats/codec.hpp"
#include "sim/kv/clones.hpp"
#include "sim/model/math.hpp"
#include "sim/transform/hadamard.hpp"

namespace lowbit::kvlinc {
namespace {

LOWBIT_KV_CLONES void mix(const float* weights, ConstRows v, std::size_t first, std::size_t end, float* out) {
  for (std::size_t t = first; t < end; ++t)
    for (std::size_t c = 0; c < v.columns; ++c) out[c] += weights[t] * v.row(t)[c];
}

double mean_scale(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context) {
  if (format.scale_element == nullptr) return std::nan("");
  const Quantized q = encode(format, layout, x, context);
  double sum = 0;
  for (const std::uint32_t code : q.scales) sum += decode(*format.scale_element, code);
  return sum / static_cast<double>(q.scales.size());
}

// Largest magnitude of rows in a basis.
float maximum_of(const Matrix& rows, const Transform* basis) {
  Matrix turned(rows.rows(), rows.columns());
  model::copy_rows(rows, turned);
  if (basis != nullptr) basis->forward(turned.data(), turned.data(), rows.rows());
  float most = 0;
  for (std::size_t i = 0; i < rows.rows() * rows.columns(); ++i) most = std::max(most, std::abs(turned.data()[i]));
  return most;
}

}  // namespace

double relative_error(ConstRows x, ConstRows y) {
  double error = 0, norm = 0;
  for (std::size_t t = 0; t < x.rows; ++t)
    for (std::size_t c = 0; c < x.columns; ++c) {
      const double a = x.row(t)[c], difference = a - y.row(t)[c];
      error += difference * difference;
      norm += a * a;
    }
  return std::sqrt(error / norm);
}

Attention attention(const Head& head, ConstRows k, ConstRows v) {
  Attention result;
  for (const Matrix& q : head.q) {
    std::vector<float> weights(q.rows() * head.tokens());
    Matrix output = Matrix::zeros(q.rows(), head.d);
    for (std::size_t i = 0; i < q.rows(); ++i) {
      const std::size_t end = head.first_query() + i + 1;
      const std::size_t first = head.window == 0 || end <= head.window ? 0 : end - head.window;
      float* row = weights.data() + i * head.tokens();
      for (std::size_t t = first; t < end; ++t) row[t] = kv::lane_dot(q.view().row(i), k.row(t), head.d);
      const double sum = model::exp_row(row + first, head.scale(), end - first);
      for (std::size_t t = first; t < end; ++t) row[t] = static_cast<float>(row[t] / sum);
      mix(row, v, first, end, output.view().row(i));
    }
    result.weights.push_back(std::move(weights));
    result.output.push_back(std::move(output));
  }
  return result;
}

AttentionErrors attention_errors(const Attention& exact, const Attention& changed) {
  AttentionErrors errors;
  const auto heads = static_cast<double>(exact.output.size());
  for (std::size_t h = 0; h < exact.output.size(); ++h) {
    const std::size_t n = exact.weights[h].size();
    errors.weights += relative_error({exact.weights[h].data(), 1, n}, {changed.weights[h].data(), 1, n}) / heads;
    errors.output += relative_error(exact.output[h], changed.output[h]) / heads;
  }
  return errors;
}

Kept keep(const Head& head, const std::string& name, kv::MethodOptions options) {
  const kv::LayerShape shape{1, head.d};
  options.residual = 0;
  const kv::Calibration calibration = head.calibration();
  const kv::LayerRules rules = kv::make_method(name, options)->rules(shape, &calibration);
  kv::Cache cache({shape}, std::make_unique<kv::WindowPolicy>(std::vector{rules}, head.rope.get()), true);
  const auto positions = head.positions();
  cache.append({0, positions.data(), head.k, head.k_pre, head.k, head.v});
  Kept kept;
  kv::read_head(cache.reader(0, 0), kept.k, kept.v);
  kept.bytes = cache.held();
  return kept;
}

Scheme apply_scheme(ConstRows rows, const std::string& scheme, const Format& format, const Matrix* fit) {
  const bool channel = scheme.ends_with("channel");
  if (channel) warn_of_open(rows.rows, format.group_size);
  Scheme result;
  result.rows.resize(rows.rows, rows.columns);
  model::copy_rows(rows, result.rows);
  float* x = result.rows.data();
  const auto basis = scheme.starts_with("had") ? make_hadamard(rows.columns, std::nullopt, 0) : nullptr;
  if (basis) basis->forward(x, x, rows.rows);
  // whole groups alone: a tail that does not fill a channel-wise group stays as it is
  const std::size_t count = channel ? rows.rows / format.group_size * format.group_size : rows.rows;
  const Layout layout({count, rows.columns}, channel ? 0 : -1);
  if (count > 0) {
    QuantizeContext context;
    if (fit != nullptr && format.second_level != SecondLevel::none) context.tensor_amax = maximum_of(*fit, basis.get());
    result.mean_scale = mean_scale(format, layout, x, context);
    fake_quantize(format, layout, x, x, context);
  }
  if (basis) basis->inverse(x, x, rows.rows);
  return result;
}

Format min_format(int bits, std::size_t group) {
  return parse_format(fmt::format("int{}:g{}:min:s=fp16:z=fp16", bits, group));
}

}  // namespace lowbit::kvlinc
