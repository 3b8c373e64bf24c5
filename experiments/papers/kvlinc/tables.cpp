#include "experiments/papers/kvlinc/tables.hpp"

#include <atomic>
#include <cmath>
#include <stdexcept>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/kvlinc/heads.hpp"

namespace lowbit::kvlinc {
namespace {

/// {figure, text of its table}.
constexpr std::pair<std::string_view, std::string_view> kTables[] = {
#include "kvlinc_reference.inc"
};

std::vector<double> pick(const Results& results, const std::string& output, Coordinates where, bool seeds) {
  std::vector<double> values;
  where.emplace_back("tensor", "");
  for (const Value& tensor : results.coordinates("tensor")) {
    if (is_seed(tensor.text()) != seeds) continue;
    where.back().second = tensor;
    const double value = results.at(output, where);
    if (!std::isnan(value)) values.push_back(value);
  }
  return values;
}

}  // namespace

Experiment with_references(Experiment experiment) {
  const std::string figure = experiment.declared().figure_slug();
  for (const auto& [name, text] : kTables)
    if (name == figure)
      for (auto& reference : parse_references(text)) experiment.reference(std::move(reference));
  return experiment;
}

std::vector<double> over_seeds(const Results& results, const std::string& output, Coordinates where) {
  return pick(results, output, std::move(where), true);
}

std::vector<double> over_file(const Results& results, const std::string& output, Coordinates where) {
  return pick(results, output, std::move(where), false);
}

Row ratio_row(const std::string& quantity, const std::vector<double>& a, const std::vector<double>& b, const Rng& rng) {
  if (a.empty() || a.size() != b.size()) return exact_row(quantity, std::nan(""));
  const auto statistic = [&](std::span<const std::size_t> picks) { return mean(a, picks) / mean(b, picks); };
  return sampled_row(quantity, statistic(all_of(a.size())), bootstrap(a.size(), statistic, rng));
}

Row median_row(const std::string& quantity, const std::vector<double>& values, const Rng& rng) {
  if (values.empty()) return exact_row(quantity, std::nan(""));
  const auto statistic = [&](std::span<const std::size_t> picks) {
    std::vector<double> some;
    for (const std::size_t i : picks) some.push_back(values[i]);
    return quantile(some, 0.5);
  };
  return sampled_row(quantity, quantile(values, 0.5), bootstrap(values.size(), statistic, rng));
}

void keep_full_runs(std::vector<Row>& rows, std::size_t seeds) {
  if (seeds >= kBandSeeds) return;
  for (Row& row : rows) {
    row.note = fmt::format("{}{}{} drawn heads; the band is that of {}", row.note, row.note.empty() ? "" : "; ", seeds,
                           kBandSeeds);
    row.ours = std::nan("");
    row.interval.reset();
  }
}

void warn_of_groups(const kv::MethodOptions& options, const kv::LayerShape& shape) {
  static std::atomic_flag said;
  const std::string note = kv::shape_note(options, shape);
  if (!note.empty() && !said.test_and_set()) fmt::print(stderr, "warning: {}\n", note);
}

void add_group_row(const kv::MethodOptions& options, const kv::LayerShape& shape, std::vector<Row>& rows) {
  const std::string note = kv::shape_note(options, shape);
  if (note.empty()) return;
  rows.push_back(
      exact_row("values of a token-wise group",
                static_cast<double>(kv::token_group(options.v_group.value_or(options.group), options, shape))));
  rows.back().note = note;
}

}  // namespace lowbit::kvlinc
