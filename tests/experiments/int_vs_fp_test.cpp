#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "experiments/papers/int_vs_fp/block_run.hpp"
#include "experiments/papers/int_vs_fp/crossover.hpp"
#include "experiments/papers/int_vs_fp/gates.hpp"
#include "experiments/papers/int_vs_fp/imposed_crest.hpp"
#include "experiments/papers/int_vs_fp/measured_case.hpp"
#include "experiments/papers/int_vs_fp/pairs.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"
#include "experiments/papers/int_vs_fp/stability.hpp"
#include "experiments/papers/int_vs_fp/tensor_run.hpp"
#include "experiments/papers/int_vs_fp/theory.hpp"
#include "formats/codec.hpp"
#include "sim/metric/crest_factor.hpp"
#include "tests/support/catch.hpp"

using namespace lowbit;
using namespace lowbit::int_vs_fp;

namespace {

std::map<std::string, Reference> table(const char* figure) {
  std::map<std::string, Reference> rows;
  for (const auto& reference : references(figure)) rows[reference.quantity] = reference;
  return rows;
}

std::size_t count_prefix(const std::map<std::string, Reference>& rows, const std::string& prefix) {
  std::size_t count = 0;
  for (const auto& [quantity, reference] : rows) count += quantity.starts_with(prefix);
  return count;
}

}  // namespace

TEST_CASE("the theory gives the 88 independently evaluated curve values", "[int_vs_fp]") {
  const auto rows = table("fig3");
  int checked = 0;
  for (const auto& format : theory_formats()) {
    for (const double kappa : {1., 1.5, 2., 2.5, 3., 4., 5., 6., 8., 10., 12.}) {
      const auto quantity = fmt::format("curve[format={},kappa={:g}]", format.name, kappa);
      CAPTURE(quantity);
      REQUIRE(theory_qsnr(format, kappa, {figure_rho(format)}) == Approx(*rows.at(quantity).value).margin(0.00501));
      ++checked;
    }
  }
  CHECK(checked == 88);
}

TEST_CASE("the theory crosses where the paper says", "[int_vs_fp]") {
  // Fig. 3 prints 7.55, 1.96, 2.04, 2.39; four digits from an independent evaluation
  const std::map<std::string_view, double> expected{{"mx8", 7.5459}, {"mx6", 1.9592}, {"mx4", 2.0415}, {"nv4", 2.3899}};
  for (const auto& pair : kPairs) {
    const auto &integer = theory_format(pair.integer), &floating = theory_format(pair.floating);
    const auto crossover = theory_crossover(integer, floating, {figure_rho(integer)});
    CHECK(crossover.kappa == Approx(expected.at(pair.name)).margin(1e-4));
    CHECK(theory_qsnr(integer, crossover.kappa, {figure_rho(integer)}) == Approx(crossover.qsnr).margin(1e-6));
  }
}

TEST_CASE("limits of the theorems follow from their formulas by hand", "[int_vs_fp]") {
  CHECK(float_upper_bound(3) == Approx(13.80211 + 18.06180).margin(1e-4));  // 10 log10 24 + 60 log10 2
  // exact Theorem 1 at rho = kappa = 1: 10 log10(12 * 4^7)
  CHECK(theory_qsnr(theory_format("mxint8"), 1, {1, IntegerConstant::power_of_two}) ==
        Approx(10 * std::log10(12 * 16384.0)));
  CHECK(theory_qsnr(theory_format("mxint8"), 1, {1, IntegerConstant::exact_q}) ==
        Approx(10 * std::log10(12 * 127.0 * 127)));
  // doubling rho costs 6.02 dB, and so does doubling kappa
  const auto& int4 = theory_format("mxint4");
  CHECK(theory_qsnr(int4, 3, {1}) - theory_qsnr(int4, 3, {2}) == Approx(6.0206).margin(1e-4));
  CHECK(theory_qsnr(int4, 3, {1}) - theory_qsnr(int4, 6, {1}) == Approx(6.0206).margin(1e-4));
}

