// Figure 4 and Table 2 on real tensors: QSNR of the four pairs and crest factors, before and after a random Hadamard
// rotation of order 32. By default the weights of a small model; captured activations and gradients are read with
// --tensors.
#include <algorithm>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/pairs.hpp"
#include "experiments/papers/int_vs_fp/real_tensors.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "experiments/papers/int_vs_fp/tensor_run.hpp"
#include "sim/metric/crest_factor.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

constexpr std::size_t kRotation = 32;  // the paper rotates every tensor with 32 x 32, NV formats too

std::vector<Operand> make_operands(const Point& p, Rng) {
  return operands(Selection::of(p));
}

std::vector<float> make_values(const Point& p, Rng rng) {
  const auto& operand = operand_of(p.shared<std::vector<Operand>>("operands"), p.text("tensor"));
  auto x = operand.tensor.load_float();
  if (p.text("transform") == "rhad") x = rotated(x, operand.layout(), kRotation, rng.word64());
  return x;
}

Record compute_fig4(const Point& p, Rng) {
  const auto& operand = operand_of(p.shared<std::vector<Operand>>("operands"), p.text("tensor"));
  const auto& x = p.shared<std::vector<float>>("values");
  const Layout layout = operand.layout();
  std::vector<double> integer, floating, kappa;
  for (const auto& pair : kPairs) {
    integer.push_back(tensor_qsnr(parse_format(paper_format(pair.integer)), layout, x));
    floating.push_back(tensor_qsnr(parse_format(paper_format(pair.floating)), layout, x));
    kappa.push_back(crest_factors(layout, x.data(), static_cast<long>(pair.group)).mean);
  }
  Record record{{"role", static_cast<double>(operand.role)}};
  return record.set("int_qsnr", integer).set("fp_qsnr", floating).set("kappa", kappa);
}

Record compute_table2(const Point& p, Rng) {
  const auto& operand = operand_of(p.shared<std::vector<Operand>>("operands"), p.text("tensor"));
  const auto& x = p.shared<std::vector<float>>("values");
  std::vector<double> kappa;
  for (const long group : {kChannelGroup, 32L, 16L})
    kappa.push_back(crest_factors(operand.layout(), x.data(), group).mean);
  return Record{{"role", static_cast<double>(operand.role)}}.set("kappa", kappa);
}

/// Crest factor at which the least-squares line of integer - float against kappa is zero.
double line_crossover(const std::vector<double>& kappa, const std::vector<double>& difference,
                      std::span<const std::size_t> picks) {
  double x = 0, y = 0, xx = 0, xy = 0;
  const auto n = static_cast<double>(picks.size());
  for (const std::size_t i : picks) {
    x += kappa[i] / n;
    y += difference[i] / n;
    xx += kappa[i] * kappa[i] / n;
    xy += kappa[i] * difference[i] / n;
  }
  return x - y * (xx - x * x) / (xy - x * y);
}

std::vector<Row> fig4_rows(const Results& results) {
  std::vector<Row> rows;
  for (const auto& pair : kPairs) {
    for (const char* transform : {"id", "rhad"}) {
      const Coordinates where{{"pair", std::string(pair.name)}, {"transform", transform}};
      const auto of = [&](const char* quantity) {
        return fmt::format("{}[pair={},transform={}]", quantity, pair.name, transform);
      };
      const auto integer = results.along("int_qsnr", "tensor", where),
                 floating = results.along("fp_qsnr", "tensor", where);
      std::vector<double> wins, difference;
      for (std::size_t i = 0; i < integer.size(); ++i) {
        difference.push_back(integer[i] - floating[i]);
        wins.push_back(integer[i] > floating[i] ? 100 : 0);
      }
      rows.push_back(mean_row(of("int_qsnr_mean"), integer, results.rng(of("int"))));
      rows.push_back(mean_row(of("fp_qsnr_mean"), floating, results.rng(of("fp"))));
      rows.push_back(mean_row(of("int_win_percent"), wins, results.rng(of("wins"))));
      if (pair.name != "nv4" || std::string(transform) != "id" || integer.empty()) continue;
      const auto kappa = results.along("kappa", "tensor", where);
      std::vector<std::size_t> all(kappa.size());
      for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
      const auto statistic = [&](std::span<const std::size_t> picks) {
        return line_crossover(kappa, difference, picks);
      };
      Row row = sampled_row(of("cloud_crossover_kappa"), statistic(all),
                            bootstrap(all.size(), statistic, results.rng("cloud")));
      row.note = "root of the least-squares line of NVINT4 - NVFP4 against kappa";
      rows.push_back(row);
    }
  }
  std::vector<double> count(std::size(kRoleNames));
  for (const double role : results.along("role", "tensor", {{"transform", "id"}}))
    ++count[static_cast<std::size_t>(role)];
  for (std::size_t role = 0; role < count.size(); ++role) {  // a role without tensors is left to its reference: not run
    if (count[role] > 0) rows.push_back(exact_row(fmt::format("tensors[role={}]", kRoleNames[role]), count[role]));
  }
  return rows;
}

