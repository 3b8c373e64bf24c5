#include "experiments/tools/analysis.hpp"

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

#include "formats/codec.hpp"
#include "formats/like/like.hpp"
#include "formats/random.hpp"
#include "sim/metric/kurtosis.hpp"

namespace lowbit {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Whether a code is one of the two ends of the element's range: the value it stands for may have been cut.
class EndCodes {
 public:
  explicit EndCodes(const Format& format) : format_(format), top_(static_cast<float>(format.code_element().max())) {}
  bool contains(std::uint32_t code) const {
    const Element& e = format_.code_element();
    if (format_.zero_point != ZeroPoint::none) return code == 0 || code == e.code_count() - 1;
    const float value = decode(*format_.element, code);
    if (e.is_integer()) return value == static_cast<float>(e.q_min) || value == static_cast<float>(e.q_max);
    return std::fabs(value) == top_ || std::isinf(value);
  }

 private:
  const Format& format_;
  float top_;
};

FormatRow measure(const Format& format, const Layout& layout, const std::vector<float>& x, std::uint64_t stream) {
  std::vector<float> y(x.size());
  std::optional<Quantized> q;
  const QuantizeContext context{stream, 0, std::nullopt};
  const bool has_codes = format.like.empty() || like::implementation(format.like).encode != nullptr;
  if (!x.empty()) {
    if (has_codes) q = encode(format, layout, x.data(), context);
    if (format.like.empty())
      decode(*q, y.data());
    else
      fake_quantize(format, layout, x.data(), y.data(), context);
  }
  return {to_string(format), quantisation_error(x.data(), y.data(), x.size()), clipped_fraction(format, x, y, q),
          zeroed_fraction(x, y)};
}

bool are_a_pair(const Format& a, const Format& b) {
  return a.element->is_integer() && b.element->is_float() && a.element->bits == b.element->bits && a.group == b.group &&
         a.group_size == b.group_size && a.tile_rows == b.tile_rows && a.scale_element == b.scale_element &&
         a.rule == b.rule && a.second_level == b.second_level && a.like == b.like;
}

std::vector<PairRow> make_pairs(const std::vector<Format>& formats, const std::vector<FormatRow>& rows) {
  std::vector<PairRow> pairs;
  for (std::size_t i = 0; i < formats.size(); ++i)
    for (std::size_t f = 0; f < formats.size(); ++f) {
      if (!are_a_pair(formats[i], formats[f])) continue;
      const double a = rows[i].error.qsnr_db, b = rows[f].error.qsnr_db;
      const double delta = std::isfinite(a) && std::isfinite(b) ? a - b : kNan;
      const char* winner = std::isnan(a) || std::isnan(b) ? "" : a > b ? "int" : a < b ? "fp" : "tie";
      pairs.push_back({rows[i].format, rows[f].format, winner, delta});
    }
  return pairs;
}

TransformAnalysis analyse_one(const Layout& layout, const std::vector<float>& x, const Transform& transform,
                              const std::vector<Format>& formats, std::uint64_t stream, int threads) {
  TransformAnalysis result{transform.name(), excess_kurtosis(x.data(), x.size()), {}, {}, {}};
  for (const long group : kCrestGroups) result.rows.push_back({group, crest_factors(layout, x.data(), group)});
  result.formats.resize(formats.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i; (i = next++) < formats.size();) result.formats[i] = measure(formats[i], layout, x, stream);
  };
  std::vector<std::thread> helpers;
  for (int t = 1; t < threads && static_cast<std::size_t>(t) < formats.size(); ++t) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  result.pairs = make_pairs(formats, result.formats);
  return result;
}

}  // namespace

double clipped_fraction(const Format& format, const std::vector<float>& x, const std::vector<float>& y,
                        const std::optional<Quantized>& q) {
  if (!q || x.empty()) return kNan;
  const EndCodes ends(format);
  std::size_t clipped = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i])) return kNan;
    clipped += ends.contains(q->code(i)) &&
               (format.zero_point == ZeroPoint::none ? std::fabs(x[i]) > std::fabs(y[i]) || std::isinf(y[i])
                                                     : x[i] != y[i] && (q->code(i) == 0 ? x[i] < y[i] : x[i] > y[i]));
  }
  return static_cast<double>(clipped) / static_cast<double>(x.size());
}

double zeroed_fraction(const std::vector<float>& x, const std::vector<float>& y) {
  std::size_t zeroed = 0;
  for (std::size_t i = 0; i < x.size(); ++i) zeroed += x[i] != 0 && y[i] == 0;
  return x.empty() ? kNan : static_cast<double>(zeroed) / static_cast<double>(x.size());
}

TensorAnalysis analyse(const std::string& name, const Shape& shape, const Layout& layout,
                       const std::vector<float>& values,
                       const std::vector<std::shared_ptr<const Transform>>& transforms,
                       const std::vector<Format>& formats, int threads) {
  TensorAnalysis result{name, shape, layout.axis, {}};
  std::vector<float> x(values.size());
  for (const auto& transform : transforms) {
    apply(*transform, layout, values.data(), x.data());
    result.transforms.push_back(analyse_one(layout, x, *transform, formats, stream_of(name), threads));
  }
  return result;
}

}  // namespace lowbit
