// The report of kl: per setting KL and perplexity, INT over FP within each pair, and the order of all formats.
// Intervals resample windows; what compares two settings resamples their windows together.
#include <cmath>
#include <limits>

#include "experiments/core/bootstrap.hpp"
#include "experiments/papers/int_vs_fp/direct_cast.hpp"
#include "experiments/papers/int_vs_fp/pairs.hpp"
#include "experiments/papers/int_vs_fp/reference.hpp"

namespace lowbit::int_vs_fp {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Values by window.
class Windows {
 public:
  explicit Windows(const Results& results) : results_(results), count_(results.coordinates("window").size()) {}
  std::size_t count() const { return count_; }
  Rng rng(std::string_view label) const { return results_.rng(label); }

  /// Empty where this run lacks the setting. Of rhad: the mean over the seeds that read the window.
  std::vector<double> of(const char* output, std::string_view preset, const std::string& transform) const {
    std::vector<double> sum(count_), seeds(count_);
    for (const Value& value : results_.coordinates("transform")) {
      if (value.text().substr(0, value.text().find(':')) != transform) continue;
      const auto column =
          results_.along(output, "window", {{"format", paper_format(preset)}, {"transform", value.text()}});
      for (std::size_t w = 0; w < column.size(); ++w) {
        if (std::isnan(column[w])) continue;
        sum[w] += column[w];
        ++seeds[w];
      }
    }
    for (std::size_t w = 0; w < count_; ++w) {
      if (seeds[w] == 0) return {};
      sum[w] /= seeds[w];
    }
    return sum;
  }

  /// Loss of a format without rotation; "none": of the unquantised model, as the first setting of this run saw it.
  std::vector<double> loss(std::string_view preset) const {
    if (preset != "none") return of("loss", preset, "id");
    for (const auto& pair : kPairs)
      for (const auto name : {pair.integer, pair.floating})
        for (const char* transform : kTransforms)
          if (auto values = of("reference_loss", name, transform); !values.empty()) return values;
    return {};
  }

 private:
  const Results& results_;
  std::size_t count_;
};

/// A statistic of all windows with its interval; NaN (not run) where `ready` is false.
Row window_row(const Windows& windows, std::string quantity, bool ready, const Statistic& statistic) {
  if (!ready) return exact_row(std::move(quantity), kNan);
  std::vector<std::size_t> all(windows.count());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  // one label for all: the same resamples of windows everywhere
  return sampled_row(std::move(quantity), statistic(all), bootstrap(all.size(), statistic, windows.rng("windows")));
}

void add_settings(const Windows& windows, std::vector<Row>& rows) {
  const auto none = windows.loss("none");
  rows.push_back(window_row(windows, "perplexity[format=none]", !none.empty(),
                            [&](auto picks) { return std::exp(mean(none, picks)); }));
  for (const char* transform : kTransforms) {
    for (const auto& pair : kPairs) {
      for (const auto preset : {pair.integer, pair.floating}) {
        const auto where = fmt::format("[format={},transform={}]", preset, transform);
        const auto kl = windows.of("kl_top25", preset, transform), loss = windows.of("loss", preset, transform);
        const auto scaled = [&](double factor) {
          return [&kl, factor](std::span<const std::size_t> picks) { return factor * mean(kl, picks); };
        };
        rows.push_back(window_row(windows, "kl_paper_unit" + where, !kl.empty(), scaled(1e6 / model::kTopCount)));
        rows.back().unit = "1e-6 nat";
        rows.push_back(window_row(windows, "kl_nats" + where, !kl.empty(), scaled(1)));
        rows.back().unit = "nat";
        rows.push_back(window_row(windows, "perplexity" + where, !loss.empty(),
                                  [&](auto picks) { return std::exp(mean(loss, picks)); }));
        rows.push_back(window_row(windows, "log_perplexity_ratio" + where, !loss.empty() && !none.empty(),
                                  [&](auto picks) { return mean(loss, picks) - mean(none, picks); }));
        rows.back().unit = "nat";
      }
    }
  }
}

void add_pairs(const Windows& windows, std::vector<Row>& rows) {
  for (const char* transform : kTransforms) {
    for (const auto& pair : kPairs) {
      const auto where = fmt::format("[pair={},transform={}]", pair.name, transform);
      const auto integer = windows.of("kl_top25", pair.integer, transform),
                 floating = windows.of("kl_top25", pair.floating, transform);
      const bool ready = !integer.empty() && !floating.empty();
      rows.push_back(window_row(windows, "kl_ratio" + where, ready,
                                [&](auto picks) { return mean(integer, picks) / mean(floating, picks); }));
      rows.push_back(window_row(windows, "int_wins" + where, ready,
                                [&](auto picks) { return mean(integer, picks) < mean(floating, picks) ? 1.0 : 0.0; }));
    }
  }
}

void add_order(const Windows& windows, std::vector<Row>& rows) {
  const std::vector<std::string> order{"none",  "mxint8", "mxfp8_e4m3", "mxfp6_e2m3", "mxint6",
                                       "nvfp4", "nvint4", "mxfp4",      "mxint4"};
  std::vector<std::vector<double>> losses;
  bool ready = true;
  for (const auto& name : order) {
    losses.push_back(windows.loss(name));
    ready = ready && !losses.back().empty();
  }
  rows.push_back(window_row(windows, "perplexity_order_steps", ready, [&](auto picks) {
    double held = 0;
    for (std::size_t i = 1; i < order.size(); ++i) {
      const double before = mean(losses[i - 1], picks), after = mean(losses[i], picks);
      held += i == 1 ? before <= after : before < after;
    }
    return held;
  }));
  for (std::size_t i = 1; i < order.size(); ++i)
    rows.push_back(window_row(windows, fmt::format("perplexity_step[from={},to={}]", order[i - 1], order[i]),
                              !losses[i - 1].empty() && !losses[i].empty(),
                              [&](auto picks) { return mean(losses[i], picks) - mean(losses[i - 1], picks); }));
}

}  // namespace

std::vector<Row> kl_rows(const Results& results) {
  const Windows windows(results);
  std::vector<Row> rows;
  add_settings(windows, rows);
  add_pairs(windows, rows);
  add_order(windows, rows);
  if (results.params().text("model") == "smollm2-135m")
    for (Row& row : rows) row.note = "the model's weights lie on a 4-bit grid (Q4_1)";
  return rows;
}

}  // namespace lowbit::int_vs_fp
