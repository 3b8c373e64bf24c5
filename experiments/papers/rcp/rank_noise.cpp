// rcp/kv_noise: what noise in the rank, as from a quantised KV cache, does to RCPD; Gaussian, and as measured.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "experiments/papers/rcp/change_table.hpp"
#include "experiments/papers/rcp/estimates.hpp"

namespace lowbit {
namespace {

using namespace rcp;

const std::string kGaussian = "none";
constexpr std::size_t kBins = 12;  ///< of ranks; more where a measured change has more

struct NoisePoint {
  double noise, early, accuracy, band;
};
constexpr NoisePoint kNoise[] = {{0, 10.3, 67.4, 2},   {0.1, 11.1, 67.3, 2}, {0.2, 14.6, 66.8, 2},
                                 {0.3, 20.8, 65.3, 2}, {0.5, 51.6, 56.0, 3}, {0.8, 90.3, 38.8, 3}};

bool measured(const Point& p) {
  return p.text("kv") != kGaussian;
}

ChangeTable make_changes(const Point& p, Rng) {
  return read_changes(p.text("change_file"));
}

Population make_noisy(const Point& p, Rng rng) {
  early_exit::GeneratorModel model;
  model.rank_noise = p.real("noise");
  if (measured(p)) model.rank_change = &p.shared<ChangeTable>("changes").of(p.text("kv"));
  return simulate(early_exit::profile(p.text("profile")), rng.word64(), trace_count(p), {"full", "rcpd", "no-think"},
                  model);
}

/// What was measured, so that the file holds it: quantiles of each bin, NaN beyond the last.
void put_measurement(const early_exit::RankChange& change, std::size_t bins, Record& record) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> from(bins, nan), to(bins, nan), count(bins, nan), quantiles;
  for (std::size_t b = 0; b < bins; ++b) {
    const bool there = b < change.bins.size();
    if (there) from[b] = change.bins[b].from, to[b] = change.bins[b].to;
    if (there) count[b] = static_cast<double>(change.bins[b].count);
    for (std::size_t q = 0; q < early_exit::kChangeQuantiles; ++q)
      quantiles.push_back(there ? change.bins[b].quantiles[q] : nan);
  }
  record.set("change_lag1", change.lag1).set("change_mean", change.mean);
  record.set("change_from", from).set("change_to", to).set("change_count", count).set("change", quantiles);
}

Record compute_noise(const Point& p, Rng) {
  const auto& population = p.shared<Population>("population");
  Record record = estimates(population, population.of("rcpd"), p.shared<Weights>("weights"));
  if (!measured(p)) return record.set("change_sd", p.real("noise"));
  const early_exit::RankChange& change = p.shared<ChangeTable>("changes").of(p.text("kv"));
  record.set("change_sd", change.sd);
  put_measurement(change, p.coordinates("bin").size(), record);
  return record;
}

Values measured_formats(const Params& params) {
  const ChangeTable table = read_changes(params.text("change_file"));
  std::vector<std::string> names{kGaussian};
  for (const early_exit::RankChange& c : table.changes) names.push_back(c.name);
  return texts(names);
}

Values bins_of(const Params& params) {
  std::size_t most = kBins;
  for (const auto& change : read_changes(params.text("change_file")).changes) most = std::max(most, change.bins.size());
  return indices(most);
}

void measured_rows(const Results& results, RowList& rows) {
  for (const Value& kv : results.coordinates("kv")) {
    if (kv.text() == kGaussian) continue;
    const Coordinates where{{"profile", "qwen3-8b"}, {"noise", 0.0}, {"kv", kv}};
    const std::string name = fmt::format("measured change, kv {}", kv.text());
    const std::string note =
        fmt::format("simulated, change of log10 R as measured (sd {:.2f}, lag-1 correlation {:.2f})",
                    rows.at("change_sd", where), rows.at("change_lag1", where));
    rows.add_share({name + " early stops", "early_share", where, {}, {}, "", note});
    rows.add({name + " accuracy", "accuracy", where, {}, {}, "", note});
  }
}

std::vector<Row> noise_rows(const Results& results) {
  RowList rows(results);
  for (const NoisePoint& n : kNoise) {
    const Coordinates where{{"profile", "qwen3-8b"}, {"noise", n.noise}, {"kv", kGaussian}};
    const std::string name = fmt::format("rank noise {}", n.noise), source = "run of 6,000 traces",
                      note = "evidence, simulated";
    rows.add_share({name + " early stops", "early_share", where, Interval{n.early - n.band, n.early + n.band}, n.early,
                    source, note});
    rows.add({name + " accuracy", "accuracy", where, Interval{n.accuracy - n.band, n.accuracy + n.band}, n.accuracy,
              source, note});
  }
  measured_rows(results, rows);
  return rows.take();
}

Experiment kv_noise() {
  Experiment e =
      declare("kv_noise", "", "RCPD under noise in the rank, Gaussian and measured on a quantised KV cache, simulated");
  e.param("change_file", "",
          "measured changes of log10 R, as 'rcp change' writes them; empty: those of SmolLM2-135M-Instruct on a novel",
          input_path())
      .axis("profile", profile_axis(false), "", "model and benchmark mix that the generator stands for")
      .axis("noise", numbers({0, 0.1, 0.2, 0.3, 0.5, 0.8}), "1",
            "standard deviation of Gaussian noise in log10 rank, a sentence")
      .axis("kv", measured_formats, "",
            "format of the KV cache whose measured change is put on the rank; none: noise alone")
      .dim("bin", bins_of, "1", "bins of the unchanged rank")
      .dim("quantile", linspace(0, 1, early_exit::kChangeQuantiles), "1", "probability")
      .draws_vary_with({"profile"})
      .shared("changes", {}, make_changes)
      .shared("population", {"profile", "noise", "kv"}, make_noisy)
      .shared("weights", {}, make_weights)
      .where([](const Point& p) { return !measured(p) || p.real("noise") == 0; });
  with_estimates(e)
      .output("change_sd", "1",
              "standard deviation of the change of log10 R at sentence ends: the noise, or as measured")
      .output("change_mean", "1", "its mean, as measured")
      .output("change_lag1", "1", "correlation of neighbouring sentences' changes (normal scores), as measured")
      .output("change_from", "1", "lower end of the bin, log10 R", {"bin"})
      .output("change_to", "1", "upper end of the bin, log10 R", {"bin"})
      .output("change_count", "sentences", "sentences measured in the bin", {"bin"})
      .output("change", "1", "quantiles of log10 R' - log10 R in the bin", {"bin", "quantile"});
  return e.quick("traces=500").cost(25).point(compute_noise).rows(noise_rows);
}
LOWBIT_REGISTER(kv_noise);

}  // namespace
}  // namespace lowbit
