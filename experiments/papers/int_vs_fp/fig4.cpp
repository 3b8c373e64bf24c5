// Figure 4 on real tensors: QSNR of the four pairs against their crest factors, before and after a random Hadamard
// rotation of order 32; fig4_layers: the same by tensor type and by layer, which the paper does not show.
#include <algorithm>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/pairs.hpp"
#include "experiments/papers/int_vs_fp/pool.hpp"
#include "experiments/papers/int_vs_fp/real_tensors.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "experiments/papers/int_vs_fp/tensor_measure.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

Record compute_fig4(const Point& p, Rng) {
  const auto& operand = operand_at(p);
  const auto& values = p.shared<std::optional<OperandMatrix>>("values");
  if (!values) return {};
  const double wide = mean_crest_factor(*values, 32), narrow = mean_crest_factor(*values, 16);
  std::vector<double> integer, floating, kappa;
  for (const auto& pair : kPairs) {
    integer.push_back(measured_qsnr(parse_format(paper_format(pair.integer)), *values));
    floating.push_back(measured_qsnr(parse_format(paper_format(pair.floating)), *values));
    kappa.push_back(pair.group == 32 ? wide : narrow);
  }
  Record record{{"role", static_cast<double>(operand.role)}};
  return record.set("int_qsnr", integer).set("fp_qsnr", floating).set("kappa", kappa);
}

/// Views of the results that the rows of figure 4 are made of.
struct Cloud {
  const Pool& pool;
  static Pool::Output output(const char* name, std::string_view pair, const char* transform) {
    return {name, {{"pair", std::string(pair)}, {"transform", transform}}};
  }
  Clusters of(const char* name, std::string_view pair, const char* transform, Operands operands) const {
    return pool.values({output(name, pair, transform)}, operands).front();
  }
  /// Integer minus float, dB.
  Clusters lead(std::string_view pair, const char* transform, Operands operands) const {
    return pool.difference(output("int_qsnr", pair, transform), output("fp_qsnr", pair, transform), operands);
  }
};

bool positive(double value) {
  return value > 0;
}
bool negative(double value) {
  return value < 0;
}

/// Of NVINT4 and NVFP4 without rotation.
Row crossover_row(const std::string& quantity, const Cloud& cloud, Operands operands) {
  const auto output = [](const char* name) { return Cloud::output(name, "nv4", "id"); };
  const auto values = cloud.pool.values({output("kappa"), output("int_qsnr"), output("fp_qsnr")}, operands);
  const auto statistic = [&](std::span<const std::size_t> picks) {
    auto lead = flatten(values[1], picks);
    const auto floating = flatten(values[2], picks);
    for (std::size_t i = 0; i < lead.size(); ++i) lead[i] -= floating[i];
    return line_crossover(flatten(values[0], picks), lead);
  };
  Row row = pooled_row(quantity, values[0].size(), statistic, cloud.pool);
  row.note = "root of the least-squares line of NVINT4 - NVFP4 against kappa";
  return row;
}

/// The printed averages and win rates of the paper, beside ours over all operands.
void add_published_rows(const Cloud& cloud, std::vector<Row>& rows) {
  for (const auto& pair : kPairs) {
    for (const char* transform : {"id", "rhad"}) {
      const auto name = [&](const char* quantity) {
        return fmt::format("{}[pair={},transform={}]", quantity, pair.name, transform);
      };
      const auto lead = cloud.lead(pair.name, transform, Operands::six);
      rows.push_back(
          pooled_mean(name("int_qsnr_mean"), cloud.of("int_qsnr", pair.name, transform, Operands::six), cloud.pool));
      rows.push_back(
          pooled_mean(name("fp_qsnr_mean"), cloud.of("fp_qsnr", pair.name, transform, Operands::six), cloud.pool));
      rows.push_back(pooled_mean(name("int_win_percent"), percent(lead, positive), cloud.pool));
    }
  }
  rows.push_back(crossover_row("cloud_crossover_kappa[pair=nv4,transform=id]", cloud, Operands::six));
}

