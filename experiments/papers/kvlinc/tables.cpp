#include "experiments/papers/kvlinc/tables.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>
#include <set>
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

void leave_unjudged(const std::string& reason, std::vector<Row>& rows) {
  for (Row& row : rows) {
    if (std::isnan(row.ours)) continue;
    row.judged = false;
    row.note += fmt::format("{}no verdict: {}", row.note.empty() ? "" : "; ", reason);
  }
}

void keep_band_runs(const Results& results, const std::vector<BandSetting>& settings, std::vector<Row>& rows) {
  std::string other, band;
  for (const BandSetting& setting : settings) {
    const Value& own = results.params().at(setting.name);
    if (own == setting.value || (setting.or_more && own.real() >= setting.value.real())) continue;
    other += fmt::format("{}{} {}", other.empty() ? "" : ", ", setting.name, own.print());
    band += fmt::format("{}{} {}", band.empty() ? "" : ", ", setting.name, setting.value.print());
  }
  if (!other.empty()) leave_unjudged(fmt::format("{}; the bands are those of {}", other, band), rows);
}

void keep_full_runs(const Results& results, const std::vector<BandSetting>& settings, std::vector<Row>& rows) {
  keep_band_runs(results, settings, rows);
  const auto& tensors = results.coordinates("tensor");
  const auto seeds = static_cast<std::size_t>(
      std::count_if(tensors.begin(), tensors.end(), [](const Value& t) { return is_seed(t.text()); }));
  if (seeds < kBandSeeds)
    leave_unjudged(fmt::format("{} drawn heads; the bands are those of {}", seeds, kBandSeeds), rows);
}

void keep_model_runs(const Results& results, std::vector<BandSetting> settings, std::vector<Row>& rows) {
  constexpr std::size_t kTexts = 4;
  for (const BandSetting& own :
       {BandSetting{"model", "smollm2-135m"}, BandSetting{"tokens", "persuasion"}, BandSetting{"context", 2048, true}})
    settings.push_back(own);
  keep_band_runs(results, settings, rows);
  const std::size_t texts = results.coordinates("text").size();
  if (texts < kTexts) leave_unjudged(fmt::format("{} texts; the bands are those of {}", texts, kTexts), rows);
}

Difference paired_difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> d;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!std::isnan(a[i] - b[i])) d.push_back(a[i] - b[i]);
  Difference out;
  out.n = d.size();
  if (d.empty()) return out;
  out.mean = 0;
  for (const double x : d) out.mean += x / static_cast<double>(d.size());
  double squares = 0;
  for (const double x : d) squares += (x - out.mean) * (x - out.mean);
  if (d.size() > 1) out.error = std::sqrt(squares / static_cast<double>(d.size() - 1) / static_cast<double>(d.size()));
  return out;
}

void judge_if_resolved(const Difference& difference, Row& row) {
  if (difference.n < 2 || std::isnan(row.ours)) {
    row.judged = false;
    return;
  }
  row.note += fmt::format("{}{}", row.note.empty() ? "" : "; ",
                          difference.resolved() ? "resolved" : "not resolved: within 2 standard errors, no verdict");
  row.judged = row.judged && difference.resolved();
}

bool setting_applies(const Point& point, std::size_t width) {
  if (is_seed(point.text("tensor"))) return true;
  static std::mutex mutex;
  static std::map<std::string, std::size_t> widths;  // the file is opened once, not for each point
  const std::string& tensors = point.text("tensors");
  const std::lock_guard lock(mutex);
  const auto known = widths.find(tensors);
  const std::size_t own = known != widths.end() ? known->second : TensorFile(tensors).head_dim();
  widths[tensors] = own;
  return (own == 128) == (width == 128);
}

void warn_of_groups(const kv::MethodOptions& options, const kv::LayerShape& shape) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::string note = kv::shape_note(options, shape);
  const std::lock_guard lock(mutex);
  if (!note.empty() && said.insert(note).second) fmt::print(stderr, "warning: {}\n", note);
}

void warn_of_group(std::size_t group, std::size_t head_dim) {
  kv::MethodOptions options;
  options.group = group;
  warn_of_groups(options, {1, head_dim});
}

void add_group_row(std::size_t group, std::size_t head_dim, std::vector<Row>& rows) {
  kv::MethodOptions options;
  options.group = group;
  add_group_row(options, {1, head_dim}, rows);
}

Values bounded(std::vector<std::int64_t> list, double min, double max) {
  Values values = integers(std::move(list));
  values.domain = between(min, max);
  return values;
}

void warn_of_short(std::size_t tokens) {
  static std::atomic_flag said;
  if (tokens < kKeyGroup && !said.test_and_set())
    fmt::print(stderr,
               "warning: {} tokens are less than one group of {}: keys in such groups along tokens stay unquantised\n",
               tokens, kKeyGroup);
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
