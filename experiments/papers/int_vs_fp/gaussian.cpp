// Reference statistics on i.i.d. Gaussian data: QSNR of every element under three scales and six group sizes, and crest
// factors.
#include <algorithm>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/pairs.hpp"
#include "experiments/papers/int_vs_fp/phase_error.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "sim/metric/crest_factor.hpp"
#include "sim/portable_math.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

constexpr std::size_t kColumns = 4096;
const std::vector<std::string> kElements{"int8", "int6", "int4", "int3", "int2", "e4m3",
                                         "e5m2", "e2m3", "e3m2", "e2m1", "e3m4"};

std::string format_name(const std::string& element, const std::string& scale, std::int64_t group) {
  if (scale == "e4m3") return fmt::format("{}:g{}:s=e4m3:ts=fp32", element, group);
  if (scale == "fp32") return fmt::format("{}:g{}:s=fp32", element, group);
  return fmt::format("{}:g{}:s=e8m0:rule={}", element, group, scale);
}

/// E4M3 scales are run for the NV elements and groups up to 128.
bool in_table(const Point& p) {
  const bool nv = p.text("element") == "int4" || p.text("element") == "e2m1";
  return p.text("scale") != "e4m3" || (nv && p.integer("group") <= 128);
}

std::vector<float> make_data(const Point& p, Rng rng) {
  return gaussian_rows(static_cast<std::size_t>(p.integer("rows")), kColumns, true, std::move(rng));
}

Record compute_gaussian(const Point& p, Rng rng) {
  const auto name = format_name(p.text("element"), p.text("scale"), p.integer("group"));
  const auto errors = row_errors(name, p.shared<std::vector<float>>("data"), kColumns);
  double mean = 0;
  for (const double error : errors) mean += error / static_cast<double>(errors.size());
  const Interval interval = bootstrap_mean(errors, std::move(rng), 400);
  return {{"qsnr", -decibel(mean)}, {"qsnr_low", -decibel(interval.high)}, {"qsnr_high", -decibel(interval.low)}};
}

std::vector<Row> gaussian_rows_of(const Results& results) {
  std::vector<Row> rows;
  const auto add = [&](std::string quantity, const std::string& element, const char* scale, std::int64_t group) {
    const Coordinates where{{"element", element}, {"scale", scale}, {"group", group}};
    rows.push_back(sampled_row(std::move(quantity), results.at("qsnr", where),
                               {results.at("qsnr_low", where), results.at("qsnr_high", where)}));
  };
  for (const auto& element : kElements) {
    for (const char* scale : {"ceil", "floor", "fp32"}) {
      for (const int group : {16, 32, 64, 128, 256, 4096}) {
        add(fmt::format("qsnr[element={},scale={},group={}]", element, scale, group), element, scale, group);
      }
    }
  }
  for (const int group : {16, 32, 64, 128}) {
    for (const char* element : {"int4", "e2m1"}) {
      add(fmt::format("qsnr[element={},scale=e4m3,group={}]", element, group), element, "e4m3", group);
    }
  }
  for (const auto& pair : kPairs) {  // against the paper's rotated tensors
    const bool nv = pair.group == 16;
    const auto add_pair = [&](const char* kind, std::string_view preset) {
      add(fmt::format("rotated_average[pair={},kind={}]", pair.name, kind),
          std::string(parse_format(std::string(preset)).element->name), nv ? "e4m3" : "ceil", nv ? 16 : 32);
    };
    add_pair("int", pair.integer);
    add_pair("fp", pair.floating);
  }
  return rows;
}

