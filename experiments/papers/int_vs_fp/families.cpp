// Families of random tensors: QSNR of nine formats against the crest factor, as they are and after a random Hadamard
// rotation. Method C's tensors; what holds for all of them (order of the formats, flatness of MXFP8, effect of the
// rotation).
#include <algorithm>
#include <cmath>
#include <functional>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/pairs.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "experiments/papers/int_vs_fp/tensor_run.hpp"
#include "sim/metric/crest_factor.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

const std::vector<std::string> kNineFormats{"mxint8", "mxfp8_e4m3", "mxint6", "mxfp6_e2m3", "mxint4",
                                            "mxfp4",  "nvint4",     "nvfp4",  "mxfp8_e5m2"};
const std::string kChannels = "outlier_channels:gain=20:every=97";

std::vector<std::string> all_sources() {
  std::vector<std::string> names;
  for (const auto family : kFamilies) {
    const auto members = family_members(family);
    names.insert(names.end(), members.begin(), members.end());
  }
  for (const char* other : {"gaussian", "laplace", "uniform"}) names.emplace_back(other);
  names.push_back(kChannels);
  return names;
}

std::string canonical_source(const std::string& name) {
  return Source::parse(name).name();
}

/// Outputs of one tensor. Rotations have the order of the block: 32 for MX, 16 for NV.
void measure(const std::vector<float>& x, const Layout& layout, bool rotate, std::uint64_t stream,
             std::vector<double>& qsnr, std::vector<double>& kappa32, std::vector<double>& kappa16,
             std::vector<double>& kappa_channel) {
  const auto wide = rotate ? rotated(x, layout, 32, stream) : x;
  const auto narrow = rotate ? rotated(x, layout, 16, stream) : x;
  for (const auto& name : kNineFormats) {
    qsnr.push_back(tensor_qsnr(parse_format(paper_format(name)), layout, name.starts_with("nv") ? narrow : wide));
  }
  kappa32.push_back(crest_factors(layout, wide.data(), 32).mean);
  kappa16.push_back(crest_factors(layout, narrow.data(), 16).mean);
  kappa_channel.push_back(crest_factors(layout, wide.data(), kChannelGroup).mean);
}

Record compute_families(const Point& p, Rng rng) {
  const TensorShape shape{static_cast<std::size_t>(p.integer("rows")), static_cast<std::size_t>(p.integer("columns"))};
  const Source source = Source::parse(p.text("source"));
  std::vector<double> qsnr, kappa32, kappa16, kappa_channel;
  for (std::int64_t tensor = 0; tensor < p.integer("samples"); ++tensor) {
    Rng stream = rng.split(fmt::format("tensor {}", tensor));
    const auto x = draw_tensor(source, shape, stream);
    measure(x, shape.layout(), p.text("transform") == "rhad", stream.word64(), qsnr, kappa32, kappa16, kappa_channel);
  }
  Record record;
  return record.set("qsnr", qsnr).set("kappa32", kappa32).set("kappa16", kappa16).set("kappa_channel", kappa_channel);
}

/// A view of the results: values of one source and transform, per tensor.
class Table {
 public:
  explicit Table(const Results& results) : results_(results) {}
  std::vector<double> qsnr(const std::string& source, const std::string& format, const char* transform = "id") const {
    return results_.along("qsnr", "tensor", {{"source", source}, {"transform", transform}, {"format", format}});
  }
  /// QSNR of one format less that of another, tensor by tensor.
  std::vector<double> lead(const std::string& source, const std::string& winner, const std::string& loser,
                           const char* transform = "id") const {
    auto difference = qsnr(source, winner, transform);
    const auto other = qsnr(source, loser, transform);
    for (std::size_t i = 0; i < difference.size(); ++i) difference[i] -= other[i];
    return difference;
  }
  std::vector<double> kappa(const std::string& source, int group, const char* transform = "id") const {
    return results_.along(fmt::format("kappa{}", group), "tensor", {{"source", source}, {"transform", transform}});
  }
  Rng rng(std::string_view label) const { return results_.rng(label); }

 private:
  const Results& results_;
};

double average(const std::vector<double>& values) {
  return mean(values);
}

enum class Extreme { least, most };

