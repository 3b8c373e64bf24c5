// What the rounding of the block scale costs: power-of-two rules against BF16 and unquantised scales on Gaussian data,
// over the position of sigma within an octave; and what rounding the data to BF16 changes.
#include <algorithm>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/pairs.hpp"
#include "experiments/papers/int_vs_fp/phase_error.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "formats/codec.hpp"
#include "sim/portable_math.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

constexpr std::size_t kColumns = 4096;
const std::vector<std::string> kMxPresets{"mxint8", "mxfp8_e4m3", "mxint6", "mxfp6_e2m3", "mxint4", "mxfp4"};
const std::vector<std::string> kNvPresets{"nvint4", "nvfp4"};

std::vector<std::string> preset_names() {
  auto names = kMxPresets;
  names.insert(names.end(), kNvPresets.begin(), kNvPresets.end());
  return names;
}

bool is_nv(const std::string& preset) {
  return preset.starts_with("nv");
}

/// Format of a preset with another scale: E8M0 rules, or the element with BF16 or float scales.
std::string format_name(const std::string& preset, const std::string& rule) {
  if (is_nv(preset)) return preset;
  if (rule != "bf16" && rule != "fp32") return fmt::format("{}:rule={}", preset, rule);
  return fmt::format("{}:g32:s={}", parse_format(preset).element->name, rule);
}

/// `even` is not defined for integers; NV formats have one rule, listed as "amax"; BF16 data are run with ceil and
/// amax.
bool in_table(const Point& p) {
  const auto &preset = p.text("format"), &rule = p.text("rule");
  if (p.text("data") == "bf16" && rule != "ceil" && rule != "amax") return false;
  if (is_nv(preset) || rule == "amax") return is_nv(preset) && rule == "amax";
  return rule != "even" || preset.starts_with("mxfp");
}

/// Gaussian data with sigma = 2^octave, in float or rounded to BF16.
std::vector<float> make_data(const Point& p, Rng rng) {
  auto x = gaussian_rows(static_cast<std::size_t>(p.integer("rows")), kColumns, false, std::move(rng));
  const double sigma = portable_exp(0.6931471805599453 * p.real("octave"));
  const Element& bf16 = element("bf16");
  for (float& value : x) {
    value = static_cast<float>(value * sigma);
    if (p.text("data") == "bf16") value = round_to(bf16, value);
  }
  return x;
}

Record compute_scale_rules(const Point& p, Rng rng) {
  const auto errors =
      row_errors(format_name(p.text("format"), p.text("rule")), p.shared<std::vector<float>>("data"), kColumns);
  double mean = 0;
  for (const double error : errors) mean += error / static_cast<double>(errors.size());
  const Interval interval = bootstrap_mean(errors, std::move(rng), 400);
  Record record{{"qsnr", -decibel(mean)}, {"qsnr_low", -decibel(interval.high)}, {"qsnr_high", -decibel(interval.low)}};
  return record.set("relative_error", errors);
}

/// QSNR of a format and rule over the octave of sigma.
class Octave {
 public:
  Octave(const Results& results, const std::string& preset, const std::string& rule) {
    const Coordinates where{{"format", preset}, {"rule", is_nv(preset) ? "amax" : rule}, {"data", "fp32"}};
    qsnr_ = results.along("qsnr", "octave", where);
    low_ = results.along("qsnr_low", "octave", where);
    high_ = results.along("qsnr_high", "octave", where);
  }
  Row phase_averaged(std::string quantity) const {
    return sampled_row(std::move(quantity), average(qsnr_), {average(low_), average(high_)});
  }
  Row extreme(std::string quantity, bool least) const {
    if (qsnr_.empty()) return exact_row(std::move(quantity), std::nan(""));
    const auto at = static_cast<std::size_t>(
        (least ? std::min_element(qsnr_.begin(), qsnr_.end()) : std::max_element(qsnr_.begin(), qsnr_.end())) -
        qsnr_.begin());
    return sampled_row(std::move(quantity), qsnr_[at], {low_[at], high_[at]});
  }

 private:
  /// dB of the mean relative error. The draws are the same for all sigmas, so bounds are averaged like values.
  static double average(const std::vector<double>& decibels) {
    double error = decibels.empty() ? std::nan("") : 0;
    for (const double value : decibels)
      error += portable_exp(-value * 0.23025850929940458) / static_cast<double>(decibels.size());
    return -decibel(error);
  }
  std::vector<double> qsnr_, low_, high_;
};

