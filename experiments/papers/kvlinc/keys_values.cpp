// F1 and F2: errors of keys and values under four schemes, raw or Hadamard rotated, groups along channels or tokens.
#include <array>

#include "experiments/papers/kvlinc/errors.hpp"
#include "experiments/papers/kvlinc/open_tokens.hpp"
#include "experiments/papers/kvlinc/tables.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

const std::vector<std::string> kSchemes = {"raw_channel", "had_channel", "had_token", "raw_token"};

struct Setting {
  const char* name;
  std::size_t d, group;
};
constexpr std::array kSettings = {Setting{"d64-g128", 64, 128}, Setting{"d64-g32", 64, 32},
                                  Setting{"d128-g128", 128, 128}};

const Setting& setting_of(const std::string& name) {
  for (const Setting& s : kSettings)
    if (name == s.name) return s;
  throw std::logic_error("no such setting");
}

std::vector<std::string> setting_names() {
  std::vector<std::string> names;
  for (const Setting& s : kSettings) names.emplace_back(s.name);
  return names;
}

Record errors_of(ConstRows rows, const Setting& setting, int bits) {
  std::vector<double> error, decibels, scale;
  for (const std::string& scheme : kSchemes) {
    const bool channel = scheme.ends_with("channel");
    const std::size_t group = channel ? setting.group : std::min(setting.group, rows.columns);
    if (!channel) warn_of_group(setting.group, rows.columns);
    const Scheme result = apply_scheme(rows, scheme, min_format(bits, group));
    error.push_back(relative_error(rows, result.rows));
    decibels.push_back(-20 * std::log10(error.back()));
    scale.push_back(result.mean_scale);
  }
  return Record().set("rel_f", error).set("decibels", decibels).set("mean_scale", scale);
}

Head make_head(const Point& p, Rng rng) {
  return head_of(p, setting_of(p.text("setting")).d, rng);
}

Record compute_keys(const Point& p, Rng) {
  return errors_of(p.shared<Head>("head").k, setting_of(p.text("setting")), static_cast<int>(p.integer("bits")));
}

Record compute_values(const Point& p, Rng) {
  return errors_of(p.shared<Head>("head").v, setting_of(p.text("setting")), static_cast<int>(p.integer("bits")));
}

Coordinates cell(const Setting& setting, const std::string& scheme) {
  return {{"setting", setting.name}, {"scheme", scheme}};
}

// Ratios of neighbours in the order that is expected to rise.
void add_orders(const Results& results, const Setting& setting, const std::vector<std::string>& rising,
                std::vector<Row>& rows) {
  for (std::size_t i = 0; i + 1 < rising.size(); ++i) {
    const std::string name = fmt::format("{}_over_{}[setting={}]", rising[i], rising[i + 1], setting.name);
    rows.push_back(ratio_row(name, over_seeds(results, "rel_f", cell(setting, rising[i])),
                             over_seeds(results, "rel_f", cell(setting, rising[i + 1])), results.rng(name)));
  }
}

// Medians over the heads of the file, without bands: they are few.
void add_file(const Results& results, std::vector<Row>& rows) {
  const bool narrow = !over_file(results, "rel_f", cell(kSettings[0], kSchemes[0])).empty();
  const Setting& setting = kSettings[narrow ? 0 : 2];
  for (const std::string& scheme : kSchemes) {
    const std::string name = fmt::format("file_median_rel_f[scheme={}]", scheme);
    Row row = median_row(name, over_file(results, "rel_f", cell(setting, scheme)), results.rng(name));
    row.note = fmt::format("heads of --tensors {}, setting {}", results.params().text("tensors"), setting.name);
    rows.push_back(row);
  }
  add_group_row(kSettings[0].group, kSettings[0].d, rows);
}

std::vector<Row> keys_rows(const Results& results) {
  std::vector<Row> rows;
  for (const Setting& setting : kSettings) {
    const auto raw = over_seeds(results, "rel_f", cell(setting, "raw_channel"));
    const std::string name = fmt::format("rel_f[setting={},scheme=raw_channel]", setting.name);
    rows.push_back(mean_row(name, raw, results.rng(name)));
    for (const char* scheme : {"had_channel", "had_token", "raw_token"}) {
      const std::string ratio = fmt::format("rel_f_over_raw_channel[setting={},scheme={}]", setting.name, scheme);
      rows.push_back(ratio_row(ratio, over_seeds(results, "rel_f", cell(setting, scheme)), raw, results.rng(ratio)));
    }
    add_orders(results, setting, {"raw_channel", "had_channel", "had_token", "raw_token"}, rows);
  }
  keep_full_runs(results, {{"bits", 2}, {"length", 2048}}, rows);
  add_file(results, rows);
  add_open_row(results, 128, rows);
  return rows;
}

std::vector<Row> values_rows(const Results& results) {
  std::vector<Row> rows;
  for (const Setting& setting : kSettings) {
    for (const std::string& scheme : kSchemes) {
      const std::string name = fmt::format("rel_f[setting={},scheme={}]", setting.name, scheme);
      rows.push_back(mean_row(name, over_seeds(results, "rel_f", cell(setting, scheme)), results.rng(name)));
    }
    if (setting.group == 128) add_orders(results, setting, {"had_token", "raw_token", "raw_channel"}, rows);
  }
  keep_full_runs(results, {{"bits", 2}, {"length", 2048}}, rows);
  add_file(results, rows);
  add_open_row(results, 128, rows);
  return rows;
}

Experiment rows_experiment(const std::string& name, const char* figure, const char* title) {
  return with_heads(Experiment{name}, 64, 2048)
      .paper(kPaper, figure, title)
      .param("bits", 2, "of the codes", between(2, 8))
      .axis(
          "setting", texts(setting_names()), "",
          "channels of a drawn head, and values of a group (token-wise: at most the head); heads of a file: d128 where "
          "they have 128 channels, else d64")
      .dim("scheme", texts(kSchemes), "",
           "raw or Hadamard rotated; groups of tokens of a channel or channels of a token")
      .where([](const Point& p) { return setting_applies(p, setting_of(p.text("setting")).d); })
      .shared("head", {"setting", "tensor"}, make_head)
      .output("rel_f", "1", "||X - X^||_F / ||X||_F over whole groups", {"scheme"})
      .output("decibels", "dB", "-20 log10(rel_f)", {"scheme"})
      .output("mean_scale", "1", "mean of the fp16 scales", {"scheme"})
      .quick("seeds=2 length=512");
}

Experiment keys() {
  return with_references(rows_experiment("kvlinc/keys", "F1", "Error of keys: raw or rotated, along channels or tokens")
                             .cost(6)
                             .point(compute_keys)
                             .rows(keys_rows));
}
LOWBIT_REGISTER(keys);

Experiment values() {
  return with_references(
      rows_experiment("kvlinc/values", "F2", "Error of values: raw or rotated, along channels or tokens")
          .cost(6)
          .point(compute_values)
          .rows(values_rows));
}
LOWBIT_REGISTER(values);

}  // namespace
}  // namespace lowbit
