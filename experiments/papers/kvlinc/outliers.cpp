// Pictures of keys and values, token by channel, as in the KIVI paper (arXiv 2402.02750, Figure 2).
#include <algorithm>
#include <cmath>

#include "experiments/papers/kvlinc/errors.hpp"
#include "experiments/papers/kvlinc/tables.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

/// Channels of a head: those of the file, 64 where there is none.
std::size_t channel_count(const std::string& tensors) {
  return tensors == "none" ? 64 : TensorFile(tensors).head_dim();
}

Head make_head(const Point& p, Rng rng) {
  return head_of(p, channel_count(p.text("tensors")), rng);
}

constexpr std::size_t kBins = 64;

// Mean magnitude of each channel in kBins runs of tokens.
std::vector<double> picture(ConstRows rows) {
  std::vector<double> out(kBins * rows.columns);
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    const std::size_t first = bin * rows.rows / kBins, last = (bin + 1) * rows.rows / kBins;
    for (std::size_t t = first; t < last; ++t)
      for (std::size_t c = 0; c < rows.columns; ++c)
        out[bin * rows.columns + c] += std::abs(rows.row(t)[c]) / static_cast<double>(last - first);
  }
  return out;
}

// Largest over median of the channels' root mean squares.
double channel_peak(ConstRows rows) {
  std::vector<double> power(rows.columns);
  for (std::size_t t = 0; t < rows.rows; ++t)
    for (std::size_t c = 0; c < rows.columns; ++c) power[c] += static_cast<double>(rows.row(t)[c]) * rows.row(t)[c];
  std::sort(power.begin(), power.end());
  return std::sqrt(power.back() / power[power.size() / 2]);
}

Record compute_outliers(const Point& p, Rng) {
  const Head& head = p.shared<Head>("head");
  const auto& side = p.text("side");
  const Matrix& rows = side == "k" ? head.k : side == "k_pre" ? head.k_pre : head.v;
  return Record{{"channel_peak", channel_peak(rows)}}.set("magnitude", picture(rows));
}

std::vector<Row> outliers_rows(const Results& results) {
  std::vector<Row> rows;
  for (const char* side : {"k_pre", "k", "v"}) {
    const std::string drawn = fmt::format("channel_peak[side={},heads=drawn]", side),
                      file = fmt::format("channel_peak[side={},heads=file]", side);
    rows.push_back(median_row(drawn, over_seeds(results, "channel_peak", {{"side", side}}), results.rng(drawn)));
    rows.push_back(median_row(file, over_file(results, "channel_peak", {{"side", side}}), results.rng(file)));
  }
  return rows;
}

Values channels_of(const Params& params) {
  return indices(channel_count(params.text("tensors")));
}

Experiment outliers() {
  return with_references(
      with_heads(Experiment{"kvlinc/outliers"}, 1, 2048)
          .paper("arXiv:2402.02750", "Fig. 2", "Magnitudes of keys and values, token by channel")
          .axis("side", texts({"k_pre", "k", "v"}), "", "keys before RoPE, keys, values")
          .dim("token_bin", indices(kBins), "1", "run of tokens, 64 runs of equal length")
          .dim("channel", channels_of, "1", "channel of the head")
          .shared("head", {"tensor"}, make_head)
          .narrow_output("magnitude", "1", "mean |x| of a channel over the run of tokens", {"token_bin", "channel"})
          .output("channel_peak", "1", "largest root mean square of a channel over the median one")
          .quick("length=512")
          .cost(2)
          .point(compute_outliers)
          .rows(outliers_rows));
}
LOWBIT_REGISTER(outliers);

}  // namespace
}  // namespace lowbit
