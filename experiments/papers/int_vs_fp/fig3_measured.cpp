// The crossovers of figure 3, measured: the theorems with other constants, and methods A (imposed crest factor), B
// (blocks binned by their crest factor) and C (tensors of a family, as in figure 4).
#include <algorithm>

#include "experiments/papers/int_vs_fp/block_run.hpp"
#include "experiments/papers/int_vs_fp/measured_case.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"

namespace lowbit {
namespace {
using namespace int_vs_fp;

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& measured : measured_cases()) names.emplace_back(measured.name);
  return names;
}

MeasuredCurves curves_of(const Point& p, const Rng& rng) {
  const auto& measured = measured_case(p.text("case"));
  const auto& pair = pair_of(p.text("pair"));
  const auto size = [&](const char* name) { return static_cast<std::size_t>(p.integer(name)); };
  const MeasuredSizes sizes{size("blocks"), size("samples"), size("rows"), size("columns")};
  switch (measured.method) {
    case Method::theory:
      return theory_curves(measured, pair);
    case Method::imposed_crest:
      return imposed_crest_curves(measured, pair);
    case Method::blocks:
      return block_curves(measured, pair, sizes, rng);
    case Method::tensors:
      return tensor_curves(measured, pair, sizes, rng);
  }
  return {};
}

Record compute_fig3_measured(const Point& p, Rng rng) {
  const auto curves = curves_of(p, rng);
  Record record{{"crossover", curves.crossover},
                {"crossover_qsnr", curves.crossover_qsnr},
                {"sign_changes", curves.sign_changes}};
  if (curves.interval) record.set("crossover_low", curves.interval->low).set("crossover_high", curves.interval->high);
  if (!std::isnan(curves.win)) {
    record.set("int_win", 100 * curves.win);
    record.set("int_win_low", 100 * curves.win_interval.low).set("int_win_high", 100 * curves.win_interval.high);
  }
  const auto padded = [](std::vector<double> values) {
    values.resize(kCrestBins, std::nan(""));
    return values;
  };
  record.set("kappa", padded(curves.kappa)).set("int_qsnr", padded(curves.integer));
  record.set("fp_qsnr", padded(curves.floating)).set("blocks_in_bin", padded(curves.blocks));
  const auto bound = [&](const std::vector<Interval>& intervals, double Interval::*end) {
    std::vector<double> values;
    for (const auto& interval : intervals) values.push_back(interval.*end);
    return padded(values);
  };
  record.set("int_qsnr_low", bound(curves.integer_interval, &Interval::low));
  record.set("int_qsnr_high", bound(curves.integer_interval, &Interval::high));
  record.set("fp_qsnr_low", bound(curves.floating_interval, &Interval::low));
  return record.set("fp_qsnr_high", bound(curves.floating_interval, &Interval::high));
}

Coordinates at(std::string_view measured, std::string_view pair) {
  return {{"case", std::string(measured)}, {"pair", std::string(pair)}};
}

/// A crossover with its interval, exact for the computed cases. NaN where the pair does not cross; the note says so.
Row crossover_row(const Results& results, std::string quantity, std::string_view measured, std::string_view pair) {
  const auto where = at(measured, pair);
  const double crossover = results.at("crossover", where), low = results.at("crossover_low", where);
  Row row = std::isnan(low) ? exact_row(std::move(quantity), crossover)
                            : sampled_row(std::move(quantity), crossover, {low, results.at("crossover_high", where)});
  if (std::isnan(crossover) && !std::isnan(results.at("sign_changes", where))) row.note = "the curves do not cross";
  return row;
}

/// Smallest lead of the float format over kappa in [1.2, 3].
double smallest_float_lead(const Results& results, std::string_view measured, std::string_view pair) {
  const auto where = at(measured, pair);
  const auto kappa = results.along("kappa", "bin", where), integer = results.along("int_qsnr", "bin", where),
             floating = results.along("fp_qsnr", "bin", where);
  double lead = std::nan("");
  for (std::size_t i = 0; i < kappa.size(); ++i) {
    if (kappa[i] > 1.19 && kappa[i] < 3.01) lead = std::fmin(lead, floating[i] - integer[i]);
  }
  return lead;
}