Experiment gaussian() {
  return with_references(
      Experiment{"int_vs_fp/gaussian"}
          .paper(kPaper, "section 5 (Gaussian data)", "QSNR of every element on Gaussian data by scale and group size")
          .param("rows", 1024, "rows of 4096 values, each times its own 2^u", at_least(8))
          .axis("element", texts(kElements), "", "element format")
          .axis("scale", texts({"ceil", "floor", "fp32", "e4m3"}), "",
                "ceil, floor: E8M0; fp32: amax / max, not quantised; e4m3: with a float tensor scale")
          .axis("group", integers({16, 32, 64, 128, 256, 4096}), "1", "values per scale")
          .where(in_table)
          .draws_vary_with({})
          .shared("data", {}, make_data)
          .output("qsnr", "dB", "-10 log10 of the mean over rows of sum (x - xq)^2 / sum x^2")
          .output("qsnr_low", "dB", "95 % bootstrap over rows")
          .output("qsnr_high", "dB", "see qsnr_low")
          .quick("rows=32 group=16,32")
          .cost(4)
          .point(compute_gaussian)
          .rows(gaussian_rows_of));
}
LOWBIT_REGISTER(gaussian);

// ---- crest factors

constexpr std::size_t kReplicates = 200;
const std::vector<std::string> kStatistics{"mean", "sd", "q1", "median", "q3"};

std::vector<double> statistics_of(const std::vector<double>& kappa) {
  double mean = 0, variance = 0;
  for (const double k : kappa) mean += k / static_cast<double>(kappa.size());
  for (const double k : kappa) variance += (k - mean) * (k - mean) / static_cast<double>(kappa.size() - 1);
  return {mean, std::sqrt(variance), quantile(kappa, 0.25), quantile(kappa, 0.5), quantile(kappa, 0.75)};
}

Record compute_crest(const Point& p, Rng rng) {
  const auto group = static_cast<std::size_t>(p.integer("group")),
             blocks = static_cast<std::size_t>(p.integer("blocks"));
  const auto x = gaussian_rows(blocks, group, false, rng.split("data"));
  std::vector<double> kappa;
  for (std::size_t i = 0; i < x.size(); i += group) kappa.push_back(crest_factor(&x[i], group));
  // one resample serves all five statistics
  std::vector<std::vector<double>> resampled(kStatistics.size());
  Rng draw = rng.split("bootstrap");
  for (std::size_t replicate = 0; replicate < kReplicates; ++replicate) {
    std::vector<double> some(kappa.size());
    for (double& value : some) value = kappa[draw.below(kappa.size())];
    const auto statistics = statistics_of(some);
    for (std::size_t s = 0; s < statistics.size(); ++s) resampled[s].push_back(statistics[s]);
  }
  std::vector<double> low, high;
  for (const auto& values : resampled) {
    low.push_back(quantile(values, 0.025));
    high.push_back(quantile(values, 0.975));
  }
  Record record;
  return record.set("kappa", statistics_of(kappa)).set("kappa_low", low).set("kappa_high", high);
}

std::vector<Row> crest_rows(const Results& results) {
  std::vector<Row> rows;
  for (const auto& group : results.coordinates("group")) {
    for (const auto& statistic : kStatistics) {
      const Coordinates where{{"group", group}, {"statistic", statistic}};
      rows.push_back(sampled_row(fmt::format("kappa[group={},statistic={}]", group.print(), statistic),
                                 results.at("kappa", where),
                                 {results.at("kappa_low", where), results.at("kappa_high", where)}));
    }
  }
  return rows;
}

Experiment gaussian_crest() {
  return with_references(
      Experiment{"int_vs_fp/gaussian_crest"}
          .paper(kPaper, "eq. 11 (Gaussian data)", "Crest factors of blocks of Gaussian data")
          .param("blocks", 20000, "blocks per group size", at_least(100))
          .axis("group", integers({8, 16, 32, 64, 128, 256, 512, 1024, 4096}), "1", "values per block")
          .dim("statistic", texts(kStatistics), "", "over blocks")
          .output("kappa", "1", "max|x| / rms(x) of a block, mean not removed", {"statistic"})
          .output("kappa_low", "1", "95 % bootstrap over blocks", {"statistic"})
          .output("kappa_high", "1", "see kappa_low", {"statistic"})
          .quick("blocks=500 group=16,32")
          .cost(6)
          .point(compute_crest)
          .rows(crest_rows));
}
LOWBIT_REGISTER(gaussian_crest);

}  // namespace
}  // namespace lowbit