/// The extreme over several sources of a statistic of their tensors, with the interval of the source that has it.
Row extreme_row(const Table& table, std::string quantity, const std::vector<std::string>& sources, Extreme extreme,
                const std::function<std::vector<double>(const std::string&)>& values_of,
                const std::function<double(const std::vector<double>&)>& statistic) {
  double best = std::nan("");
  std::string where;
  for (const auto& source : sources) {
    const auto values = values_of(source);
    if (values.empty()) return exact_row(std::move(quantity), std::nan(""));  // not in this run
    const double value = statistic(values);
    if (!std::isnan(best) && (extreme == Extreme::least ? value >= best : value <= best)) continue;
    best = value;
    where = source;
  }
  if (where.empty()) return exact_row(std::move(quantity), std::nan(""));
  const auto values = values_of(where);
  const auto resampled = [&](std::span<const std::size_t> picks) {
    std::vector<double> some;
    for (const std::size_t i : picks) some.push_back(values[i]);
    return statistic(some);
  };
  Row row = sampled_row(std::move(quantity), best, bootstrap(values.size(), resampled, table.rng(where)));
  row.note = "reached by " + where;
  return row;
}

double least_of(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}
double most_of(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}
double median_of(const std::vector<double>& values) {
  return quantile(values, 0.5);
}

/// Sources (uniform, Gaussian and Laplace apart) whose mean crest factor lies in [low, high].
std::vector<std::string> with_kappa(const Table& table, int group, double low, double high) {
  std::vector<std::string> some;
  for (const auto& source : all_sources()) {
    if (source == "gaussian" || source == "laplace" || source == "uniform") continue;
    const auto kappa = table.kappa(source, group);
    if (!kappa.empty() && mean(kappa) >= low && mean(kappa) <= high) some.push_back(source);
  }
  return some;
}

/// Item 5: which format of a pair is ahead.
void add_order_rows(const Table& table, std::vector<Row>& rows) {
  const auto add = [&](const char* winner, const char* loser, const std::string& limit,
                       const std::vector<std::string>& sources) {
    rows.push_back(extreme_row(
        table, fmt::format("smallest_lead_db[winner={},loser={}{}]", winner, loser, limit), sources, Extreme::least,
        [&](const std::string& source) { return table.lead(source, winner, loser); }, average));
  };
  const auto middle = with_kappa(table, 32, 2.3, 3.8);
  add("mxint8", "mxfp8_e4m3", "", middle);
  add("mxfp6_e2m3", "mxint6", "", middle);
  add("mxfp4", "mxint4", "", middle);
  add("nvint4", "nvfp4", ",kappa16_below=2.12", with_kappa(table, 16, 0, 2.12));
  add("nvfp4", "nvint4", ",kappa16_above=2.35", with_kappa(table, 16, 2.35, 4));
}

/// Item 6: MXFP8 does not care about the family.
void add_flatness_rows(const Table& table, std::vector<Row>& rows) {
  std::vector<std::string> members;
  for (const auto family : kFamilies) {
    for (const auto& member : family_members(family)) members.push_back(member);
  }
  for (const char* format : {"mxfp8_e4m3", "mxfp8_e5m2"}) {
    const auto values = [&](const std::string& source) { return table.qsnr(source, format); };
    rows.push_back(extreme_row(table, fmt::format("median_qsnr[format={},extreme=min]", format), members,
                               Extreme::least, values, median_of));
    rows.push_back(extreme_row(table, fmt::format("median_qsnr[format={},extreme=max]", format), members, Extreme::most,
                               values, median_of));
  }
  rows.push_back(
      mean_row("qsnr[format=mxfp8_e5m2,source=gaussian]", table.qsnr("gaussian", "mxfp8_e5m2"), table.rng("e5m2")));
}