/// Value of a binned curve at kappa, linear between bin centres.
double curve_at(const Results& results, const char* output, const Coordinates& where, double kappa) {
  const auto centres = results.along("kappa", "bin", where), values = results.along(output, "bin", where);
  for (std::size_t i = 1; i < centres.size(); ++i) {
    if (centres[i] < kappa) continue;
    const double t = (kappa - centres[i - 1]) / (centres[i] - centres[i - 1]);
    return values[i - 1] + t * (values[i] - values[i - 1]);
  }
  return std::nan("");
}

void add_computed_rows(const Results& results, std::vector<Row>& rows) {
  const auto crossover = [&](std::string_view method, std::string_view pair) {
    rows.push_back(crossover_row(results, fmt::format("crossover[method={},pair={}]", method, pair), method, pair));
  };
  for (const auto& pair : kPairs) crossover("theory", pair.name);
  for (const char* variant : {"theory_rho", "theory_q", "theory_corrected"}) {
    for (const auto& pair : kPairs) crossover(variant, pair.name);
  }
  for (const char* method : {"A", "A_mean_db", "A_clipped_body"}) {
    for (const auto& pair : kPairs) {
      if (pair.group == 32) crossover(method, pair.name);
    }
  }
  crossover("A_rho_1.5", "mx8");
  for (const char* method : {"A", "A_rho_1.5"}) {
    rows.push_back(exact_row(fmt::format("crossover_qsnr[method={},pair=mx8]", method),
                             results.at("crossover_qsnr", at(method, "mx8"))));
  }
  for (const char* pair : {"mx6", "mx4"}) {
    rows.push_back(exact_row(fmt::format("float_lead_db[method=A_rho_1.5,pair={}]", pair),
                             smallest_float_lead(results, "A_rho_1.5", pair)));
  }
}

void add_block_rows(const Results& results, std::vector<Row>& rows) {
  for (const char* source : {"gaussian", "laplace", "t:dof=3", "row_outlier"}) {
    const auto measured = fmt::format("B:{}", source);
    for (const auto& pair : kPairs) {
      const auto where = at(measured, pair.name);
      if (pair.name == "mx8") {
        Row row = exact_row(fmt::format("sign_changes[method=B,source={},pair=mx8]", source),
                            results.at("sign_changes", where));
        row.note = "a count along one binned curve, no sampling interval";
        rows.push_back(row);
      } else {
        rows.push_back(crossover_row(results, fmt::format("crossover[method=B,source={},pair={}]", source, pair.name),
                                     measured, pair.name));
      }
      rows.push_back(sampled_row(fmt::format("int_win_percent[method=B,source={},pair={}]", source, pair.name),
                                 results.at("int_win", where),
                                 {results.at("int_win_low", where), results.at("int_win_high", where)}));
    }
  }
  for (const int group : {64, 128, 256, 512}) {
    rows.push_back(crossover_row(results,
                                 fmt::format("crossover[method=B,source=row_outlier,group={},pair=mx8]", group),
                                 fmt::format("B:row_outlier:g{}", group), "mx8"));
  }
}

/// The curves of method B at a few crest factors.
void add_curve_rows(const Results& results, std::vector<Row>& rows) {
  for (const auto& pair : kPairs) {
    const auto where = at("B:row_outlier", pair.name);
    const auto kappas = pair.name == "mx8"   ? std::vector{1.76, 2.75, 3.75, 4.75}
                        : pair.name == "nv4" ? std::vector{1.76, 2.25, 2.75, 3.25, 3.75}
                                             : std::vector{1.76, 2.25, 2.75, 3.75};
    for (const double kappa : kappas) {
      for (const char* kind : {"int", "fp"}) {
        const auto low = curve_at(results, fmt::format("{}_qsnr_low", kind).c_str(), where, kappa);
        const auto high = curve_at(results, fmt::format("{}_qsnr_high", kind).c_str(), where, kappa);
        rows.push_back(
            sampled_row(fmt::format("{}_qsnr[method=B,source=row_outlier,pair={},kappa={:g}]", kind, pair.name, kappa),
                        curve_at(results, fmt::format("{}_qsnr", kind).c_str(), where, kappa), {low, high}));
      }
    }
  }
}

