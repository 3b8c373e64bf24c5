// SmoothQuant: channels of x are divided by s and those of W multiplied, s_c = amax(x_c)^alpha / amax(W_c)^(1 - alpha).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "formats/error.hpp"
#include "sim/portable_math.hpp"
#include "sim/weights/methods.hpp"
#include "sim/weights/settings.hpp"

namespace lowbit::weights {
namespace {

class SmoothQuant : public Method {
 public:
  SmoothQuant(ScaleSearch search, double alpha) : search_(search), alpha_(alpha) {}
  std::string name() const override { return fmt::format("smoothquant:alpha={}:grid={}", alpha_, to_string(search_)); }
  Needs needs() const override {
    Needs needs;
    needs.channel_amax = true;
    needs.flow = Flow::original;
    return needs;
  }

  Solution solve(const InputGroup& group, const Statistics& statistics, const Target& target, Rng,
                 Threads& threads) const override {
    Prepared p = prepare(group, statistics, target, search_, threads, channel_scale(group, statistics));
    for (std::size_t i = 0; i < p.weights.size(); ++i) p.solution.linears.push_back(rounded(p, i, threads));
    Solution& solution = p.solution;
    if (group.after_norm) {
      for (const float s : solution.input.channel_divisor) solution.fold.push_back(1 / s);
      solution.input.channel_divisor.clear();
    }
    return std::move(solution);
  }

 private:
  // Channels without input or without weights stay as they are; so that no scale is extreme, both maxima are kept above
  // 1e-5, as the public code does.
  std::vector<float> channel_scale(const InputGroup& group, const Statistics& statistics) const {
    const std::size_t n = group.width();
    if (statistics.channel_amax.size() != n)
      throw_error(ExitCode::bad_data, "{}: maxima of {} channels, the layer has {}", group.name,
                  statistics.channel_amax.size(), n);
    std::vector<double> w(n, 0.0);
    for (const GroupLinear& linear : group.linears)
      for (std::size_t i = 0; i < linear.weight.rows; ++i)
        for (std::size_t c = 0; c < n; ++c)
          w[c] = std::max(w[c], std::abs(static_cast<double>(linear.weight.row(i)[c])));
    std::vector<float> s(n);
    for (std::size_t c = 0; c < n; ++c) {
      const double x = std::max(statistics.channel_amax[c], 1e-5);
      s[c] = static_cast<float>(portable_pow(x, alpha_) / portable_pow(std::max(w[c], 1e-5), 1 - alpha_));
    }
    return s;
  }

  ScaleSearch search_;
  double alpha_;
};

}  // namespace

std::shared_ptr<const Method> make_smoothquant(const Settings& settings) {
  settings.accept({"grid", "alpha"});
  // MR-GPTQ's baseline uses 0.6
  return std::make_shared<SmoothQuant>(settings.grid(ScaleSearch::absmax), settings.number("alpha", 0.6, 0, 1));
}

}  // namespace lowbit::weights