/// Item 7: random Hadamard rotation of heavy tails, single tensors.
void add_rotation_rows(const Table& table, std::vector<Row>& rows) {
  const std::vector<std::string> heavy{"t:dof=3", "t:dof=4", "t:dof=5", "t:dof=6", "t:dof=8", "laplace"};
  const std::vector<std::string> heaviest{"t:dof=2.5"};
  auto all = heavy;
  all.insert(all.begin(), heaviest[0]);
  using Values = std::function<std::vector<double>(const std::string&)>;
  const auto add = [&](const std::string& name, const std::string& prefix, const std::vector<std::string>& sources,
                       const Values& values, bool both) {
    rows.push_back(
        extreme_row(table, fmt::format("{}[{}min]", name, prefix), sources, Extreme::least, values, least_of));
    if (both)
      rows.push_back(
          extreme_row(table, fmt::format("{}[{}max]", name, prefix), sources, Extreme::most, values, most_of));
  };
  const Values gap = [&](const std::string& s) { return table.lead(s, "nvint4", "nvfp4", "rhad"); };
  const Values mx6 = [&](const std::string& s) { return table.lead(s, "mxfp6_e2m3", "mxint6", "rhad"); };
  const Values mx4 = [&](const std::string& s) { return table.lead(s, "mxfp4", "mxint4", "rhad"); };
  const Values before = [&](const std::string& s) { return table.lead(s, "nvint4", "nvfp4"); };
  const Values drop = [&](const std::string& s) {
    auto values = table.qsnr(s, "nvfp4");
    const auto after = table.qsnr(s, "nvfp4", "rhad");
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = i < after.size() ? values[i] - after[i] : std::nan("");
    return values;
  };
  add(
      "rotated_kappa32", "", all, [&](const std::string& s) { return table.kappa(s, 32, "rhad"); }, true);
  add(
      "rotated_kappa16", "", all, [&](const std::string& s) { return table.kappa(s, 16, "rhad"); }, true);
  add("nv_gap_rotated_db", "", heavy, gap, true);
  add("nvfp4_drop_db", "", heavy, drop, true);
  add("mx6_lead_db", "", heavy, mx6, false);
  add("mx4_lead_db", "", heavy, mx4, false);
  const std::string prefix = "source=t:dof=2.5,";
  add("nv_gap_rotated_db", prefix, heaviest, gap, true);
  add("nvfp4_drop_db", prefix, heaviest, drop, true);
  add("mx6_lead_db", prefix, heaviest, mx6, true);
  add("mx4_lead_db", prefix, heaviest, mx4, false);
  const std::vector<std::string> negative{"t:dof=3", "t:dof=4", "t:dof=5", "t:dof=6", "laplace"};
  rows.push_back(extreme_row(table, "nv_gap_before_db[max]", negative, Extreme::most, before, average));
  rows.push_back(mean_row("nv_gap_before_db[source=t:dof=8]", before("t:dof=8"), table.rng("t8")));
}

/// Mean values of the families that the independent simulation lists.
void add_mean_rows(const Table& table, std::vector<Row>& rows) {
  const auto add = [&](const std::string& source, const char* transform) {
    const auto where = fmt::format("source={},transform={}", source, transform);
    for (const int group : {32, 16}) {
      rows.push_back(mean_row(fmt::format("mean_kappa[{},group={}]", where, group),
                              table.kappa(source, group, transform), table.rng(where)));
    }
    for (const auto& format : kNineFormats) {
      if (format == "mxfp8_e5m2") continue;
      rows.push_back(mean_row(fmt::format("mean_qsnr[{},format={}]", where, format),
                              table.qsnr(source, format, transform), table.rng(where)));
    }
  };
  for (const char* source : {"uniform", "generalised_gaussian:p=4", "gaussian", "t:dof=8", "laplace", "t:dof=3"})
    add(source, "id");
  add(kChannels, "id");
  add(kChannels, "rhad");
}

std::vector<Row> families_rows(const Results& results) {
  const Table table(results);
  std::vector<Row> rows;
  add_order_rows(table, rows);
  add_flatness_rows(table, rows);
  add_rotation_rows(table, rows);
  add_mean_rows(table, rows);
  return rows;
}

Experiment families() {
  return with_references(
      Experiment{"int_vs_fp/families"}
          .paper(kPaper, "Fig. 4 (synthetic)", "Families of random tensors with and without random Hadamard rotation")
          .param("samples", 8, "tensors per source", at_least(1))
          .param("rows", 256, "rows of a tensor, each times exp(0.5 z), z ~ N(0, 1)", at_least(1))
          .param("columns", 2048, "columns, along which the blocks run", at_least(32))
          .axis("source", texts(all_sources(), checked(canonical_source)), "", "family of random tensors")
          .axis("transform", texts({"id", "rhad"}), "",
                "rhad: random signs and Hadamard of order 32 (MX, kappa32) or 16 (NV, kappa16)")
          .dim(
              "tensor",
              [](const Params& params) { return indices(static_cast<std::size_t>(params.integer("samples"))); }, "1",
              "tensor number")
          .dim("format", texts(kNineFormats), "", "block format, E8M0 scales rounded up")
          .draws_vary_with({"source"})
          .output("qsnr", "dB", "10 log10(sum x^2 / sum (x - xq)^2) over the tensor", {"tensor", "format"})
          .output("kappa32", "1", "crest factor max|x| / rms(x), mean over blocks of 32", {"tensor"})
          .output("kappa16", "1", "the same for blocks of 16", {"tensor"})
          .output("kappa_channel", "1", "the same for whole rows", {"tensor"})
          .quick("samples=2 rows=32 columns=512 source=gaussian,t:dof=3,t:dof=8,laplace")
          .cost(25)
          .point(compute_families)
          .rows(families_rows));
}
LOWBIT_REGISTER(families);

}  // namespace
}  // namespace lowbit
