// Coarse granularity: integer against float elements with one scale per 32 values up to one per row, power-of-two
// scales and unquantised ones.
#include <algorithm>
#include <cmath>
#include <map>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/crossover.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "experiments/papers/int_vs_fp/tensor_run.hpp"
#include "sim/metric/crest_factor.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

std::vector<std::string> coarse_sources() {
  std::vector<std::string> names;
  for (const auto family : kFamilies) {
    const auto members = family_members(family, true);
    names.insert(names.end(), members.begin(), members.end());
  }
  names.emplace_back("uniform");
  return names;
}

std::string format_name(const std::string& element, const std::string& scale, std::int64_t group) {
  return fmt::format("{}:g{}:s={}{}", element, group, scale, scale == "e8m0" ? ":rule=ceil" : "");
}

Record compute_granularity(const Point& p, Rng rng) {
  const TensorShape shape{static_cast<std::size_t>(p.integer("rows")), static_cast<std::size_t>(p.integer("columns"))};
  const Source source = Source::parse(p.text("source"));
  std::vector<double> qsnr, kappa;
  for (std::int64_t tensor = 0; tensor < p.integer("samples"); ++tensor) {
    Rng stream = rng.split(fmt::format("tensor {}", tensor));
    const auto x = draw_tensor(source, shape, stream);
    kappa.push_back(crest_factors(shape.layout(), x.data(), static_cast<long>(p.integer("group"))).mean);
    for (const auto& element : p.coordinates("element")) {
      const auto name = format_name(element.text(), p.text("scale"), p.integer("group"));
      qsnr.push_back(tensor_qsnr(parse_format(name), shape.layout(), x));
    }
  }
  Record record;
  return record.set("qsnr", qsnr).set("kappa", kappa);
}

/// Points of the coarsest granularity: crest factor and float - integer in dB per tensor.
struct CoarsePoint {
  std::vector<double> kappa, float_lead;
};
using CoarsePoints = std::map<std::string, CoarsePoint>;

CoarsePoints coarse_points(const Results& results, const char* integer, const char* floating, const char* scale) {
  CoarsePoints points;
  for (const auto& source : coarse_sources()) {
    const Coordinates where{{"source", source}, {"scale", scale}, {"group", 2048}};
    auto with = [&](const char* element) {
      auto all = where;
      all.emplace_back("element", element);
      return results.along("qsnr", "tensor", all);
    };
    CoarsePoint point{results.along("kappa", "tensor", where), with(floating)};
    const auto other = with(integer);
    if (point.kappa.empty() || other.empty()) continue;
    for (std::size_t i = 0; i < other.size(); ++i) point.float_lead[i] -= other[i];
    points[source] = point;
  }
  return points;
}

/// Smallest mean of sign * (float - integer) over the points with a mean crest factor in [low, high].
Row lead_row(const Results& results, std::string quantity, const CoarsePoints& points, double sign, double low,
             double high) {
  double least = std::nan("");
  std::string where;
  for (const auto& [source, point] : points) {
    const auto all = all_of(point.kappa.size());
    const double kappa = mean(point.kappa, all), lead = sign * mean(point.float_lead, all);
    if (source == "uniform" || kappa < low || kappa > high || lead >= least) continue;
    least = lead;
    where = source;
  }
  if (where.empty()) return exact_row(std::move(quantity), std::nan(""));
  const auto& leads = points.at(where).float_lead;
  const auto statistic = [&](std::span<const std::size_t> picks) { return sign * mean(leads, picks); };
  Row row = sampled_row(std::move(quantity), least, bootstrap(leads.size(), statistic, results.rng(where)));
  row.note = "reached by " + where;
  return row;
}

/// Crossover of integer and float along the members of a family.
Row crossover_row(const Results& results, std::string quantity, const CoarsePoints& points, std::string_view family) {
  std::vector<const CoarsePoint*> members;
  for (const auto& source : family_members(family, true)) {
    if (const auto found = points.find(source); found != points.end()) members.push_back(&found->second);
  }
  if (members.empty()) return exact_row(std::move(quantity), std::nan(""));
  const auto crossover = [&](std::span<const std::size_t> picks) {
    std::vector<DifferencePoint> curve;
    for (const auto* member : members) curve.push_back({mean(member->kappa, picks), -mean(member->float_lead, picks)});
    std::sort(curve.begin(), curve.end(), [](const auto& a, const auto& b) { return a.kappa < b.kappa; });
    return falling_crossover(curve);
  };
  const std::size_t tensors = members[0]->kappa.size();
  return sampled_row(std::move(quantity), crossover(all_of(tensors)),
                     bootstrap(tensors, crossover, results.rng(family), 400));
}

std::vector<Row> granularity_rows(const Results& results) {
  const auto eight = coarse_points(results, "int8", "e4m3", "e8m0"),
             four = coarse_points(results, "int4", "e2m1", "e8m0");
  const auto precise = coarse_points(results, "int8", "e4m3", "fp32");
  std::vector<Row> rows;
  rows.push_back(lead_row(results, "smallest_lead_db[winner=e4m3,kappa_above=8.5]", eight, 1, 8.5, INFINITY));
  rows.push_back(lead_row(results, "smallest_lead_db[winner=int8,kappa_below=6.8]", eight, -1, 0, 6.8));
  rows.push_back(lead_row(results, "smallest_lead_db[winner=e2m1,kappa_from=2.3]", four, 1, 2.3, INFINITY));
  if (const auto uniform = four.find("uniform"); uniform != four.end()) {
    rows.push_back(mean_row("uniform_tie_db", uniform->second.float_lead, results.rng("uniform")));
  }
  for (const auto family : kFamilies) {
    rows.push_back(
        crossover_row(results, fmt::format("crossover[family={},pair=8,scale=e8m0]", family), eight, family));
  }
  for (const char* family : {"t", "channel_scales"}) {
    rows.push_back(
        crossover_row(results, fmt::format("crossover[family={},pair=8,scale=fp32]", family), precise, family));
  }
  return rows;
}

Experiment granularity() {
  return with_references(
      Experiment{"int_vs_fp/granularity"}
          .paper(kPaper, "section 5.1 (coarse groups)",
                 "Integer and float elements from 32 values per scale to whole rows")
          .param("samples", 8, "tensors per source", at_least(1))
          .param("rows", 256, "rows of a tensor, each times exp(0.5 z), z ~ N(0, 1)", at_least(1))
          .param("columns", 2048, "columns, along which the groups run", at_least(32))
          .axis("source",
                texts(coarse_sources(), checked([](const std::string& name) { return Source::parse(name).name(); })),
                "", "family of random tensors")
          .axis("scale", texts({"e8m0", "fp32"}), "", "e8m0: power of two, rounded up; fp32: amax / max, not quantised")
          .axis("group", integers({32, 256, 2048}), "1", "values per scale")
          .dim(
              "tensor",
              [](const Params& params) { return indices(static_cast<std::size_t>(params.integer("samples"))); }, "1",
              "tensor number")
          .dim("element", texts({"int8", "e4m3", "int4", "e2m1"}), "", "element format")
          .draws_vary_with({"source"})
          .output("qsnr", "dB", "10 log10(sum x^2 / sum (x - xq)^2) over the tensor", {"tensor", "element"})
          .output("kappa", "1", "crest factor max|x| / rms(x), mean over groups", {"tensor"})
          .quick("samples=2 rows=32 source=t:dof=3,t:dof=100,uniform group=32,2048")
          .cost(55)
          .point(compute_granularity)
          .rows(granularity_rows));
}
LOWBIT_REGISTER(granularity);

}  // namespace
}  // namespace lowbit