TEST_CASE("the crossover of a sampled curve", "[int_vs_fp]") {
  const std::vector<DifferencePoint> curve{{1, 2}, {2, 1}, {3, -3}, {4, 0}, {5, 1}};
  CHECK(falling_crossover(curve) == Approx(2.25));
  CHECK(sign_changes(curve) == 2);
  CHECK(std::isnan(falling_crossover(std::vector<DifferencePoint>{{1, -1}, {2, -2}})));
  CHECK(std::isnan(falling_crossover({})));
}

TEST_CASE("bins add up errors and drop thin bins", "[int_vs_fp]") {
  ErrorBins bins(10, 0.5);
  bins.add(0.6, 1, 10);
  bins.add(0.7, 1, 10);
  bins.add(1.2, 4, 4);
  bins.add(99, 1, 2);  // beyond the last bin
  CHECK(bins.blocks[1] == 2);
  CHECK(bins.blocks[9] == 1);
  CHECK(bins.wins == 3);
  CHECK(bins.ties == 1);
  const auto points = binned_differences(bins, 2);
  REQUIRE(points.size() == 1);
  CHECK(points[0].kappa == 0.75);
  CHECK(points[0].difference == Approx(10));
}

TEST_CASE("imposed crest factors against a direct sum over a fine grid", "[int_vs_fp]") {
  // Riemann sum of (x - q(x))^2 phi(x) with q from the codec; the clipped tails sit at +-kappa
  const double kappa = 2.5, rho = 1.3;
  for (const char* name : {"int4", "e2m1", "e2m3"}) {
    const Element& grid = element(name);
    const double scale = rho * kappa / grid.max(), step = 1e-4;
    double error = std::erfc(kappa / std::sqrt(2)) * std::pow(kappa - scale * round_to(grid, kappa / scale), 2);
    for (double x = step / 2; x < kappa; x += step) {
      const double q = scale * round_to(grid, x / scale);
      error += 2 * step * (x - q) * (x - q) * std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979);
    }
    CHECK(imposed_crest_qsnr(CellModel(grid), kappa, {rho}) == Approx(-10 * std::log10(error)).margin(2e-3));
  }
}

TEST_CASE("Algorithm 1 step by step", "[int_vs_fp]") {
  const Element &bf16 = element("bf16"), &fp16 = element("fp16");
  // BF16, D = 1: 1/127 = 0x1.020408p-7 rounds to 0x1.02p-7; 1 / that = 127.0078 -> 127
  CHECK(scaled_code(bf16, 1.0f) == 127);
  // D = 170: 170/127 = 1.33858 rounds to 171/128; 170 / that = 127.2515 rounds to 127.5, whose even neighbour is 128
  CHECK(scaled_code(bf16, 170.0f) == 128);
  CHECK(scaled_code(bf16, 169.0f) == 127);
  CHECK(scaled_code(bf16, 190.0f) == 128);
  // D = 191: 191/127 = 1.50394 rounds to 193/128; 191 / that = 126.674 rounds to 126.5, whose even neighbour is 126
  CHECK(scaled_code(bf16, 191.0f) == 126);
  CHECK(scaled_code(bf16, -170.0f) == 128);  // the scale carries the sign of D
  CHECK(scaled_code(bf16, 0.0f) == 0);
  CHECK(std::isinf(scaled_code(fp16, 0x1p-24f)));  // the scale underflows to 0
  // exact probabilities of an independent evaluation over all codes
  CHECK(100 * algorithm1_probability(bf16).equal == Approx(16.8236).margin(0.00005));
  CHECK(100 * algorithm1_probability(fp16).equal == Approx(0.01426).margin(0.000005));
}

TEST_CASE("unclipped codes of a block", "[int_vs_fp]") {
  const float block[]{170, -85, 0, 1};
  CHECK(unclipped_codes(block, BlockArithmetic::bf16).high == 128);
  for (const auto exact : {BlockArithmetic::fp32, BlockArithmetic::bf16_scale, BlockArithmetic::bf16_quotient}) {
    CHECK(unclipped_codes(block, exact).high == 127);
  }
  CHECK(unclipped_codes(block, BlockArithmetic::e8m0).high == 85);  // 170/127 rounds up to a step of 2
  CHECK(unclipped_codes(block, BlockArithmetic::e8m0).low == -42);  // -42.5 is a tie: even
  const float zeros[4]{};
  CHECK(unclipped_codes(zeros, BlockArithmetic::bf16).high == 0);
  CHECK(100 * overflow_probability(32, 1) == Approx(14.73).margin(0.005));  // independent evaluation
}