std::vector<Row> table2_rows(const Results& results) {
  constexpr std::pair<const char*, double> kQuantiles[] = {
      {"min", 0}, {"q1", 0.25}, {"median", 0.5}, {"q3", 0.75}, {"max", 1}};
  std::vector<Row> rows;
  for (const char* transform : {"id", "rhad"}) {
    for (const char* group : {"channel", "32", "16"}) {
      const auto kappa = results.along("kappa", "tensor", {{"transform", transform}, {"group", group}});
      for (const auto& [name, q] : kQuantiles) {
        const auto statistic = [&, q = q](std::span<const std::size_t> picks) {
          std::vector<double> some;
          for (const std::size_t i : picks) some.push_back(kappa[i]);
          return quantile(some, q);
        };
        const auto where = fmt::format("[transform={},group={},statistic={}]", transform, group, name);
        Row row =
            sampled_row("kappa" + where, quantile(kappa, q), bootstrap(kappa.size(), statistic, results.rng(where)));
        rows.push_back(row);
        if (where != "[transform=rhad,group=32,statistic=q3]") continue;
        row.quantity = "kappa_text" + where;
        rows.push_back(row);
      }
    }
  }
  return rows;
}

Experiment on_tensors(Experiment experiment) {
  return with_tensor_params(std::move(experiment))
      .axis("tensor", operand_names, "", "operand of a linear layer; ^T: blocked along the other axis")
      .axis("transform", texts({"id", "rhad"}), "",
            "rhad: random signs and Hadamard of order 32 along the blocked axis")
      .draws_vary_with({"tensor"})
      .shared("operands", {}, make_operands)
      .shared("values", {"tensor", "transform"}, make_values)
      .output("role", "1", "0 W, 1 X, 2 dY, 3 W^T, 4 X^T, 5 dY^T")
      .unavailable_when(sample_missing)
      .quick("")
      .cost(1);
}

Experiment fig4() {
  return with_references(
      on_tensors(Experiment{"int_vs_fp/fig4"})
          .paper(kPaper, "Fig. 4", "QSNR of the pairs on real tensors against their crest factor")
          .dim("pair", texts({"mx8", "mx6", "mx4", "nv4"}), "", "integer and float format of one width and scale")
          .output("int_qsnr", "dB", "10 log10(sum x^2 / sum (x - xq)^2) over the tensor, integer format", {"pair"})
          .output("fp_qsnr", "dB", "the same for the float format", {"pair"})
          .output("kappa", "1", "crest factor max|x| / rms(x), mean over blocks of the pair's size", {"pair"})
          .point(compute_fig4)
          .rows(fig4_rows));
}
LOWBIT_REGISTER(fig4);

Experiment table2() {
  return with_references(
      on_tensors(Experiment{"int_vs_fp/table2"})
          .paper(kPaper, "Table 2", "Crest factors of real tensors by block size and rotation")
          .dim("group", texts({"channel", "32", "16"}), "", "values per block; channel: the whole axis")
          .output("kappa", "1", "crest factor max|x| / rms(x), mean over blocks", {"group"})
          .point(compute_table2)
          .rows(table2_rows));
}
LOWBIT_REGISTER(table2);

}  // namespace
}  // namespace lowbit
