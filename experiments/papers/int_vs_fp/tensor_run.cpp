#include "experiments/papers/int_vs_fp/tensor_run.hpp"

#include <fmt/format.h>

#include "sim/metric/quantisation_error.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit::int_vs_fp {
namespace {

std::vector<std::string> members(std::string_view pattern, const std::vector<double>& parameters) {
  std::vector<std::string> names;
  for (const double parameter : parameters) names.push_back(fmt::format("{}={:g}", pattern, parameter));
  return names;
}

}  // namespace

std::vector<float> draw_tensor(const Source& source, const TensorShape& shape, Rng& rng) {
  std::vector<float> x(shape.rows * shape.columns);
  source.fill(rng, shape.rows, shape.columns, x.data());
  if (shape.row_spread > 0) scale_rows(rng, shape.row_spread, shape.rows, shape.columns, x.data());
  return x;
}

double tensor_qsnr(const Format& format, const Layout& layout, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  fake_quantize(format, layout, x.data(), y.data());
  return quantisation_error(x.data(), y.data(), x.size()).qsnr_db;
}

std::vector<float> rotated(const std::vector<float>& x, const Layout& layout, std::size_t n, std::uint64_t stream) {
  std::vector<float> y(x.size());
  apply(*parse_transform(fmt::format("rhad:{}", n), stream), layout, x.data(), y.data());
  return y;
}

std::vector<std::string> family_members(std::string_view family, bool extended) {
  if (family == "t") return members("t:dof", {2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100});
  if (family == "channel_scales") return members("channel_scales:c", {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1});
  std::vector<double> exponents{0.8, 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6};
  if (extended) exponents.insert(exponents.begin(), {0.5, 0.6, 0.7});
  return members("generalised_gaussian:p", exponents);
}

}  // namespace lowbit::int_vs_fp
