// Scale searches: how much a clipping grid gains over absmax scales, and MXFP4 with 256 log-uniform levels.
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/mr_gptq/common.hpp"
#include "sim/weights/grid.hpp"

namespace lowbit {
namespace {
using namespace mr_gptq;
using weights::Grid;
using weights::ScaleSearch;

constexpr std::size_t kColumns = 512;

std::string format_of(const std::string& scale, std::int64_t group) {
  if (scale == "fp32") return fmt::format("e2m1:g{}:s=fp32", group);
  if (scale == "e4m3") return fmt::format("nvfp4:g{}", group);
  return fmt::format("mxfp4:g{}:like=fp_quant", group);
}

bool applies(const Point& p) {
  if (p.text("search") == "alternate") return p.text("scale") == "e4m3";
  return p.text("search") != "dagger" || p.text("scale") == "fp32";
}

ScaleSearch search_of(const std::string& name) {
  return name == "mse"         ? ScaleSearch::mse
         : name == "mse2"      ? ScaleSearch::mse2
         : name == "alternate" ? ScaleSearch::alternate
                               : ScaleSearch::absmax;
}

std::vector<float> make_data(const Point& p, Rng rng) {
  const auto samples = static_cast<std::size_t>(p.integer("samples"));
  return synthetic(p.text("data"), samples - samples % kColumns, static_cast<std::size_t>(p.integer("group")), rng);
}

Record compute(const Point& p, Rng rng) {
  const auto& x = p.shared<std::vector<float>>("data");
  const auto group = static_cast<std::size_t>(p.integer("group"));
  const std::size_t rows = x.size() / kColumns;
  const model::ConstRows w(x.data(), rows, kColumns);
  model::Matrix y(rows, kColumns);
  Threads one(1);
  const Grid grid = p.text("search") == "dagger"
                        ? Grid::dagger(w, group)
                        : Grid::make(parse_format(format_of(p.text("scale"), p.integer("group"))), w,
                                     search_of(p.text("search")), one);
  grid.round(w, y, one);
  std::vector<double> ratios;
  double squares = 0, energy = 0;
  for (std::size_t first = 0; first < x.size(); first += group) {
    double error = 0, square = 0;
    for (std::size_t i = first; i < first + group; ++i) {
      const double e = static_cast<double>(x[i]) - y.data()[i];
      error += e * e;
      square += static_cast<double>(x[i]) * x[i];
    }
    squares += error, energy += square;
    ratios.push_back(error / square);
  }
  double mean = 0;
  for (const double v : ratios) mean += v / static_cast<double>(ratios.size());
  std::vector<double> batches(40, 0.0), counts(40, 0.0);
  for (std::size_t i = 0; i < ratios.size(); ++i)
    batches[i * 40 / ratios.size()] += ratios[i], counts[i * 40 / ratios.size()] += 1;
  const Interval interval = bootstrap_ratio(batches, counts, rng.split("batches"), 400);
  return {{"rel", mean}, {"rel_low", interval.low}, {"rel_high", interval.high}, {"pooled", squares / energy}};
}

std::string quantity(const char* search, const char* scale, int group) {
  return fmt::format("rel[data=normal,search={},scale={},group={}]", search, scale, group);
}

std::vector<Row> rows_of(const Results& r) {
  std::vector<Row> rows;
  for (const int group : {16, 32})
    for (const char* scale : {"fp32", "e4m3", "e8m0"})
      for (const char* search : {"absmax", "mse", "mse2", "alternate", "dagger"}) {
        const Coordinates at{{"data", "normal"}, {"search", search}, {"scale", scale}, {"group", group}};
        const double rel = r.at("rel", at);
        if (std::isnan(rel)) continue;
        rows.push_back(sampled_row(quantity(search, scale, group), rel, {r.at("rel_low", at), r.at("rel_high", at)}));
      }
  for (const char* data : {"normal", "laplace"}) {
    const auto at = [&](const char* search) {
      return r.at("rel", {{"data", data}, {"search", search}, {"scale", "fp32"}, {"group", 32}});
    };
    rows.push_back(exact_row(fmt::format("dagger_over_fp32_scales[data={}]", data), at("dagger") / at("absmax"),
                             "same groups in both: the ratio has next to no sampling error"));
  }
  return rows;
}

Experiment grid() {
  Experiment e = declare("grid", "MSE grids; appendix H", "Relative error of E2M1 by the search of its scales");
  e.param("samples", std::int64_t{1} << 21, "values, in rows of 512", at_least(4096))
      .axis("data", texts({"normal", "laplace"}), "", "each group times 2^U[0,1)")
      .axis("group", integers({16, 32}), "1", "values per scale")
      .axis("scale", texts({"fp32", "e4m3", "e8m0"}), "", "element of the scale; e4m3 with a float tensor scale")
      .axis("search", texts({"absmax", "mse", "mse2", "alternate", "dagger"}), "",
            "mse: least sum |e|^2.4 of 100 scales; mse2: least squares; alternate: with the tensor scale; dagger: 256 "
            "levels")
      .where(applies)
      .draws_vary_with({"data", "group"})
      .shared("data", {"data", "group"}, make_data)
      .output("rel", "1", "mean over groups of sum (x - xq)^2 / sum x^2")
      .output("rel_low", "1", "95 % bootstrap over batches of groups")
      .output("rel_high", "1", "see rel_low")
      .output("pooled", "1", "sum (x - xq)^2 / sum x^2")
      .quick("samples=32768 data=normal")
      .cost(6)
      .point(compute)
      .rows(rows_of);
  e.reference(near(quantity("absmax", "fp32", 16), .0089, .03))
      .reference(near(quantity("mse", "fp32", 16), .0074, .03));
  e.reference(near(quantity("mse", "e4m3", 16), .0079, .03))
      .reference(near(quantity("absmax", "fp32", 32), .0102, .03));
  e.reference(near(quantity("mse", "fp32", 32), .0088, .03));
  e.reference(within("dagger_over_fp32_scales[data=normal]", 1, {.995, 1.005}));
  e.reference(within("dagger_over_fp32_scales[data=laplace]", 1, {.995, 1.005}));
  return e;
}
LOWBIT_REGISTER(grid);

}  // namespace
}  // namespace lowbit