/// What the paper's Figure 4 lets expect of another model: items 1 to 5, over some of the operands.
void add_expected_rows(const Cloud& cloud, Operands operands, std::vector<Row>& rows) {
  const auto name = [&](const char* quantity) {
    return fmt::format("{}[operands={}]", quantity, kOperandsNames[static_cast<int>(operands)]);
  };
  const auto mean = [&](const char* quantity, const Clusters& values) {
    rows.push_back(pooled_mean(name(quantity), values, cloud.pool));
  };
  const auto of = [&](const char* output, const char* pair, const char* transform) {
    return cloud.of(output, pair, transform, operands);
  };
  const auto lead = [&](const char* pair, const char* transform) { return cloud.lead(pair, transform, operands); };
  const auto reversed = [](Clusters values) {
    for (auto& own : values)
      for (double& value : own) value = -value;
    return values;
  };
  const auto mxfp8 = of("fp_qsnr", "mx8", "id");
  mean("mxfp8_in_range_percent", percent(mxfp8, [](double v) { return v >= 31.2 && v <= 31.9; }));
  mean("mxfp8_qsnr_mean", mxfp8);
  mean("mxint8_win_percent", percent(lead("mx8", "id"), positive));
  mean("mxint8_qsnr_mean", of("int_qsnr", "mx8", "id"));
  mean("mxfp6_win_percent", percent(lead("mx6", "id"), negative));
  mean("mxfp4_win_percent", percent(lead("mx4", "id"), negative));
  mean("mxfp6_lead_db", reversed(lead("mx6", "id")));
  mean("mxfp4_lead_db", reversed(lead("mx4", "id")));
  mean("nvint4_lead_db", lead("nv4", "id"));
  mean("nvint4_win_percent", percent(lead("nv4", "id"), positive));
  rows.push_back(crossover_row(name("nv_crossover_kappa"), cloud, operands));
  mean("nvint4_win_percent_rotated", percent(lead("nv4", "rhad"), positive));
  mean("nvint4_lead_db_rotated", lead("nv4", "rhad"));
  mean("nvfp4_gain_db_by_rotation",
       cloud.pool.difference(Cloud::output("fp_qsnr", "nv4", "rhad"), Cloud::output("fp_qsnr", "nv4", "id"), operands));
  mean("mxint8_qsnr_mean_rotated", of("int_qsnr", "mx8", "rhad"));
  mean("mxfp6_lead_db_rotated", reversed(lead("mx6", "rhad")));
  mean("mxfp4_lead_db_rotated", reversed(lead("mx4", "rhad")));
}

std::vector<Row> fig4_rows(const Results& results) {
  const Pool pool(results);
  const Cloud cloud{pool};
  std::vector<Row> rows;
  add_published_rows(cloud, rows);
  for (std::size_t role = 0; role < std::size(kRoleNames); ++role)
    rows.push_back(exact_row(fmt::format("tensors[role={}]", kRoleNames[role]),
                             static_cast<double>(pool.count(static_cast<Role>(role)))));
  const Selection selection = Selection::of(results.params());
  if (!selection.is_sample() && pool.complete()) {
    add_expected_rows(cloud, Operands::six, rows);
    add_expected_rows(cloud, Operands::without_weights, rows);
  }
  return with_notes(std::move(rows), results, references("fig4"));
}

/// QSNR and crest factors of the pairs on the tensors that `experiment` sweeps.
Experiment measured(Experiment experiment) {
  return experiment
      .dim("pair", texts({"mx8", "mx6", "mx4", "nv4"}), "", "integer and float format of one width and scale")
      .output("int_qsnr", "dB", "10 log10(sum x^2 / sum (x - xq)^2) over the tensor, integer format", {"pair"})
      .output("fp_qsnr", "dB", "the same for the float format", {"pair"})
      .output("kappa", "1", "crest factor max|x| / rms(x), mean over blocks of the pair's size", {"pair"})
      .point(compute_fig4);
}

Experiment fig4() {
  return with_references(measured(on_tensors(Experiment{"int_vs_fp/fig4"}, 4))
                             .paper(kPaper, "Fig. 4", "QSNR of the pairs on real tensors against their crest factor")
                             .full("sequences=8")
                             .cost(40)
                             .rows(fig4_rows));
}
LOWBIT_REGISTER(fig4);

