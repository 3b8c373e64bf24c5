// Definitions 1 to 3, Lemma 1 and Lemma 2: errors of independent values by quadrature, and what a rotation does to the
// largest value by sampling.
#include <array>
#include <bit>
#include <cmath>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/mr_gptq/common.hpp"
#include "experiments/papers/mr_gptq/error_theory.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {
namespace {
using namespace mr_gptq;

struct TheoryValue {
  const char* element;
  int group;
  double laplace, normal;
};
constexpr TheoryValue kTheory[] = {
    {"e2m1", 8, .0060, .0070},  {"e2m1", 16, .0083, .0089},  {"e2m1", 24, .0097, .0097},   {"e2m1", 32, .0105, .0102},
    {"e2m1", 64, .0126, .0112}, {"e2m1", 256, .0167, .0124}, {"e2m1", 4096, .0274, .0141}, {"int4", 2, .0015, .0014},
};
constexpr std::array<double, 6> kLemma{1.005, 1.008, 1.020, 1.031, 1.046, 1.056};  // E2M1, G = 8 .. 256
constexpr std::array<int, 6> kLemmaGroups{8, 16, 32, 64, 128, 256};
constexpr double kMostLaplace = 1.122;

ErrorTheory make_theory(const Point& p, Rng) {
  return ErrorTheory(p.text("source"), p.text("element"));
}

/// Sums of one batch: error of the largest value, mean error of the others too, with and without rotation.
struct LemmaBatch {
  double top = 0, rotated = 0, plain = 0;
};
/// Per element (E2M1, INT4) and batch.
using LemmaSums = std::array<std::vector<LemmaBatch>, 2>;

/// Adds the groups of x: quantised as they are, and rotated by a Hadamard matrix of the size of the group.
void add_batch(const Format& format, std::size_t group, const std::vector<float>& x, LemmaBatch& sums) {
  const Layout layout = Layout::vector(x.size());
  std::vector<float> y(x.size()), z(x.size());
  fake_quantize(format, layout, x.data(), z.data());
  const auto rotation = parse_transform(fmt::format("had:{}", group));
  apply(*rotation, layout, x.data(), y.data());
  std::vector<float> rotated = y;
  fake_quantize(format, layout, y.data(), y.data());
  const double root = std::sqrt(static_cast<double>(group));
  for (std::size_t first = 0; first < x.size(); first += group) {
    std::size_t top = 0;
    double plain = 0, energy = 0, at_top = 0;
    for (std::size_t i = 0; i < group; ++i)
      if (std::abs(x[first + i]) > std::abs(x[first + top])) top = i;
    for (std::size_t i = 0; i < group; ++i) {
      const double e = static_cast<double>(rotated[first + i]) - y[first + i];
      const double d = static_cast<double>(x[first + i]) - z[first + i];
      energy += e * e;
      plain += d * d;
      at_top += std::popcount(i & top) % 2 == 0 ? e : -e;  // row `top` of the Hadamard matrix
    }
    sums.top += at_top * at_top / (root * root);
    sums.rotated += energy / static_cast<double>(group);
    sums.plain += plain / static_cast<double>(group);
  }
}

LemmaSums make_lemma(const Point& p, Rng rng) {
  constexpr std::size_t kPiece = std::size_t{1} << 18;
  const auto group = static_cast<std::size_t>(p.integer("group"));
  const auto batches = static_cast<std::size_t>(p.integer("batches"));
  LemmaSums sums{std::vector<LemmaBatch>(batches), std::vector<LemmaBatch>(batches)};
  if (!std::has_single_bit(group) || group < 8 || group > 256) return sums;
  const Format formats[] = {parse_format(fmt::format("e2m1:g{}:s=fp32", group)),
                            parse_format(fmt::format("int4:g{}:s=fp32", group))};
  const std::size_t pieces = (static_cast<std::size_t>(p.integer("samples")) + kPiece - 1) / kPiece;
  const bool laplace = p.text("source") == "laplace";
  for (std::size_t piece = 0; piece < pieces; ++piece) {
    Rng draw = rng.split(fmt::format("{} {}", p.text("source"), piece));
    std::vector<float> x(kPiece);
    for (float& v : x) v = static_cast<float>(laplace ? draw.laplace() * 0.7071067811865476 : draw.normal());
    for (std::size_t e = 0; e < 2; ++e) add_batch(formats[e], group, x, sums[e][piece % batches]);
  }
  return sums;
}

Record compute(const Point& p, Rng rng) {
  const auto& theory = p.shared<ErrorTheory>("theory");
  const double group = p.real("group");
  Record record{{"mse", theory.mse(group)}};
  const auto& sums = p.shared<LemmaSums>("lemma")[p.text("element") == "int4" ? 1 : 0];
  std::vector<double> top, rotated, plain;
  for (const LemmaBatch& b : sums) top.push_back(b.top), rotated.push_back(b.rotated), plain.push_back(b.plain);
  const auto put = [&](const char* name, const std::vector<double>& a, const std::vector<double>& b) {
    double numerator = 0, denominator = 0;
    for (std::size_t i = 0; i < a.size(); ++i) numerator += a[i], denominator += b[i];
    if (denominator == 0) return;
    const Interval i = bootstrap_ratio(a, b, rng.split(name), 400);
    record.set(name, numerator / denominator);
    record.set(std::string(name) + "_low", i.low);
    record.set(std::string(name) + "_high", i.high);
  };
  put("top_ratio", top, rotated);
  put("rotation_ratio", rotated, plain);
  return record;
}

double mse_at(const Results& r, const char* source, const char* element, int group) {
  return r.at("mse", {{"source", source}, {"element", element}, {"group", group}});
}

Row ratio_row(const Results& r, std::string quantity, const std::string& output, const Coordinates& at) {
  return sampled_row(std::move(quantity), r.at(output, at), {r.at(output + "_low", at), r.at(output + "_high", at)});
}

/// Where the curves of Laplace and Normal data cross: bisection on the quadrature.
double crossover(const Results&) {
  const ErrorTheory laplace("laplace", "e2m1"), normal("normal", "e2m1");
  double low = 4, high = 256;
  for (int i = 0; i < 60; ++i) {
    const double middle = std::sqrt(low * high);
    (laplace.mse(middle) < normal.mse(middle) ? low : high) = middle;
  }
  return low;
}

std::vector<Row> rows_of(const Results& r) {
  std::vector<Row> rows;
  for (const TheoryValue& v : kTheory)
    for (const char* source : {"laplace", "normal"})
      rows.push_back(exact_row(fmt::format("mse[source={},element={},group={}]", source, v.element, v.group),
                               mse_at(r, source, v.element, v.group), "quadrature"));
  rows.push_back(exact_row("crossover_group", crossover(r), "quadrature"));
  rows.push_back(exact_row("int4_normal_below_laplace[group=2]",
                           mse_at(r, "normal", "int4", 2) < mse_at(r, "laplace", "int4", 2) ? 1 : 0));
  rows.push_back(exact_row("top_rel_log_uniform", top_error_log_uniform(3), "quadrature"));
  double most = std::nan("");
  for (const int group : kLemmaGroups) {
    for (const char* element : {"e2m1", "int4"}) {
      const Coordinates normal{{"source", "normal"}, {"element", element}, {"group", group}};
      rows.push_back(ratio_row(r, fmt::format("top_ratio[source=normal,element={},group={}]", element, group),
                               "top_ratio", normal));
      rows.push_back(ratio_row(r, fmt::format("rotation_ratio[source=normal,element={},group={}]", element, group),
                               "rotation_ratio", normal));
    }
    const double laplace = r.at("top_ratio", {{"source", "laplace"}, {"element", "e2m1"}, {"group", group}});
    most = std::isnan(laplace) || laplace < most ? most : laplace;
  }
  if (!std::isnan(most)) {
    Coordinates at{{"source", "laplace"}, {"element", "e2m1"}, {"group", 8}};
    for (const int group : kLemmaGroups)
      if (r.at("top_ratio", {at[0], at[1], {"group", group}}) == most) at[2].second = group;
    rows.push_back(ratio_row(r, "largest_top_ratio[source=laplace,element=e2m1]", "top_ratio", at));
  }
  return rows;
}

Experiment theory() {
  Experiment e =
      declare("theory", "Definitions 1 to 3, Lemmas 1 and 3", "Mean square errors of groups in theory and Lemma 1");
  e.param("samples", std::int64_t{50000000}, "values of Lemma 1 per source, element and group size", at_least(262144))
      .param("batches", 40, "batches of the bootstrap", at_least(2))
      .axis("source", texts({"laplace", "normal"}), "", "distribution of independent values, unit variance")
      .axis("group", integers({2, 4, 8, 16, 24, 32, 64, 128, 256, 1024, 4096}), "1", "values per scale")
      .axis("element", texts({"e2m1", "int4"}), "", "E2M1, or integers -7 .. 7; the scale is not rounded")
      .draws_vary_with({"group"})
      .shared("theory", {"source", "element"}, make_theory)
      .shared("lemma", {"source", "group"}, make_lemma)
      .output("mse", "1", "E (X_1 - Y_1)^2 by quadrature")
      .output("top_ratio", "1",
              "Lemma 1, sampled for groups of 8 to 256: MSE of the largest value over the MSE, rotated")
      .output("top_ratio_low", "1", "95 % bootstrap over batches")
      .output("top_ratio_high", "1", "see top_ratio_low")
      .output("rotation_ratio", "1", "MSE with rotation over MSE without, sampled")
      .output("rotation_ratio_low", "1", "95 % bootstrap over batches")
      .output("rotation_ratio_high", "1", "see rotation_ratio_low")
      .quick("samples=524288 batches=2 group=2,8,16,32")
      .cost(45)
      .point(compute)
      .rows(rows_of);
  for (const TheoryValue& v : kTheory)
    for (const auto& [source, value] : {std::pair{"laplace", v.laplace}, std::pair{"normal", v.normal}}) {
      const double margin = std::max(0.00005, 0.01 * value);  // the last printed digit, or the simulation's noise
      e.reference(within(fmt::format("mse[source={},element={},group={}]", source, v.element, v.group), value,
                         {value - margin, value + margin}));
    }
  e.reference(within("crossover_group", 24, {18, 30}));
  e.reference(within("int4_normal_below_laplace[group=2]", 1, {1, 1}, kSimulation, "so INT4 has no crossover"));
  e.reference(
      within("top_rel_log_uniform", .01073, {.010725, .010735}, "derived: integral of ((x - Q) / x)^2 on [3, 6)"));
  for (std::size_t i = 0; i < kLemma.size(); ++i)
    for (const char* element : {"e2m1", "int4"}) {
      const double value = element[0] == 'e' ? kLemma[i] : 1.0;
      e.reference(within(fmt::format("top_ratio[source=normal,element={},group={}]", element, kLemmaGroups[i]), value,
                         {value - .01, value + .01}));
      e.reference(within(fmt::format("rotation_ratio[source=normal,element={},group={}]", element, kLemmaGroups[i]), 1,
                         {.99, 1.01}));
    }
  e.reference(
      within("largest_top_ratio[source=laplace,element=e2m1]", kMostLaplace, {kMostLaplace - .01, kMostLaplace + .01}));
  return e;
}
LOWBIT_REGISTER(theory);

// ---- Lemma 2: the dead zone

Record compute_dead(const Point& p, Rng) {
  const auto& theory = p.shared<ErrorTheory>("theory");
  const double group = p.real("group");
  return {
      {"dead_energy", theory.dead_energy(group)}, {"preserved", theory.preserved(group)}, {"mse", theory.mse(group)}};
}

/// Slope of log R(G) - log of the lemma's factor against log G between two group sizes: -delta for Laplace, -delta^2
/// for Normal in the limit.
std::vector<Row> dead_rows(const Results& r) {
  std::vector<Row> rows;
  for (const char* element : {"e2m1", "int4"}) {
    int first = 0;
    for (const Value& group : r.coordinates("group")) {
      const auto dead = [&](const char* source) {
        return r.at("dead_energy", {{"source", source}, {"element", element}, {"group", group}});
      };
      if (first == 0 && dead("normal") < dead("laplace")) first = static_cast<int>(group.integer());
    }
    rows.push_back(exact_row(fmt::format("first_group_where_normal_keeps_more[element={}]", element), first,
                             "energy outside of the dead zone, quadrature"));
    for (const char* source : {"laplace", "normal"}) {
      const Coordinates at{{"source", source}, {"element", element}, {"group", 256}};
      const double mse = r.at("mse", at), dead = r.at("dead_energy", at);
      rows.push_back(exact_row(fmt::format("dead_share_of_mse[source={},element={},group=256]", source, element),
                               dead / mse, "Lemma 2 takes all of the error for that of the dead zone"));
    }
  }
  return rows;
}

Experiment dead_zone() {
  return declare("dead_zone", "Lemma 2", "Energy in the dead zone by group size, Laplace and Normal data")
      .axis("source", texts({"laplace", "normal"}), "", "distribution of independent values, unit variance")
      .axis("element", texts({"e2m1", "int4"}), "", "E2M1 (dead zone 1/24 of the scale), integers -7 .. 7 (1/14)")
      .axis("group", integers({2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536}), "1", "values per scale")
      .shared("theory", {"source", "element"}, make_theory)
      .output("dead_energy", "1", "E[X^2 1(|U| < delta)], U = X / max |X|")
      .output("preserved", "1", "R(G) = 1 - dead_energy")
      .output("mse", "1", "E (X_1 - Y_1)^2")
      .quick("group=2,8,32,256")
      .cost(1)
      .point(compute_dead)
      .rows(dead_rows);
}
LOWBIT_REGISTER(dead_zone);

}  // namespace
}  // namespace lowbit