void add_tensor_rows(const Results& results, std::vector<Row>& rows) {
  for (const char* family : {"t", "generalised_gaussian", "channel_scales"}) {
    const auto measured = fmt::format("C:{}", family);
    rows.push_back(
        crossover_row(results, fmt::format("crossover[method=C,family={},pair=nv4]", family), measured, "nv4"));
    Row row = exact_row(fmt::format("crossings[method=C,family={},pair=mx4]", family),
                        results.at("sign_changes", at(measured, "mx4")));
    row.note = "a count along the family's points, no sampling interval";
    rows.push_back(row);
  }
  rows.push_back(crossover_row(results, "crossover[method=C,family=generalised_gaussian,pair=mx6]",
                               "C:generalised_gaussian", "mx6"));
}

std::vector<Row> fig3_measured_rows(const Results& results) {
  std::vector<Row> rows;
  add_computed_rows(results, rows);
  add_block_rows(results, rows);
  add_curve_rows(results, rows);
  add_tensor_rows(results, rows);
  return rows;
}

Experiment fig3_measured() {
  return with_references(
      Experiment{"int_vs_fp/fig3_measured"}
          .paper(kPaper, "Fig. 3", "Measured crossovers beside the theory's: imposed crest factor, blocks, tensors")
          .param("blocks", 400000, "method B: blocks per case", at_least(4000))
          .param("samples", 8, "method C: tensors per point", at_least(1))
          .param("rows", 256, "method C: rows of a tensor, each times exp(0.5 z)", at_least(1))
          .param("columns", 2048, "method C: columns, along which the blocks run", at_least(32))
          .axis("case", texts(case_names()), "",
                "theory* and A*: computed; B:source[,group]: drawn blocks; C:family: drawn tensors")
          .axis("pair", texts({"mx8", "mx6", "mx4", "nv4"}), "", "integer and float format of one width and scale")
          .dim("bin", indices(kCrestBins), "1", "bin of crest factors, or point of the curve")
          .where([](const Point& p) { return applies(measured_case(p.text("case")), pair_of(p.text("pair"))); })
          .draws_vary_with({"case"})
          .output("kappa", "1", "crest factor: bin centre (B), mean over tensors (C)", {"bin"})
          .output("int_qsnr", "dB", "-10 log10 of the mean relative error, integer format", {"bin"})
          .output("fp_qsnr", "dB", "the same for the float format", {"bin"})
          .output("int_qsnr_low", "dB", "95 % bootstrap over 40 batches (B) or the tensors (C)", {"bin"})
          .output("int_qsnr_high", "dB", "see int_qsnr_low", {"bin"})
          .output("fp_qsnr_low", "dB", "see int_qsnr_low", {"bin"})
          .output("fp_qsnr_high", "dB", "see int_qsnr_low", {"bin"})
          .output("blocks_in_bin", "1", "B: blocks in the bin", {"bin"})
          .output("crossover", "1",
                  "crest factor where integer - float turns negative, linear between points; NaN: nowhere")
          .output("crossover_low", "1", "95 % bootstrap over 40 batches (B) or the tensors (C)")
          .output("crossover_high", "1", "see crossover_low")
          .output("crossover_qsnr", "dB", "float QSNR at the crossover")
          .output("sign_changes", "1", "changes of sign of integer - float along the curve")
          .output("int_win", "%", "B: 100 * share of blocks with a strictly smaller integer error")
          .output("int_win_low", "%", "95 % bootstrap over 40 batches")
          .output("int_win_high", "%", "see int_win_low")
          .quick("blocks=8000 samples=2 rows=32 columns=512")
          .cost(50)
          .point(compute_fig3_measured)
          .rows(fig3_measured_rows));
}
LOWBIT_REGISTER(fig3_measured);

}  // namespace
}  // namespace lowbit
