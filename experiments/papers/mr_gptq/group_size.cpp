// Figure 3: relative errors of groups, and of their largest value, by group size, with and without a Hadamard rotation
// of that size.
#include <array>
#include <cmath>

#include "experiments/papers/mr_gptq/common.hpp"

namespace lowbit {
namespace {
using namespace mr_gptq;

constexpr std::array<int, 6> kGroups{8, 16, 32, 64, 128, 256};

/// One line of reference values over kGroups.
struct Line {
  const char *scale, *rotation, *output;
  std::array<double, 6> values;
};
constexpr Line kLines[] = {
    {"e4m3", "none", "rel", {.0066, .00865, .01064, .0126, .0146, .0166}},
    {"e4m3", "had", "rel", {.0076, .0092, .01036, .0112, .0118, .0124}},
    {"e8m0", "none", "rel", {.0131, .0147, .0170, .0199, .0236, .0278}},
    {"e8m0", "had", "rel", {.0119, .0126, .0134, .0143, .0154, .0166}},
    {"e4m3", "none", "top_rel", {.000704, .000704, .000704, .000704, .000704, .000704}},
    {"e4m3", "had", "top_rel", {.00198, .00170, .00140, .00115, .00095, .00080}},
    {"e8m0", "none", "top_rel", {.0107, .0107, .0107, .0107, .0107, .0107}},
    {"e8m0", "had", "top_rel", {.00323, .00239, .00184, .00148, .00122, .00103}},
    {"int4", "none", "rel", {.0062, .0097, .0141, .0193, .0253, .0318}},
    {"int4", "had", "rel", {.0048, .0069, .0090, .0112, .0135, .0157}},
};

double tolerance(const Line& line) {
  const bool top = std::string(line.output) == "top_rel";
  return top && std::string(line.rotation + std::string(line.scale)) != "nonee4m3" ? 0.05 : 0.03;
}

std::string quantity(const std::string& output, const std::string& scale, const std::string& rotation, int group) {
  return fmt::format("{}[data=laplace,scale={},rotation={},group={}]", output, scale, rotation, group);
}

Vectors make_data(const Point& p, Rng rng) {
  const std::string& data = p.text("data");
  if (data != "laplace") return sample_tensors(data);
  return {synthetic(data, static_cast<std::size_t>(p.integer("samples")), static_cast<std::size_t>(p.integer("group")),
                    rng)};
}

Record compute(const Point& p, Rng rng) {
  const std::int64_t group = p.integer("group");
  const std::string transform = p.text("rotation") == "had" ? fmt::format("had:{}", group) : "id";
  const GroupErrors e = group_errors(scaled_format(p.text("scale"), group), transform, static_cast<std::size_t>(group),
                                     p.shared<Vectors>("tensors"), rng);
  return {{"rel", e.rel},
          {"rel_low", e.rel_interval.low},
          {"rel_high", e.rel_interval.high},
          {"top_rel", e.top},
          {"top_rel_low", e.top_interval.low},
          {"top_rel_high", e.top_interval.high},
          {"groups", static_cast<double>(e.groups)}};
}

double value(const Results& r, const char* output, const char* data, const char* scale, const char* rotation,
             int group) {
  return r.at(output, {{"data", data}, {"scale", scale}, {"rotation", rotation}, {"group", group}});
}

/// The largest group at which the rotation hurts (0: none), and the number of changes of sign along the group sizes.
void crossover_rows(const Results& r, const char* data, std::vector<Row>& rows) {
  for (const char* scale : {"e4m3", "e8m0", "int4"}) {
    int last_hurt = 0, changes = 0, before = 0;
    bool complete = true;
    for (const int group : kGroups) {
      const double gain = value(r, "rel", data, scale, "none", group) - value(r, "rel", data, scale, "had", group);
      complete = complete && !std::isnan(gain);
      const int sign = gain > 0 ? 1 : -1;
      if (before != 0 && sign != before) ++changes;
      before = sign;
      if (sign < 0) last_hurt = group;
    }
    const auto name = [&](const char* what) { return fmt::format("{}[data={},scale={}]", what, data, scale); };
    rows.push_back(exact_row(name("sign_changes"), complete ? changes : std::nan("")));
    rows.push_back(exact_row(name("largest_group_that_rotation_hurts"), complete ? last_hurt : std::nan("")));
  }
}

std::vector<Row> rows_of(const Results& r) {
  std::vector<Row> rows;
  for (const Line& line : kLines)
    for (const int group : kGroups) {
      const Coordinates at{{"data", "laplace"}, {"scale", line.scale}, {"rotation", line.rotation}, {"group", group}};
      const std::string low = std::string(line.output) + "_low", high = std::string(line.output) + "_high";
      rows.push_back(sampled_row(quantity(line.output, line.scale, line.rotation, group), r.at(line.output, at),
                                 {r.at(low, at), r.at(high, at)}));
    }
  for (const char* data : {"laplace", "weights", "activations"}) crossover_rows(r, data, rows);
  return rows;
}

Experiment group_size() {
  Experiment e = declare("group_size", "Figure 3", "Errors of groups and of their largest value by group size");
  e.param("samples", std::int64_t{1} << 21, "values per group size of the synthetic data", at_least(4096))
      .axis("data", texts({"laplace", "weights", "activations"}), "",
            "laplace: unit variance, each group times 2^U[0,1); weights: MiniLM-L6; activations: SmolLM2-135M")
      .axis("group", integers({8, 16, 32, 64, 128, 256, 512}), "1", "values per scale; whole tensors are pooled")
      .axis("scale", texts({"e4m3", "e8m0", "int4"}), "",
            "E2M1 with E4M3 and tensor scale, E2M1 with E8M0, integers -7 .. 7 with float scale")
      .axis("rotation", texts({"none", "had"}), "",
            "had: Hadamard matrix of the size of the group, undone before the error")
      .draws_vary_with({"data", "group"})
      .shared("tensors", {"data", "group"}, make_data)
      .output("rel", "1", "mean over groups of sum (x - xq)^2 / sum x^2")
      .output("rel_low", "1", "95 % bootstrap over batches of groups")
      .output("rel_high", "1", "see rel_low")
      .output("top_rel", "1", "mean over groups of (x_I - xq_I)^2 / x_I^2, I = argmax |x|")
      .output("top_rel_low", "1", "95 % bootstrap over batches of groups")
      .output("top_rel_high", "1", "see top_rel_low")
      .output("groups", "1", "groups that are not all zero")
      .quick("samples=65536 group=8,32,128")
      .cost(8)
      .unavailable_when([](const Params&) { return samples_missing(); })
      .point(compute)
      .rows(rows_of);
  for (const Line& line : kLines)
    for (std::size_t i = 0; i < kGroups.size(); ++i)
      e.reference(near(quantity(line.output, line.scale, line.rotation, kGroups[i]), line.values[i], tolerance(line),
                       kSimulation, "Figure 3 has the curve without numbers"));
  e.reference(within("sign_changes[data=laplace,scale=e4m3]", 1, {1, 1}));
  e.reference(within("largest_group_that_rotation_hurts[data=laplace,scale=e4m3]", 16, {16, 16}, kSimulation,
                     "between 16 and 32"));
  for (const char* scale : {"e8m0", "int4"})
    e.reference(within(fmt::format("largest_group_that_rotation_hurts[data=laplace,scale={}]", scale), 0, {0, 0},
                       kSimulation, "the rotation helps at every group size from 8 on"));
  return e;
}
LOWBIT_REGISTER(group_size);

}  // namespace
}  // namespace lowbit