TEST_CASE("gate counts by hand", "[int_vs_fp]") {
  const auto path = [](std::string_view name) {
    return *std::find_if(kDatapaths.begin(), kDatapaths.end(), [&](const Datapath& d) { return d.name == name; });
  };
  CHECK(gate_count(path("mxint8"), GateKind::multiplier) == 32 * 64);
  CHECK(gate_count(path("mxint8"), GateKind::adder) == 512);
  CHECK(gate_count(path("mxint8"), GateKind::aligner) == 0);
  CHECK(path("mxfp8_e4m3").aligner_width() == 24);  // 2^5 + 6 = 38, cut at 24
  CHECK(path("mxfp6_e2m3").aligner_width() == 14);
  CHECK(path("nvfp4").aligner_width() == 10);
  CHECK(gate_count(path("nvfp4"), GateKind::aligner) == Approx(16 * 10 * std::log2(10.0)));
  CHECK(gate_count(path("mxfp8_e4m3"), GateKind::exponent_adder) == 128);
}

TEST_CASE("method B finds the same crossover on a small run, and pairs see the same blocks", "[int_vs_fp]") {
  const BlockRun run{Source::parse("gaussian"), 16, 40000, 20};
  const auto& pair = pair_of("nv4");
  const auto batches = run_blocks(run, paper_format(pair.integer, 16), paper_format(pair.floating, 16), Rng(1, "test"));
  const auto summary = summarise(batches, 100, Rng(1, "bootstrap"));
  CHECK(summary.bins.total == 40000);
  CHECK(summary.crossover == Approx(2.28).margin(0.08));  // independent simulation, 400k blocks: 2.28
  CHECK(summary.crossover_interval.low < summary.crossover);
  CHECK(summary.crossover_interval.high > summary.crossover);
  CHECK(summary.win_rate == Approx(0.631).margin(0.01));
  const auto again = run_blocks(run, "mxint8:rule=ceil", "mxfp8_e4m3:rule=ceil", Rng(1, "test"));
  CHECK(again[3].blocks == batches[3].blocks);
}

TEST_CASE("rotating a spike spreads it over its block", "[int_vs_fp]") {
  const Layout layout = Layout::matrix(1, 64);
  std::vector<float> x(64);
  x[5] = 8;
  const auto y = rotated(x, layout, 32, 1);
  CHECK(crest_factor(y.data(), 32) == Approx(1));
  for (int i = 32; i < 64; ++i) REQUIRE(y[i] == 0);
}

TEST_CASE("each published number has a row in the reference tables", "[int_vs_fp][coverage]") {
  const auto fig3 = table("fig3");
  CHECK(count_prefix(fig3, "curve[") == 88);
  for (const char* pair : {"mx8", "mx6", "mx4", "nv4"}) {
    CHECK(fig3.count(fmt::format("crossover_kappa[pair={}]", pair)) == 1);
    CHECK(fig3.count(fmt::format("crossover_qsnr[pair={}]", pair)) == 1);
  }
  CHECK(count_prefix(fig3, "upper_bound") == 3);
  CHECK(count_prefix(fig3, "crossover_kappa") == 4 + 1 + 12 + 4);
  const auto table2 = table("table2");
  CHECK(count_prefix(table2, "kappa[") == 6 * 5);  // Table 2
  CHECK(count_prefix(table2, "kappa_text") == 1);
  const auto fig4 = table("fig4");
  for (const char* kind : {"int_qsnr_mean[", "fp_qsnr_mean[", "int_win_percent["}) CHECK(count_prefix(fig4, kind) == 8);
  CHECK(count_prefix(table("algorithm1"), "percent[") == 3);          // Table 11
  CHECK(count_prefix(table("hardware"), "gates[") == 4 * 2 + 4 * 7);  // Table 6 for eight formats
  CHECK(count_prefix(table("hardware"), "energy[") + count_prefix(table("hardware"), "area[") == 10);  // Table 5
  CHECK(count_prefix(table("gaussian"), "qsnr[") == 11 * 3 * 6 + 8);
}
