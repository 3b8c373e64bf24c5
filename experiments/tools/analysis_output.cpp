#include "experiments/tools/analysis_output.hpp"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>

#include "experiments/core/plain_text.hpp"
#include "results/store/hdf5_file.hpp"

namespace lowbit {
namespace {

Record quantiles_record(const Quantiles& q) {
  return {{"min", q.min}, {"q1", q.q1}, {"median", q.median}, {"q3", q.q3}, {"max", q.max}};
}

std::vector<Record> crest_records(const std::vector<TensorAnalysis>& results) {
  std::vector<Record> records;
  for (const TensorAnalysis& t : results)
    for (const TransformAnalysis& a : t.transforms)
      for (const CrestRow& row : a.rows)
        records.push_back({{"tensor", t.tensor},
                           {"shape", t.shape},
                           {"axis", t.axis},
                           {"transform", a.transform},
                           {"group", row.group},
                           {"crest_factor_mean", row.crest.mean},
                           {"crest_factor_quantiles", quantiles_record(row.crest.spread)},
                           {"blocks", row.crest.blocks},
                           {"zero_blocks", row.crest.zero_blocks},
                           {"excess_kurtosis", a.excess_kurtosis}});
  return records;
}

std::vector<Record> format_records(const std::vector<TensorAnalysis>& results) {
  std::vector<Record> records;
  for (const TensorAnalysis& t : results)
    for (const TransformAnalysis& a : t.transforms)
      for (const FormatRow& row : a.formats)
        records.push_back({{"tensor", t.tensor},
                           {"transform", a.transform},
                           {"format", row.format},
                           {"qsnr_db", row.error.qsnr_db},
                           {"mse", row.error.mse},
                           {"max_abs_error", row.error.max_abs_error},
                           {"clipped_fraction", row.clipped_fraction},
                           {"zeroed_fraction", row.zeroed_fraction}});
  return records;
}

std::vector<Record> pair_records(const std::vector<TensorAnalysis>& results) {
  std::vector<Record> records;
  for (const TensorAnalysis& t : results)
    for (const TransformAnalysis& a : t.transforms)
      for (const PairRow& row : a.pairs)
        records.push_back({{"tensor", t.tensor},
                           {"transform", a.transform},
                           {"int", row.integer},
                           {"fp", row.floating},
                           {"winner", row.winner.empty() ? Record(nullptr) : Record(row.winner)},
                           {"delta_db", row.delta_db}});
  return records;
}

// The quantiles as columns of their own: a table cell holds one number.
std::vector<Record> flattened(std::vector<Record> rows) {
  for (Record& row : rows) {
    Record flat;
    for (const auto& [name, value] : row.items()) {
      if (!value.is_object()) {
        flat[name] = value;
        continue;
      }
      for (const auto& [part, number] : value.items()) flat["crest_factor_" + part] = number;
    }
    row = flat;
  }
  return rows;
}

// For each transform and pair: on how many tensors the integer format has the higher QSNR.
std::vector<Record> win_records(const std::vector<TensorAnalysis>& results) {
  struct Count {
    std::size_t tensors = 0, wins = 0;
    double sum = 0;
  };
  std::map<std::vector<std::string>, Count> counts;
  for (const TensorAnalysis& t : results)
    for (const TransformAnalysis& a : t.transforms)
      for (const PairRow& row : a.pairs) {
        if (row.winner.empty()) continue;
        Count& count = counts[{a.transform, row.integer, row.floating}];
        ++count.tensors;
        count.wins += row.winner == "int";
        count.sum += row.delta_db;
      }
  std::vector<Record> records;
  for (const auto& [key, count] : counts)
    records.push_back(
        {{"transform", key[0]},
         {"int", key[1]},
         {"fp", key[2]},
         {"tensors", count.tensors},
         {"int_wins_percent", 100.0 * static_cast<double>(count.wins) / static_cast<double>(count.tensors)},
         {"mean_delta_db", count.sum / static_cast<double>(count.tensors)}});
  return records;
}

// Fills an array over (tensor, transform, extra...) by one function of a tensor's analysis.
using Store = std::function<void(const TransformAnalysis&, std::vector<double>&)>;

store::Array array_of(const std::vector<TensorAnalysis>& results, const std::string& name, const std::string& units,
                      std::vector<std::string> extra_dims, Shape extra, const Store& fill) {
  std::vector<double> values;
  for (const TensorAnalysis& t : results)
    for (const TransformAnalysis& a : t.transforms) fill(a, values);
  std::vector<std::string> dims = {"tensor", "transform"};
  dims.insert(dims.end(), extra_dims.begin(), extra_dims.end());
  Shape shape = {results.size(), results[0].transforms.size()};
  shape.insert(shape.end(), extra.begin(), extra.end());
  return {name, dims, shape, std::move(values), {{"units", units}}};
}

void add_crest(store::Group& root, const std::vector<TensorAnalysis>& results) {
  const std::size_t groups = std::size(kCrestGroups);
  root.arrays.push_back(array_of(results, "crest_factor_mean", "1", {"group"}, {groups}, [](const auto& a, auto& out) {
    for (const CrestRow& row : a.rows) out.push_back(row.crest.mean);
  }));
  root.arrays.push_back(array_of(results, "crest_factor_quantiles", "1", {"group", "quantile"}, {groups, 5},
                                 [](const auto& a, auto& out) {
                                   for (const CrestRow& row : a.rows) {
                                     const Quantiles& q = row.crest.spread;
                                     out.insert(out.end(), {q.min, q.q1, q.median, q.q3, q.max});
                                   }
                                 }));
  root.arrays.push_back(array_of(results, "zero_blocks", "1", {"group"}, {groups}, [](const auto& a, auto& out) {
    for (const CrestRow& row : a.rows) out.push_back(static_cast<double>(row.crest.zero_blocks));
  }));
  root.arrays.push_back(array_of(results, "excess_kurtosis", "1", {}, {},
                                 [](const auto& a, auto& out) { out.push_back(a.excess_kurtosis); }));
}

void add_formats(store::Group& root, const std::vector<TensorAnalysis>& results, std::size_t formats) {
  const auto add = [&](const char* name, const char* units, double (*value)(const FormatRow&)) {
    root.arrays.push_back(array_of(results, name, units, {"format"}, {formats}, [value](const auto& a, auto& out) {
      for (const FormatRow& row : a.formats) out.push_back(value(row));
    }));
  };
  add("qsnr_db", "dB", [](const FormatRow& r) { return r.error.qsnr_db; });
  add("mse", "1", [](const FormatRow& r) { return r.error.mse; });
  add("max_abs_error", "1", [](const FormatRow& r) { return r.error.max_abs_error; });
  add("clipped_fraction", "1", [](const FormatRow& r) { return r.clipped_fraction; });
  add("zeroed_fraction", "1", [](const FormatRow& r) { return r.zeroed_fraction; });
}

void add_pairs(store::Group& root, const std::vector<TensorAnalysis>& results) {
  std::vector<std::string> pairs;
  for (const PairRow& row : results[0].transforms[0].pairs)
    pairs.push_back(fmt::format("{} vs {}", row.integer, row.floating));
  if (pairs.empty()) return;
  root.add_coordinate("pair", pairs, "1", "integer and floating format of one width, group and scale");
  root.arrays.push_back(
      array_of(results, "delta_db", "dB", {"pair"}, {pairs.size()}, [](const auto& a, std::vector<double>& out) {
        for (const PairRow& row : a.pairs) out.push_back(row.delta_db);
      }));
}

}  // namespace

void print_analysis(const std::vector<TensorAnalysis>& results, OutputForm form) {
  const auto rows = crest_records(results), formats = format_records(results), pairs = pair_records(results);
  if (form == OutputForm::json) {
    fmt::print("{}\n", json_text({{"rows", rows}, {"formats", formats}, {"pairs", pairs}}, 1));
  } else if (form == OutputForm::csv) {
    fmt::print("{}", csv_table(flattened(rows)));
  } else {
    fmt::print("Crest factors, max|x| / RMS of blocks of `group` values (-1: the whole axis):\n\n{}",
               text_table(flattened(rows)));
    fmt::print("\nFormats:\n\n{}", text_table(formats));
    if (!pairs.empty())
      fmt::print("\nInteger against floating formats:\n\n{}\n{}", text_table(pairs), text_table(win_records(results)));
  }
}

void write_analysis(const std::string& path, const std::vector<TensorAnalysis>& results, bool force) {
  store::Group root;
  root.set("filetype", std::string("lowbit_analysis"));
  root.set("version", std::vector<std::int64_t>{1, 0});
  std::vector<std::string> tensors, transforms, formats;
  std::vector<std::string> shapes;
  for (const TensorAnalysis& t : results) {
    tensors.push_back(t.tensor);
    shapes.push_back(to_string(t.shape));
  }
  for (const TransformAnalysis& a : results[0].transforms) transforms.push_back(a.transform);
  for (const FormatRow& row : results[0].transforms[0].formats) formats.push_back(row.format);
  root.set("axis", std::int64_t{results[0].axis});
  root.add_coordinate("tensor", tensors, "1", "name of the tensor");
  root.add_coordinate("transform", transforms, "1", "transform along the axis before everything else");
  root.add_coordinate("group", std::vector<std::int64_t>(std::begin(kCrestGroups), std::end(kCrestGroups)), "1",
                      "values a block, -1: the whole axis");
  root.add_coordinate("quantile", std::vector<std::string>{"min", "q1", "median", "q3", "max"}, "1",
                      "order statistic over blocks");
  root.add_coordinate("format", formats, "1", "format name");
  root.arrays.push_back({"shape", {"tensor"}, {shapes.size()}, shapes, {{"units", std::string("1")}}});
  add_crest(root, results);
  add_formats(root, results, formats.size());
  add_pairs(root, results);
  store::write_tree(path, root, force ? store::Overwrite::replace : store::Overwrite::refuse);
}

}  // namespace lowbit