/// Relative error of each row of the data, averaged over the octave of sigma; empty if the run has none.
std::vector<double> errors_over_octave(const Results& results, const std::string& preset, const char* data) {
  std::vector<double> sums;
  for (const auto& octave : results.coordinates("octave")) {
    const auto errors = results.along(
        "relative_error", "row",
        {{"format", preset}, {"rule", is_nv(preset) ? "amax" : "ceil"}, {"data", data}, {"octave", octave}});
    sums.resize(errors.size());
    for (std::size_t i = 0; i < errors.size(); ++i) sums[i] += errors[i];
  }
  return sums;
}

/// What rounding the data to BF16 costs: rows are paired, the draws are the same.
Row bf16_data_row(const Results& results, const std::string& preset) {
  const auto rounded = errors_over_octave(results, preset, "bf16"), plain = errors_over_octave(results, preset, "fp32");
  const auto total = [](const std::vector<double>& values) {
    double sum = values.empty() ? std::nan("") : 0;
    for (const double value : values) sum += value;
    return sum;
  };
  auto quantity = fmt::format("bf16_data_loss_db[format={}]", preset);
  const double loss = decibel(total(rounded) / total(plain));
  if (std::isnan(loss)) return exact_row(std::move(quantity), loss);
  const Interval ratio = bootstrap_ratio(rounded, plain, results.rng(quantity), 400);
  return sampled_row(std::move(quantity), loss, {decibel(ratio.low), decibel(ratio.high)});
}

std::vector<Row> scale_rules_rows(const Results& results) {
  std::vector<Row> rows;
  for (const auto& preset : kMxPresets) {
    const auto at_one = [&](std::string quantity, const char* data) {
      const Coordinates where{{"format", preset}, {"rule", "ceil"}, {"data", data}, {"octave", 0.0}};
      rows.push_back(sampled_row(std::move(quantity), results.at("qsnr", where),
                                 {results.at("qsnr_low", where), results.at("qsnr_high", where)}));
    };
    at_one(fmt::format("qsnr[format={},rule=ceil,sigma=1]", preset), "fp32");
    at_one(fmt::format("bf16_data_qsnr[format={},sigma=1]", preset), "bf16");
    for (const char* rule : {"ceil", "floor", "ceil_pow2", "even", "bf16", "fp32"}) {
      if (std::string(rule) == "even" && !preset.starts_with("mxfp")) continue;
      rows.push_back(Octave(results, preset, rule)
                         .phase_averaged(fmt::format("qsnr[format={},rule={},sigma=phase_averaged]", preset, rule)));
    }
  }
  for (const auto& preset : preset_names()) {
    const Octave octave(results, preset, "ceil");
    for (const bool least : {true, false}) {
      const char* name = least ? "min" : "max";
      rows.push_back(octave.extreme(fmt::format("qsnr_over_octave[format={},extreme={}]", preset, name), least));
      if (preset != "mxint8" && preset != "mxint6" && preset != "mxint4" && preset != "mxfp4") continue;
      rows.push_back(octave.extreme(fmt::format("octave_range[format={},extreme={}]", preset, name), least));
    }
    rows.push_back(bf16_data_row(results, preset));
  }
  return rows;
}

Experiment scale_rules() {
  return with_references(
      Experiment{"int_vs_fp/scale_rules"}
          .paper(kPaper, "eq. 7-9", "QSNR on Gaussian data by the rule that makes the block scale")
          .param("rows", 256, "rows of 4096 values", at_least(8))
          .axis("data", texts({"fp32", "bf16"}), "", "bf16: values rounded to BF16 before quantising")
          .axis("format", texts(preset_names()), "", "block format")
          .axis("rule", texts({"ceil", "floor", "ceil_pow2", "even", "bf16", "fp32", "amax"}), "",
                "E8M0 rules; bf16, fp32: scales amax / max in these types; amax: the NV formats' own")
          .axis("octave", numbers({0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875}), "1", "log2 of sigma")
          .where(in_table)
          .dim(
              "row", [](const Params& params) { return indices(static_cast<std::size_t>(params.integer("rows"))); },
              "1", "row of the data")
          .draws_vary_with({})
          .shared("data", {"data", "octave"}, make_data)
          .output("qsnr", "dB", "-10 log10 of the mean over rows of sum (x - xq)^2 / sum x^2")
          .output("qsnr_low", "dB", "95 % bootstrap over rows")
          .output("qsnr_high", "dB", "see qsnr_low")
          .output("relative_error", "1", "sum (x - xq)^2 / sum x^2 of a row", {"row"})
          .quick("rows=16 octave=0,0.5")
          .cost(3)
          .point(compute_scale_rules)
          .rows(scale_rules_rows));
}
LOWBIT_REGISTER(scale_rules);

}  // namespace
}  // namespace lowbit
