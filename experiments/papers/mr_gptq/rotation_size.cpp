// Rotation size against group size on rows of which some channels are large.
#include <array>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/mr_gptq/common.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {
namespace {
using namespace mr_gptq;

constexpr std::size_t kChannels = 512;
constexpr std::array<int, 7> kSizes{1, 16, 32, 64, 128, 256, 512};

/// Formats of the published comparison: element, its group size, errors over kSizes.
struct Series {
  const char *name, *element;
  int group;
  std::array<double, 7> values;
};
constexpr Series kSeries[] = {
    {"nvfp4", "nvfp4", 16, {.0084, .0123, .0115, .0106, .0102, .0097, .0097}},
    {"mxfp4", "mxfp4", 32, {.0320, .0126, .0114, .0113, .0118, .0123, .0129}},
    {"int4_g32", "int4", 32, {.0284, .0060, .0046, .0050, .0059, .0069, .0079}},
    {"int4_row", "int4", 512, {.174, .032, .021, .014, .013, .0126, .0129}},
};

std::string format_of(const std::string& element, std::int64_t group) {
  if (element == "int4") return fmt::format("int4:g{}:s=fp16", group);
  return fmt::format("{}:g{}:like=fp_quant", element, group);
}

/// Rows of N(0, 1), channels 0, 100, ..., 500 times 20, rotated.
struct Rotated {
  std::vector<float> values;
  std::vector<double> energy;  ///< of each row
};

Rotated make_rows(const Point& p, Rng rng) {
  const auto rows = static_cast<std::size_t>(p.integer("rows"));
  Rotated data{std::vector<float>(rows * kChannels), std::vector<double>(rows, 0.0)};
  for (std::size_t i = 0; i < data.values.size(); ++i) {
    data.values[i] = static_cast<float>(rng.normal() * (i % kChannels % 100 == 0 ? 20 : 1));
    data.energy[i / kChannels] += static_cast<double>(data.values[i]) * data.values[i];
  }
  const std::int64_t size = p.integer("rotation");
  apply(*parse_transform(size == 1 ? "id" : fmt::format("had:{}", size)), Layout::matrix(rows, kChannels),
        data.values.data(), data.values.data());
  return data;
}

Record compute(const Point& p, Rng rng) {
  const auto& data = p.shared<Rotated>("rows");
  std::vector<float> y(data.values.size());
  const std::size_t rows = data.energy.size();
  fake_quantize(parse_format(format_of(p.text("element"), p.integer("group"))), Layout::matrix(rows, kChannels),
                data.values.data(), y.data());
  std::vector<double> ratios(rows, 0.0);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double e = static_cast<double>(data.values[i]) - y[i];
    ratios[i / kChannels] += e * e;
  }
  double mean = 0;
  for (std::size_t r = 0; r < rows; ++r) mean += (ratios[r] /= data.energy[r]) / static_cast<double>(rows);
  const Interval interval = bootstrap_mean(ratios, rng.split("rows"), 200);
  return {{"rel", mean}, {"rel_low", interval.low}, {"rel_high", interval.high}};
}

std::vector<Row> rows_of(const Results& r) {
  std::vector<Row> rows;
  for (const Series& s : kSeries) {
    int best = 0;
    double least = HUGE_VAL, none = std::nan("");
    bool all_worse = true;
    for (const int size : kSizes) {
      const Coordinates at{{"element", s.element}, {"group", s.group}, {"rotation", size}};
      const double rel = r.at("rel", at);
      rows.push_back(sampled_row(fmt::format("rel[format={},rotation={}]", s.name, size), rel,
                                 {r.at("rel_low", at), r.at("rel_high", at)}));
      if (size == 1) none = rel;
      if (size > 1 && rel <= none) all_worse = false;
      if (rel < least) least = rel, best = size;
    }
    rows.push_back(
        exact_row(fmt::format("best_rotation[format={}]", s.name), least < HUGE_VAL ? best : std::nan(""), "1: none"));
    if (std::string(s.name) == "nvfp4")
      rows.push_back(exact_row("every_rotation_is_worse_than_none[format=nvfp4]", all_worse ? 1 : 0));
  }
  return rows;
}

Experiment rotation_size() {
  Experiment e =
      declare("rotation_size", "rotation sizes", "Errors by rotation size and group size, rows with outlier channels");
  e.param("rows", 8192, "rows of 512 channels, N(0, 1), channels 0, 100, ..., 500 times 20", at_least(2))
      .axis("element", texts({"nvfp4", "mxfp4", "int4"}), "",
            "nvfp4, mxfp4: as the paper's repository, with another group; int4: -7 .. 7, fp16 scales")
      .axis("group", integers({8, 16, 32, 64, 128, 256, 512}), "1", "values per scale (512: the row)")
      .axis("rotation", integers({1, 16, 32, 64, 128, 256, 512}), "1", "order of the Hadamard blocks; 1: none")
      .draws_vary_with({})
      .shared("rows", {"rotation"}, make_rows)
      .output("rel", "1", "mean over rows of sum (x - xq)^2 / sum x^2")
      .output("rel_low", "1", "95 % bootstrap over rows")
      .output("rel_high", "1", "see rel_low")
      .quick("rows=256 rotation=1,32,512 group=16,32,512")
      .cost(12)
      .point(compute)
      .rows(rows_of);
  for (const Series& s : kSeries)
    for (std::size_t i = 0; i < kSizes.size(); ++i)
      e.reference(near(fmt::format("rel[format={},rotation={}]", s.name, kSizes[i]), s.values[i], .1));
  e.reference(within("best_rotation[format=nvfp4]", 1, {1, 1}));
  e.reference(within("every_rotation_is_worse_than_none[format=nvfp4]", 1, {1, 1}));
  e.reference(within("best_rotation[format=mxfp4]", {}, {32, 64}, kSimulation, "minimum near 32 to 64"));
  e.reference(within("best_rotation[format=int4_g32]", 32, {32, 32}, kSimulation, "minimum at the size of the group"));
  e.reference(within("best_rotation[format=int4_row]", 256, {256, 256}, kSimulation, "least of the listed values"));
  return e;
}
LOWBIT_REGISTER(rotation_size);

}  // namespace
}  // namespace lowbit