/// The weights alone, of a model whose weights were never on a 4-bit grid.
std::vector<Row> fig4_weights_rows(const Results& results) {
  const Pool pool(results);
  std::vector<Row> rows;
  add_published_rows({pool}, rows);
  rows.push_back(exact_row("tensors[role=W]", static_cast<double>(pool.count(Role::W))));
  return with_notes(std::move(rows), results, {});
}

Experiment fig4_weights() {
  return with_references(measured(on_tensors(Experiment{"int_vs_fp/fig4_weights"}, 1, kWeightSample))
                             .paper(kPaper, "Fig. 4 (weights)", "QSNR of the pairs on float32 weights")
                             .quick("blockings=forward")
                             .cost(1)
                             .rows(fig4_weights_rows));
}
LOWBIT_REGISTER(fig4_weights);

/// Layer and module of "model.layers.3.mlp.up_proj.x^T"; -1 and "" for other names.
std::pair<int, std::string> place_of(const std::string& name) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!name.starts_with(kPrefix)) return {-1, ""};
  const auto dot = name.find('.', kPrefix.size());
  return {std::stoi(name.substr(kPrefix.size())), name.substr(dot + 1, name.rfind('.') - dot - 1)};
}

/// Item 7: where weights, activations and gradients lie on the axis of crest factors (blocks of 32, no rotation).
std::vector<Row> fig4_layers_rows(const Results& results) {
  const Pool pool(results);
  std::vector<Row> rows;
  const Coordinates where{{"pair", "mx8"}, {"transform", "id"}};
  const auto kappa = [&](const Pool::Filter& keep) { return pool.values("kappa", where, Operands::six, keep); };
  const Selection selection = Selection::of(results.params());
  if (selection.is_sample() || !pool.complete()) return with_notes({}, results, references("fig4_layers"));
  int last = 0;
  for (const Value& name : results.coordinates("tensor")) last = std::max(last, place_of(name.text()).first);
  const auto mean = [&](const std::string& quantity, const Pool::Filter& keep) {
    rows.push_back(pooled_mean(quantity, kappa(keep), pool));
  };
  for (int role = 0; role < 6; ++role)
    mean(fmt::format("kappa32_mean[role={}]", kRoleNames[role]),
         [role](const std::string&, Role r) { return r == static_cast<Role>(role); });
  const auto x_of = [&](const char* module) {
    return [module](const std::string& n, Role r) { return r == Role::X && place_of(n).second == module; };
  };
  for (const char* module : {"self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"})
    mean(fmt::format("kappa32_mean[role=X,module={}]", module), x_of(module));
  const int third = (last + 1) / 3;
  mean("kappa32_mean[role=X,layers=first_third]",
       [third](const std::string& n, Role r) { return r == Role::X && place_of(n).first < third; });
  mean("kappa32_mean[role=X,layers=last_third]",
       [third, last](const std::string& n, Role r) { return r == Role::X && place_of(n).first > last - third; });
  const auto both = pool.values({{"kappa", where}, {"role", {{"transform", "id"}}}}, Operands::six);
  const auto share = [&](std::span<const std::size_t> picks) {
    const auto values = flatten(both[0], picks), of = flatten(both[1], picks);
    const double limit = quantile(values, 0.9);
    double beyond = 0, others = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] <= limit) continue;
      ++beyond;
      others += !is_weight(static_cast<Role>(of[i]));
    }
    return 100 * others / beyond;
  };
  Row tail = pooled_row("tail_percent_without_weights", both[0].size(), share, pool);
  tail.note = "of the tenth of the operands with the largest crest factor, the share that are no weights";
  rows.push_back(tail);
  return with_notes(std::move(rows), results, references("fig4_layers"));
}

Experiment fig4_layers() {
  return with_references(measured(on_tensors(Experiment{"int_vs_fp/fig4_layers"}, 1))
                             .paper(kPaper, "Fig. 4 (by layer)", "QSNR and crest factors by tensor type and by layer")
                             .full("sequences=8")
                             .cost(12)
                             .rows(fig4_layers_rows));
}
LOWBIT_REGISTER(fig4_layers);

}  // namespace
}  // namespace lowbit
