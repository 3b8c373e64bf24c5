// Table 2: crest factors of real tensors by block size, before and after a random Hadamard rotation of order 32.
#include <algorithm>

#include "experiments/papers/int_vs_fp/pool.hpp"
#include "experiments/papers/int_vs_fp/real_tensors.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "experiments/papers/int_vs_fp/tensor_measure.hpp"
#include "sim/metric/crest_factor.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

Record compute_table2(const Point& p, Rng) {
  const auto& values = p.shared<std::optional<OperandMatrix>>("values");
  if (!values) return {};
  std::vector<double> kappa;
  for (const long group : {kChannelGroup, 32L, 16L}) kappa.push_back(mean_crest_factor(*values, group));
  return Record{{"role", static_cast<double>(operand_at(p).role)}}.set("kappa", kappa);
}

Clusters kappas(const Pool& pool, const char* transform, const char* group, Operands operands) {
  return pool.values("kappa", {{"transform", transform}, {"group", group}}, operands);
}

/// The 30 printed quantiles.
void add_published_rows(const Pool& pool, std::vector<Row>& rows) {
  constexpr std::pair<const char*, double> kQuantiles[] = {
      {"min", 0}, {"q1", 0.25}, {"median", 0.5}, {"q3", 0.75}, {"max", 1}};
  for (const char* transform : {"id", "rhad"}) {
    for (const char* group : {"channel", "32", "16"}) {
      const auto kappa = kappas(pool, transform, group, Operands::six);
      for (const auto& [name, q] : kQuantiles) {
        const auto where = fmt::format("[transform={},group={},statistic={}]", transform, group, name);
        Row row = pooled_quantile("kappa" + where, kappa, q, pool);
        rows.push_back(row);
        if (where != "[transform=rhad,group=32,statistic=q3]") continue;
        row.quantity = "kappa_text" + where;
        rows.push_back(row);
      }
    }
  }
}

/// What Table 2 lets expect of another model: items 5 and 6, over some of the operands.
void add_expected_rows(const Pool& pool, Operands operands, std::vector<Row>& rows) {
  const auto name = [&](const std::string& quantity) {
    return fmt::format("{}[operands={}]", quantity, kOperandsNames[static_cast<int>(operands)]);
  };
  for (const char* transform : {"id", "rhad"})
    for (const char* group : {"channel", "32", "16"}) {
      if (std::string(transform) == "rhad" && std::string(group) == "channel") continue;
      rows.push_back(pooled_quantile(name(fmt::format("kappa_{}_median{}", group, *transform == 'r' ? "_rotated" : "")),
                                     kappas(pool, transform, group, operands), 0.5, pool));
    }
  const auto step = [&](const char* quantity, const char* larger, const char* smaller) {
    const auto output = [](const char* group) {
      return Pool::Output{"kappa", {{"transform", "id"}, {"group", group}}};
    };
    const auto values = pool.values({output(larger), output(smaller)}, operands);
    const auto statistic = [&](std::span<const std::size_t> picks) {
      return quantile_of(values[0], picks, 0.75) - quantile_of(values[1], picks, 0.75);
    };
    rows.push_back(pooled_row(name(quantity), values[0].size(), statistic, pool));
  };
  step("kappa_q3_channel_minus_32", "channel", "32");
  step("kappa_q3_32_minus_16", "32", "16");
}

std::vector<Row> table2_rows(const Results& results) {
  const Pool pool(results);
  std::vector<Row> rows;
  add_published_rows(pool, rows);
  const Selection selection = Selection::of(results.params());
  if (!selection.is_sample() && pool.complete()) {
    add_expected_rows(pool, Operands::six, rows);
    add_expected_rows(pool, Operands::without_weights, rows);
    rows.push_back(
        pooled_quantile("kappa_32_median[operands=weights]", kappas(pool, "id", "32", Operands::weights), 0.5, pool));
  }
  return with_notes(std::move(rows), results, references("table2"));
}

Experiment table2() {
  return with_references(
      on_tensors(Experiment{"int_vs_fp/table2"}, 4)
          .paper(kPaper, "Table 2", "Crest factors of real tensors by block size and rotation")
          .dim("group", texts({"channel", "32", "16"}), "", "values per block; channel: the whole axis")
          .output("kappa", "1", "crest factor max|x| / rms(x), mean over blocks", {"group"})
          .full("sequences=8")
          .cost(25)
          .point(compute_table2)
          .rows(table2_rows));
}
LOWBIT_REGISTER(table2);

}  // namespace
}  // namespace lowbit
