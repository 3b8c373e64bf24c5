// Figure 3: the theorems' QSNR against the crest factor, and where the pairs cross.
#include <cmath>

#include "experiments/papers/int_vs_fp/pairs.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "experiments/papers/int_vs_fp/theory.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

constexpr double kTableKappas[] = {1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12};
constexpr double kSqrt2 = 1.4142135623730951;

std::vector<std::string> format_names_of_theory() {
  std::vector<std::string> names;
  for (const auto& format : theory_formats()) names.emplace_back(format.name);
  return names;
}

double rho_of(const Params& params, const TheoryFormat& format) {
  return params.real(format.e4m3_scale ? "rho_nv" : "rho_mx");
}

Record compute_fig3(const Point& p, Rng) {
  const auto& format = theory_format(p.text("format"));
  return {{"qsnr", theory_qsnr(format, p.real("kappa"), {p.real(format.e4m3_scale ? "rho_nv" : "rho_mx")})}};
}

Crossover crossover_of(const Pair& pair, const TheoryVariant& variant) {
  return theory_crossover(theory_format(pair.integer), theory_format(pair.floating), variant);
}

void add(std::vector<Row>& rows, std::string quantity, double value) {
  rows.push_back(exact_row(std::move(quantity), value));
}

/// The variants of the constants: rho = sqrt 2, Q = 2^(b-1) - 1, nothing rounded in print.
void add_sensitivity(std::vector<Row>& rows) {
  struct Case {
    const char* name;
    TheoryVariant variant;
  };
  for (const auto& [name, variant] :
       {Case{"printed,rho=sqrt2", {kSqrt2}}, Case{"exact_q,rho=1.5", {1.5, IntegerConstant::exact_q}},
        Case{"exact_q,rho=sqrt2", {kSqrt2, IntegerConstant::exact_q}},
        Case{"power_of_two,rho=1.5", {1.5, IntegerConstant::power_of_two}}}) {
    for (const auto& pair : kPairs) {
      if (pair.group == 16) continue;
      add(rows, fmt::format("crossover_kappa[pair={},constant={}]", pair.name, name),
          crossover_of(pair, variant).kappa);
    }
  }
  for (const double rho : {1.0, 1.05}) {
    const auto name = [&](const char* constant) {
      return fmt::format("crossover_kappa[pair=nv4,constant={},rho={:g}]", constant, rho);
    };
    add(rows, name("exact_q"), crossover_of(pair_of("nv4"), {rho, IntegerConstant::exact_q}).kappa);
    add(rows, name("printed_mx"), crossover_of(pair_of("nv4"), {rho, IntegerConstant::printed_everywhere}).kappa);
    add(rows, fmt::format("kink_kappa[format=nvfp4,rho={:g}]", rho), normal_term_kink(theory_format("nvfp4"), rho));
  }
}

/// What the authors' plotting code does beyond the theorems, and by how much: the zero region, the rounded constants.
void add_conventions(std::vector<Row>& rows) {
  double largest = 0, rounding = 0;
  const auto effect = [](const TheoryFormat& format, double kappa) {
    const double rho = figure_rho(format);
    return std::fabs(theory_qsnr(format, kappa, {rho}) -
                     theory_qsnr(format, kappa, {rho, IntegerConstant::printed, kUniformPhase, false}));
  };
  for (const auto& format : theory_formats()) {
    if (format.is_integer) {
      if (format.e4m3_scale) continue;
      rounding = std::max(rounding,
                          theory_qsnr(format, 2, {1.5}) - theory_qsnr(format, 2, {1.5, IntegerConstant::power_of_two}));
      continue;
    }
    for (double kappa = 1; kappa < 5; kappa += 0.01) largest = std::max(largest, effect(format, kappa));
  }
  add(rows, "zero_region_db[below_kappa=5]", largest);
  add(rows, "zero_region_db[format=mxfp4,kappa=12]", effect(theory_format("mxfp4"), 12));
  add(rows, "printed_minus_exact_db", rounding);
}

std::vector<Row> fig3_rows(const Results& results) {
  std::vector<Row> rows;
  for (const auto& pair : kPairs) {
    const auto& integer = theory_format(pair.integer);
    const auto crossover = crossover_of(pair, {rho_of(results.params(), integer)});
    add(rows, fmt::format("crossover_kappa[pair={}]", pair.name), crossover.kappa);
    add(rows, fmt::format("crossover_qsnr[pair={}]", pair.name), crossover.qsnr);
  }
  const auto text = crossover_of(pair_of("nv4"), {1.0});
  add(rows, "crossover_kappa[pair=nv4,rho=1]", text.kappa);
  add(rows, "crossover_qsnr[pair=nv4,rho=1]", text.qsnr);
  for (const int m : {0, 1, 3}) add(rows, fmt::format("upper_bound[mantissa_bits={}]", m), float_upper_bound(m));
  // Theorem 1 with rho = kappa = 1 and b = 0: 10 log10(12 / 4)
  add(rows, "integer_constant_db",
      theory_qsnr({"", true, 0, 0, 0, 0, 32, false}, 1, {1, IntegerConstant::power_of_two}));
  for (const auto& format : theory_formats()) {
    for (const double kappa : kTableKappas) {
      add(rows, fmt::format("curve[format={},kappa={:g}]", format.name, kappa),
          theory_qsnr(format, kappa, {rho_of(results.params(), format)}));
    }
  }
  add_sensitivity(rows);
  add_conventions(rows);
  return rows;
}

Experiment fig3() {
  return with_references(
      Experiment{"int_vs_fp/fig3"}
          .paper(kPaper, "Fig. 3", "Theory: QSNR of integer and float block formats against the crest factor")
          .param("rho_mx", 1.5, "scale overhead s'/s of E8M0 scales (authors' plot)", between(1, 2))
          .param("rho_nv", 1.05, "the same for E4M3 scales (authors' plot; the text says 1)", between(0.5, 2))
          .axis("format", texts(format_names_of_theory()), "", "block format")
          .axis("kappa", linspace(1, 12, 441), "1", "crest factor max|x| / rms(x) of a block")
          .draws_vary_with({})
          .output("qsnr", "dB", "Theorems 1 and 2 for Gaussian data")
          .quick("kappa=1:12:0.5")
          .cost(0.1)
          .point(compute_fig3)
          .rows(fig3_rows));
}
LOWBIT_REGISTER(fig3);

}  // namespace
}  // namespace lowbit
