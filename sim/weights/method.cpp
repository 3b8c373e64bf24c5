#include "sim/weights/method.hpp"

#include <algorithm>

#include "formats/error.hpp"
#include "formats/random.hpp"
#include "sim/model/quantised_sites.hpp"
#include "sim/weights/methods.hpp"
#include "sim/weights/settings.hpp"

namespace lowbit::weights {
namespace {

constexpr std::string_view kDagger = "mxfp4_dagger";

}  // namespace

OperandFormat OperandFormat::parse(const std::string& name) {
  if (name == kDagger) return {parse_format("e2m1:g32:s=fp32"), true};
  return {parse_format(name), false};
}

std::string OperandFormat::name() const {
  return dagger ? std::string(kDagger) : to_string(format);
}

double OperandFormat::bits() const {
  return dagger ? 4.25 : format.bits_per_value();
}

InputMap nominal_input(const InputGroup& group, const Target& target) {
  InputMap map;
  map.transform = parse_transform(target.transform, stream_of(group.name));
  check_fits(*map.transform, Layout::matrix(1, group.width()), group.name);
  map.format = target.activation;
  return map;
}

void InputMap::apply(Rows x, std::uint64_t stream, Threads& threads) const {
  for (std::size_t i = 0; !channel_divisor.empty() && i < x.rows; ++i)
    for (std::size_t c = 0; c < x.columns; ++c) x.row(i)[c] /= channel_divisor[c];
  if (format && format->dagger) {
    model::quantise_rows(nullptr, *transform, false, stream, x, threads);
    std::vector<float> scales(x.rows * ((x.columns + 31) / 32));
    LogLevels used;
    if (levels) {
      used = *levels;
    } else {
      absmax_scales(x, 32, scales.data());
      used = LogLevels::fit(scales);
    }
    quantise_log(used, 32, x);
    return;
  }
  std::optional<model::SiteFormat> site;
  if (format) site = model::SiteFormat{format->format, fixed_maximum};
  model::quantise_rows(site ? &*site : nullptr, *transform, false, stream, x, threads);
}

std::shared_ptr<const Method> parse_method(std::string_view name) {
  const Settings settings(name);
  if (settings.base() == "rtn") return make_rtn(settings);
  if (settings.base() == "gptq" || settings.base() == "mr_gptq") return make_gptq(settings);
  if (settings.base() == "smoothquant") return make_smoothquant(settings);
  throw_error(ExitCode::usage, "method '{}': unknown; accepted: rtn, gptq, mr_gptq, smoothquant", settings.base());
}

}  // namespace lowbit::weights
